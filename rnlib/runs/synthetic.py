"""The synthetic CLEVR set of a run: a folder for each set of arguments, made once."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from rnlib.runs.folder import RunFolder
from rnlib.synthesis import synthesize
from rnlib.synthesis.settings import VERSION

WORTH_A_WORD = 1000  # scenes; below that the set is there before one wonders


def synthetic_set(
    folder: RunFolder,
    *,
    train: int,
    val: int,
    test: int,
    seed: int,
    families: Sequence[str],
    objects: tuple[int, int],
    image_size: tuple[int, int] | int | None,
) -> Path:
    """Make (or find) the set in outputs/<run>/data/clevr-<digest of the arguments> and return its folder.

    Arguments as `synthesize` (where image_size is called images), which says which are wrong
    (ConfigError); no families: all of them. Other arguments give another folder, so that earlier
    results keep their data.
    """
    described = json.dumps([VERSION, train, val, test, seed, *families, *objects, image_size])
    name = "clevr-" + hashlib.blake2b(described.encode(), digest_size=4).hexdigest()
    return synthesize(
        folder.root / "data" / name,
        train=train,
        val=val,
        test=test,
        seed=seed,
        families=list(families) or None,
        objects=objects,
        images=image_size,
        verbose=train + val + test >= WORTH_A_WORD,
    )
