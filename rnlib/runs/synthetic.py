"""The synthetic CLEVR set of a run: a folder for each set of arguments, made once."""

import hashlib
from pathlib import Path
from typing import Unpack

import msgspec

from rnlib.runs.folder import RunFolder
from rnlib.synthesis import synthesize
from rnlib.synthesis.settings import Arguments, Options

WORTH_A_WORD = 1000  # scenes; below that the set is there before one wonders


def synthetic_set(folder: RunFolder, **options: Unpack[Options]) -> Path:
    """Make (or find) the set in outputs/<run>/data/clevr-<digest of the arguments> and return its folder.

    Arguments as `synthesize`, which says which are wrong (ConfigError); no families: all of them. Other arguments give
    another folder, so that earlier results keep their data.
    """
    options["families"] = options.get("families") or None
    arguments = Arguments(**options)
    name = "clevr-" + hashlib.blake2b(msgspec.json.encode(arguments), digest_size=4).hexdigest()
    verbose = sum(arguments.splits().values()) >= WORTH_A_WORD
    return synthesize(folder.root / "data" / name, verbose=verbose, **options)
