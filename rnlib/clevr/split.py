"""Open a split of a CLEVR set: prepared on first use, memory-mapped ever after."""

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, UInt, UInt8

from rnlib.clevr.arrays import UNKNOWN, write_tables
from rnlib.clevr.cache import Opened, cache_folder, digest, new_folder, open_or_make
from rnlib.clevr.constants import ATTRIBUTES, QUESTION_TYPES, RELATIONS
from rnlib.clevr.images import open_picture, prepare_images
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.picture_array import JoinedPictures, open_picture_array
from rnlib.clevr.schema import Scene, SceneObject
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError


@dataclass(frozen=True)
class SceneArrays:
    """The scenes of a split (see rnlib.clevr.arrays), one row per picture."""

    codes: UInt8[np.ndarray, "pictures most 4"]
    coordinates: Float[np.ndarray, "pictures most 3"]
    n_objects: UInt8[np.ndarray, " pictures"]
    pixel_coords: Float[np.ndarray, "pictures most 3"]
    rotations: Float[np.ndarray, "pictures most"]
    relationships: UInt[np.ndarray, "pictures 4 most"]


@dataclass(frozen=True)
class Split:
    """One split of a CLEVR set. The arrays (see rnlib.clevr.arrays) are read-only memory maps.

    `fingerprint` is a digest of questions and scenes, `image_fingerprint` of the prepared
    pictures ("" without them), wherever the files are. A split without questions has none of 0 words.
    """

    directory: ClevrDirectory
    name: str
    vocabulary: Vocabulary
    image_indices: list[int]
    image_filenames: list[str]
    fingerprint: str
    image_fingerprint: str
    tokens: Integer[np.ndarray, "questions longest"] = field(repr=False)
    lengths: UInt8[np.ndarray, " questions"] = field(repr=False)
    answers: UInt8[np.ndarray, " questions"] = field(repr=False)
    image_of_question: Integer[np.ndarray, " questions"] = field(repr=False)
    types: UInt8[np.ndarray, " questions"] = field(repr=False)
    families: UInt8[np.ndarray, " questions"] = field(repr=False)
    program_lengths: UInt8[np.ndarray, " questions"] = field(repr=False)
    left_out: int = 0  # questions with unknown words (rnlib.clevr.unknown_words)
    stored: int = 0  # pictures that an array of the whole split has at least: this may be a part of it
    # The questions' numbers in their file (from 0); None: all of them, in order.
    numbers: Integer[np.ndarray, " questions"] | None = field(repr=False, default=None)
    scenes: SceneArrays | None = field(repr=False, default=None)
    images: np.ndarray | JoinedPictures | None = field(repr=False, default=None)

    @property
    def label(self) -> str:
        """The name for titles and tables, with what a reader of figures must know of this split."""
        redrawn = "redrawn" if self.name in self.directory.redrawn else ""
        left_out = (
            f"{self.left_out:,} question{'s' * (self.left_out > 1)} with unknown words left out"
            if self.left_out
            else ""
        )
        return ", ".join(filter(None, (self.name, redrawn, left_out)))

    @property
    def question_numbers(self) -> Integer[np.ndarray, " questions"]:
        """The questions' numbers in their file, from 0."""
        return np.arange(self.n_questions) if self.numbers is None else self.numbers

    @property
    def codes(self) -> UInt8[np.ndarray, "pictures most 4"]:
        """Colour, material, shape, size of each object, from 1; 0: no object. This and the next five: DataError where
        the split has no scenes."""
        return self.require_scenes().codes

    @property
    def coordinates(self) -> Float[np.ndarray, "pictures most 3"]:
        return self.require_scenes().coordinates

    @property
    def n_objects(self) -> UInt8[np.ndarray, " pictures"]:
        return self.require_scenes().n_objects

    @property
    def pixel_coords(self) -> Float[np.ndarray, "pictures most 3"]:
        return self.require_scenes().pixel_coords

    @property
    def rotations(self) -> Float[np.ndarray, "pictures most"]:
        return self.require_scenes().rotations

    @property
    def relationships(self) -> UInt[np.ndarray, "pictures 4 most"]:
        return self.require_scenes().relationships

    @property
    def n_questions(self) -> int:
        return len(self.lengths)

    @property
    def n_images(self) -> int:
        return len(self.image_filenames)

    @property
    def has_scenes(self) -> bool:
        return self.scenes is not None

    @property
    def has_pictures(self) -> bool:
        """Whether there are picture files or a picture array, opened or not."""
        files = self.directory.files[self.name]
        return bool(files.images or files.arrays)

    @property
    def has_answers(self) -> bool:
        return bool(self.vocabulary.answers)

    @property
    def has_programs(self) -> bool:
        """Whether questions have functional programs, which tell their types."""
        return bool(self.program_lengths.any())

    def require_scenes(self, why: str = "expected scenes") -> SceneArrays:
        """The scenes. Raises DataError, which begins with `why`, where the split has none."""
        if self.scenes is None:
            raise DataError(
                f"{why}, but {self.directory.scenes(self.name)} does not exist (CLEVR's test split has no scenes). "
                "Use a split with scenes, or what needs none, such as a network that reads pictures."
            )
        return self.scenes

    def require_questions(self) -> None:
        """Raise DataError where the split has no questions."""
        if not self.n_questions:
            raise DataError(
                f"expected the questions of '{self.name}' in {self.directory.questions(self.name)}, found no such "
                "file. Use a split with questions."
            )

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

    def scene(self, row: int) -> Scene:
        """The scene of picture row `row`, from the arrays. DataError for a split without scenes or without that row."""
        arrays = self.require_scenes()
        if not 0 <= row < self.n_images:
            raise DataError(f"expected the number of a picture from 0 to {self.n_images - 1}, found {row}. Change it.")
        count = int(arrays.n_objects[row])
        objects = [
            SceneObject(
                coordinates=tuple(arrays.coordinates[row, i].tolist()),
                pixel_coords=tuple(arrays.pixel_coords[row, i].tolist()),
                rotation=float(arrays.rotations[row, i]),
                **{
                    name: values[code - 1]
                    for (name, values), code in zip(ATTRIBUTES.items(), arrays.codes[row, i].tolist(), strict=True)
                },
            )
            for i in range(count)
        ]
        bits = arrays.relationships[row].tolist()
        relationships = {
            relation: [[j for j in range(count) if bits[number][i] >> j & 1] for i in range(count)]
            for number, relation in enumerate(RELATIONS)
        }
        return Scene(
            split=self.name,
            image_index=self.image_indices[row],
            image_filename=self.image_filenames[row],
            objects=objects,
            relationships=relationships,
        )

    def image_path(self, row: int) -> Path:
        """The file of the picture in row `row` of `images`. A set with a picture array has none: see `picture`."""
        return self.directory.picture_file(self.name, self.image_filenames[row])

    def picture(self, row: int) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of row `row` as it is stored: its file in full size, else out of the largest picture array.

        Raises DataError where there is neither, or it cannot be read.
        """
        arrays = self.directory.picture_arrays(self.name)
        if not arrays:
            return np.asarray(open_picture(self.image_path(row)))
        side, path = list(arrays.items())[-1]
        pictures = open_picture_array(path, side, self.stored, more=self.scenes is None)
        return np.ascontiguousarray(pictures[self.image_indices[row]].transpose(1, 2, 0))

    def picture_size(self, row: int) -> tuple[int, int]:
        """Width and height that a row's pixel_coords speak of: the picture file's, or CLEVR's where there is none."""
        path = self.image_path(row)
        if not path.exists():
            return self.directory.array_view(self.name)
        return open_picture(path).size


