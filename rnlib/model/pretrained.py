"""Weights by name: those that ship with the project, and the 2018 implementation's, fetched on first use.

`rnlib/weights/NAME.safetensors` with NAME.json (and a model card, NAME.md) are this project's. The two files of
the 2018 implementation are in its own repository; they are fetched once into the cache and must have the known sha256.
"""

import os
from pathlib import Path
from typing import NamedTuple

from rnlib.clevr.cache import cache_root
from rnlib.clevr.download import fetch
from rnlib.errors import DataError, WeightsError
from rnlib.files import make_folder, sha256


class MesnicoFile(NamedTuple):
    """A file that the 2018 implementation released."""

    url: str
    sha256: str


_SEED = "https://github.com/mesnico/RelationNetworks-CLEVR/raw/master/pretrained_models/"
MESNICO_FILES = {
    "mesnico-original-fp": MesnicoFile(
        _SEED + "original_fp_epoch_493.pth", "0e1d1fcb0ed68de9f7fbf5fb0b280174ef043b281448af2e4f0ac4ac0e95b13d"
    ),
    "mesnico-ir-fp": MesnicoFile(
        _SEED + "ir_fp_epoch_312.pth", "5961c61eec7f8e05384f999b8915e6bdd0339205c5b8edfa3feafe21ad833450"
    ),
}


def shipped_folder() -> Path:
    """The folder of the project's own weights: part of the package, so that every installation has them."""
    return Path(__file__).resolve().parents[1] / "weights"


def released() -> list[str]:
    """Names that can stand for a file wherever weights are asked for."""
    return sorted(path.stem for path in shipped_folder().glob("*.safetensors")) + list(MESNICO_FILES)


def find_weights(name: Path | str) -> Path:
    """The file of a path, or of a released name. Fetches the 2018 implementation's where it is not in the cache yet.

    Raises WeightsError where there is neither file nor name, or a fetched file is not the one that was released.
    """
    path = Path(os.path.expanduser(name))
    if os.path.isfile(path):
        return path
    shipped = shipped_folder() / f"{name}.safetensors"
    if "/" not in str(name) and os.path.isfile(shipped):
        return shipped
    if str(name) in MESNICO_FILES:
        return _fetched(str(name))
    raise WeightsError(
        f"expected weights at {path}, found no such file. Check the path, or give a released name: "
        f"{', '.join(released())}."
    )


def _fetched(name: str) -> Path:
    url, expected = MESNICO_FILES[name]
    cache = cache_root() / "weights"
    target = cache / url.rsplit("/", 1)[1]
    if not os.path.isfile(target):
        part = make_folder(cache, "the fetched weights") / f"{target.name}.part"
        try:
            fetch(url, part, verbose=True)
        except DataError as error:
            raise WeightsError(f"{error} Or fetch {url} elsewhere and give its path in place of '{name}'.") from None
        if (found := sha256(part)) != expected:
            part.unlink()
            raise WeightsError(f"{url} is not the file that was released: expected sha256 {expected}, found {found}.")
        part.rename(target)
    return target
