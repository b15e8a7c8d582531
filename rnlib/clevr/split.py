"""Open a split of a CLEVR set: prepared on first use, memory-mapped ever after."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from rnlib.clevr.arrays import UNKNOWN, write_tables
from rnlib.clevr.cache import cache_folder, digest, locked, open_arrays, replace_folder
from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.clevr.images import open_picture, prepare_images
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.picture_array import JoinedPictures, open_picture_array
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError


@dataclass(frozen=True)
class Split:
    """One split of a CLEVR set. The arrays (see rnlib.clevr.arrays) are read-only memory maps.

    `fingerprint` is a digest of questions and scenes, `image_fingerprint` of the prepared
    pictures ("" without them), wherever the files stand.
    """

    directory: ClevrDirectory
    name: str
    vocabulary: Vocabulary
    image_indices: list[int]
    image_filenames: list[str]
    fingerprint: str
    image_fingerprint: str
    arrays: dict[str, np.ndarray] = field(repr=False)
    images: np.ndarray | JoinedPictures | None = field(repr=False, default=None)

    def __getattr__(self, name: str) -> np.ndarray:
        arrays: dict[str, np.ndarray] = self.__dict__.get("arrays", {})
        if name in arrays:
            return arrays[name]
        raise AttributeError(f"the split has no array '{name}' (it has: {', '.join(sorted(arrays))})")

    @property
    def n_questions(self) -> int:
        return len(self.arrays["lengths"])

    @property
    def n_images(self) -> int:
        return len(self.image_filenames)

    @property
    def has_scenes(self) -> bool:
        return "codes" in self.arrays

    @property
    def has_answers(self) -> bool:
        return bool(self.vocabulary.answers)

    def question_text(self, question: int) -> str:
        """The question, lower-cased but for its first letter."""
        return self.vocabulary.decode(self.tokens[question])

    def answer_text(self, question: int) -> str:
        """The answer; empty where the split has none."""
        number = int(self.answers[question])
        return self.vocabulary.answers[number - 1] if number else ""

    def type_name(self, question: int) -> str:
        """The question type; empty where the split has no programs."""
        number = int(self.types[question])
        return "" if number == UNKNOWN else QUESTION_TYPES[number]

    def image_path(self, row: int) -> Path:
        """The PNG file of the picture in row `row` of `images`. A set with a picture array has none: see `picture`."""
        return self.directory.images(self.name) / self.image_filenames[row]

    def picture(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of row `row` as it is stored: its PNG file in full size, else out of the largest picture array.

        Raises DataError where there is neither, or it cannot be read.
        """
        arrays = self.directory.picture_arrays(self.name)
        if not arrays:
            return np.asarray(open_picture(self.image_path(row)))
        side, path = list(arrays.items())[-1]
        pictures = open_picture_array(path, side, self.image_indices[-1] + 1, more=not self.has_scenes)
        return np.ascontiguousarray(pictures[self.image_indices[row]].transpose(1, 2, 0))


def open_split(
    directory: Path | str,
    split: str,
    *,
    images: int | None = 128,
    cache: Path | str | None = None,
    workers: int | None = None,
    verbose: bool = True,
) -> Split:
    """Open `split` ("train", "val" or "test") of the CLEVR set in `directory`.

    `images`: side in pixels of the pictures to prepare, None for none of them.
    `cache`: where the prepared arrays go (else $RNLIB_CACHE, else ~/.cache/rnlib).
    `workers`: processes that decode pictures (else one a CPU). `verbose`: print progress.
    Where the set has a picture array instead of PNG files, `images` is its memory map, not copied.
    Stale and damaged caches are noticed and made again. Raises DataError on broken input.
    """
    if images is not None and not 1 <= images <= 4096:
        raise ConfigError(f"expected pictures of 1 to 4096 pixels a side, found {images}.")
    if workers is not None and workers < 1:
        raise ConfigError(f"expected at least 1 process to decode pictures, found {workers}.")
    found = ClevrDirectory.find(directory)
    found.require(split)
    folder = cache_folder(found, split, cache)
    arrays, manifest = _tables(found, split, folder / "tables", verbose)
    filenames: list[str] = manifest["image_filenames"]
    pictures, image_fingerprint = None, ""
    if images is not None:
        if found.images(split).is_dir():
            pictures, image_fingerprint = _images(found, split, filenames, images, folder, workers, verbose)
        else:
            pictures, image_fingerprint = _picture_array(found, split, manifest["image_indices"], images)
    return Split(
        directory=found,
        name=split,
        vocabulary=Vocabulary(tuple(manifest["words"]), tuple(manifest["answers"])),
        image_indices=manifest["image_indices"],
        image_filenames=filenames,
        fingerprint=_fingerprint(manifest),
        image_fingerprint=image_fingerprint,
        arrays=arrays,
        images=pictures,
    )


def _fingerprint(manifest: dict[str, Any]) -> str:
    """A digest of what questions and scenes say, wherever their files stand."""
    digests = {name: entry["digest"] for name, entry in manifest["arrays"].items()}
    content = [sorted(digests.items()), manifest["words"], manifest["answers"]]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _tables(
    directory: ClevrDirectory, split: str, folder: Path, verbose: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    source = directory.signature(split)
    opened = open_arrays(folder, source)
    if opened is None:
        with locked(folder.parent):
            opened = open_arrays(folder, source)
            if opened is None:
                partial = folder.with_name("tables.part")
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    write_tables(directory, split, partial, source, verbose)
                except OSError as error:
                    raise DataError(
                        f"cannot write the prepared arrays to {partial}: {error.strerror}. "
                        "Free some space, or choose another folder with --cache DIR."
                    ) from None
                replace_folder(partial, folder)
                opened = open_arrays(folder, source)
    assert opened is not None, f"{folder} does not open although it was just written"
    return opened


def _images(
    directory: ClevrDirectory,
    split: str,
    filenames: list[str],
    size: int,
    folder: Path,
    workers: int | None,
    verbose: bool,
) -> tuple[np.ndarray, str]:
    """The prepared pictures and a digest of them."""
    source = directory.image_signature(split, filenames)
    target = folder / f"images_{size}"
    opened = open_arrays(target, source)
    if opened is None:
        with locked(folder):
            opened = open_arrays(target, source)
            if opened is None:
                pictures = [directory.images(split) / name for name in filenames]
                prepare_images(pictures, size, target, source, workers, verbose)
                opened = open_arrays(target, source)
    assert opened is not None, f"{target} does not open although it was just written"
    arrays, manifest = opened
    return arrays["images"], manifest["arrays"]["images"]["digest"]


def _picture_array(directory: ClevrDirectory, split: str, indices: list[int], size: int) -> tuple[np.ndarray, str]:
    """The pictures out of the array that the set came with, and a digest of them."""
    arrays = directory.picture_arrays(split)
    if not arrays:
        raise DataError(
            f"{directory.root} has no pictures of '{split}': expected {directory.images(split)}, found no such folder. "
            "Fetch or make them, or use the set without pictures (a preset on state descriptions; images=None)."
        )
    if size not in arrays:
        raise DataError(
            f"{directory.root} has the pictures of '{split}' as an array of {' and '.join(map(str, arrays))} pixels a "
            f"side only, asked for: {size}. Use a preset with that image_size, or make the set with --images {size}."
        )
    # Of the test split no more is known than its questions, and a picture may have none.
    has_scenes = directory.scenes(split).is_file()
    pictures = open_picture_array(arrays[size], size, indices[-1] + 1, more=not has_scenes)
    if indices != list(range(len(pictures))):
        pictures = pictures[indices]
    return pictures, digest(arrays[size])
