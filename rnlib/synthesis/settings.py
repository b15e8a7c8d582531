"""What decides every byte of a synthetic set, and the file in which a set remembers it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Required, TypedDict

import msgspec

from rnlib.clevr.constants import SPLITS, VIEW
from rnlib.errors import ConfigError, DataError
from rnlib.files import read_json, write_json
from rnlib.synthesis.questions import select_families
from rnlib.synthesis.scenes import MOST_OBJECTS

# Raise it with any change that alters a byte of what is made; the date (of that change) is in every file.
VERSION, DATE = 4, "11/25/2026"
MARKER = "synthesis.json"
CHUNK = 16  # scenes that are made, drawn and noted as done together
COGENT_SPLITS = ("trainA", "valA", "testA", "valB", "testB")
PAIRS = "pairs"  # the split of minimal pairs
ALL_SPLITS = (*SPLITS, *COGENT_SPLITS, PAIRS)  # the random numbers of a split depend on its place here
SIDES = (16, 4096)  # least and most pixels of a picture's side


class Options(TypedDict, total=False):
    """What `synthesize` may be asked for; see Arguments."""

    train: Required[int]
    val: Required[int]
    test: int
    seed: int
    families: Sequence[str | int] | None
    objects: tuple[int, int]
    questions_per_scene: int
    images: tuple[int, int] | int | None
    cogent: bool
    minimal_pairs: int
    contrast: bool


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What decides the bytes of a set. `check` says which argument is wrong.

    train, val, test: scenes (= images) of each split; a split of 0 has no files.
    families: groups of rnlib.clevr.constants.FAMILY_GROUPS, or numbers from 0 to 89; None: all of them.
    objects: fewest and most objects of a scene, within 1..10. questions_per_scene: at most so many.
    images: (width, height) in pixels: PNG files; one side, such as 128: a uint8 array for each split, which a
    network reads as it is; None: no pictures.
    cogent: the splits of CLEVR-CoGenT: `train` scenes of trainA, `val` of valA and of valB, `test` of testA and testB.
    minimal_pairs: so many pairs of scenes in a split of their own, "pairs", with one question each; not with cogent.
    contrast: questions come in pairs that differ in the object they start from, and in the answer.
    """

    version: int = VERSION
    train: int
    val: int
    test: int = 0
    seed: int = 0
    families: Sequence[str | int] | None = None
    objects: tuple[int, int] = (3, 10)
    questions_per_scene: int = 10
    images: tuple[int, int] | int | None = VIEW
    cogent: bool = False
    minimal_pairs: int = 0
    contrast: bool = False

    def splits(self) -> dict[str, int]:
        """The splits that have scenes, with their numbers."""
        names = COGENT_SPLITS if self.cogent else (*SPLITS, PAIRS)
        return {name: self.scenes(name) for name in names if self.scenes(name)}

    def scenes(self, split: str) -> int:
        """Number of scenes of a split."""
        counts = {"train": self.train, "val": self.val, "test": self.test, PAIRS: 2 * self.minimal_pairs}
        return counts[split.rstrip("AB")]

    def described(self) -> dict[str, Any]:
        """The arguments as they are kept in a set."""
        described: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        # Sets that were made before there was a choice do not mention it.
        for name in ("cogent", "minimal_pairs", "contrast"):
            if not described[name]:
                del described[name]
        return described

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height of the pictures as they are drawn."""
        assert self.images is not None, "a set without pictures"
        return (self.images, self.images) if isinstance(self.images, int) else self.images

    @property
    def coordinates_size(self) -> tuple[int, int]:
        """Width and height of the picture that pixel_coords speak of: CLEVR's own, but for PNG files of another."""
        return self.images if isinstance(self.images, tuple) else VIEW

    def check(self) -> None:
        """Raise ConfigError naming the first argument that is wrong."""
        select_families(self.families)
        counts = {split: self.scenes(split) for split in SPLITS}
        fewest, most = self.objects
        sides = () if self.images is None else self.picture_size
        rules = (
            (min(counts.values()) >= 0, "train, val, test", "0 or more", counts),
            (any(counts.values()) or self.minimal_pairs, "train, val, test", "0 or more, not all 0", counts),
            (
                0 <= self.minimal_pairs <= (0 if self.cogent else 10**6),
                "minimal_pairs",
                "0 to 1,000,000, and 0 with cogent",
                self.minimal_pairs,
            ),
            (max(counts.values()) <= 10**6, "train, val, test", "at most 1,000,000 each", counts),
            (self.seed >= 0, "seed", "0 or more", self.seed),
            (
                1 <= fewest <= most <= MOST_OBJECTS,
                "objects",
                f"(fewest, most) with 1 <= fewest <= most <= {MOST_OBJECTS}",
                self.objects,
            ),
            (self.questions_per_scene >= 1, "questions_per_scene", "1 or more", self.questions_per_scene),
            (
                all(SIDES[0] <= side <= SIDES[1] for side in sides),
                "images",
                f"(width, height) of PNG files or one side of an array, {SIDES[0]} to {SIDES[1]} pixels, or None",
                self.images,
            ),
        )
        for kept, name, expected, found in rules:
            if not kept:
                raise ConfigError(f"synthesize: expected {name} to be {expected}; found {found}. Change the argument.")


def is_test(split: str) -> bool:
    """Whether a split is made without scenes and answers, as those of the releases."""
    return split.startswith("test")


def parse_images(text: str) -> tuple[int, int] | int | None:
    """The `images` of Arguments as a user writes them: "480x320" (PNG files), "128" (one array) or "none"."""
    if text == "none":
        return None
    parts = text.split("x")
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise ConfigError(
            f"expected pictures like 480x320 (PNG files of that size), 128 (one array of such squares) or none; "
            f"found '{text}'."
        )
    return int(text) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


class _Marker(msgspec.Struct):
    complete: bool
    arguments: dict[str, Any]


def write_marker(out: Path, arguments: Arguments, *, complete: bool) -> None:
    """Note in `out` what it holds, and whether all of it is there."""
    write_json(out / MARKER, {"complete": complete, "arguments": arguments.described()})


def is_marked_complete(out: Path, arguments: Arguments) -> bool:
    """Whether `out` says that it holds the whole set. Raises DataError where it holds another."""
    if not os.path.lexists(out / MARKER):
        found = [name for name in ("images", "questions", "scenes") if os.path.exists(out / name)]
        if found:
            raise DataError(
                f"expected {out} to be empty or to hold a synthetic set with its {MARKER}; found "
                f"{', '.join(found)} without one. Choose another directory, or remove these first."
            )
        return False
    marker = read_json(out / MARKER, _Marker)
    made_with = marker.arguments
    wanted = arguments.described()
    names = sorted(name for name in made_with.keys() | wanted.keys() if made_with.get(name) != wanted.get(name))
    if names:
        differences = "; ".join(f"{name}: {made_with.get(name)} there, {wanted.get(name)} asked" for name in names)
        raise DataError(
            f"expected {out} to be empty or to hold the set asked for; found one made with other arguments "
            f"({differences}). Choose another directory, or remove this one first."
        )
    return marker.complete