def open_split(
    directory: Path | str,
    split: str,
    *,
    images: int | None = 128,
    cache: Path | str | None = None,
    workers: int | None = None,
    verbose: bool = True,
) -> Split:
    """Open a split ("train", "val", "trainA", whatever it has) of the CLEVR set in `directory`.

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
        if found.files[split].images:
            pictures, image_fingerprint = _images(
                found, split, filenames, folder / f"images_{images}", workers, verbose
            )
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
        left_out=0,
        stored=manifest["image_indices"][-1] + 1 if manifest["image_indices"] else 0,
        numbers=None,
        **{name: arrays[name] for name in QUESTION_ARRAYS},
        scenes=SceneArrays(**{name: arrays[name] for name in SCENE_ARRAYS}) if "codes" in arrays else None,
        images=pictures,
    )


QUESTION_ARRAYS = ("tokens", "lengths", "answers", "image_of_question", "types", "families", "program_lengths")
SCENE_ARRAYS = tuple(one.name for one in fields(SceneArrays))


def _fingerprint(manifest: dict[str, Any]) -> str:
    """A digest of what questions and scenes say, wherever their files are."""
    digests = {name: entry["digest"] for name, entry in manifest["arrays"].items()}
    content = [sorted(digests.items()), manifest["words"], manifest["answers"]]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def _tables(directory: ClevrDirectory, split: str, folder: Path, verbose: bool) -> Opened:
    source = directory.signature(split)

    def make() -> None:
        with new_folder(folder, "the prepared arrays") as made:
            write_tables(directory, split, made, source, verbose)

    return open_or_make(folder, source, make)


def _images(
    directory: ClevrDirectory, split: str, filenames: list[str], target: Path, workers: int | None, verbose: bool
) -> tuple[np.ndarray, str]:
    """The prepared pictures and a digest of them. `target`: their folder, images_SIZE."""
    size = int(target.name.rpartition("_")[2])
    pictures, source = directory.picture_files(split, filenames)
    make = partial(prepare_images, pictures, size, target, source, workers, verbose)
    arrays, manifest = open_or_make(target, source, make)
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
    has_scenes = directory.files[split].scenes is not None
    pictures = open_picture_array(arrays[size], size, indices[-1] + 1, more=not has_scenes)
    if indices != list(range(len(pictures))):
        pictures = pictures[indices]
    return pictures, digest(arrays[size])
