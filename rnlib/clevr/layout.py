"""Where things stand in a CLEVR directory (the v1.0 layout), and whether all of it is there.

images/{split}/CLEVR_{split}_%06d.png     or, of a synthetic set, images/CLEVR_{split}_{side}.npy, or neither
scenes/CLEVR_{split}_scenes.json          (train and val)
questions/CLEVR_{split}_questions.json
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnlib.clevr.constants import OFFICIAL_COUNTS, SPLITS
from rnlib.clevr.picture_array import open_picture_array
from rnlib.clevr.schema import read_questions, read_scenes
from rnlib.errors import DataError


@dataclass(frozen=True)
class ClevrDirectory:
    """A directory in the CLEVR v1.0 layout. `ClevrDirectory.find(path)` checks that it is one."""

    root: Path

    @classmethod
    def find(cls, path: Path | str) -> "ClevrDirectory":
        """The CLEVR set at `path`. Raises DataError where there is none."""
        root = Path(path).expanduser()
        if not root.is_dir():
            raise DataError(
                f"expected a CLEVR directory at {root}, found no such folder. Check the path, or make one with "
                "'rnlib data synthesize --out DIR' or 'rnlib data download --out DIR'."
            )
        directory = cls(root.resolve())
        if not directory.splits():
            raise DataError(
                f"{root} is not a CLEVR directory: expected questions/CLEVR_<split>_questions.json for at least one of "
                f"{', '.join(SPLITS)}, found none. Give the folder that holds images/, questions/ and scenes/."
            )
        return directory

    def splits(self) -> list[str]:
        """The splits that have a question file, in the order train, val, test."""
        return [split for split in SPLITS if self.questions(split).is_file()]

    def require(self, split: str) -> None:
        """Raise DataError unless the split is here."""
        if split not in SPLITS:
            raise DataError(f"expected a split out of {', '.join(SPLITS)}, found '{split}'.")
        if split not in self.splits():
            raise DataError(
                f"{self.root} has no split '{split}': expected {self.questions(split)}. "
                f"It has: {', '.join(self.splits())}."
            )

    def questions(self, split: str) -> Path:
        return self.root / "questions" / f"CLEVR_{split}_questions.json"

    def scenes(self, split: str) -> Path:
        return self.root / "scenes" / f"CLEVR_{split}_scenes.json"

    def images(self, split: str) -> Path:
        return self.root / "images" / split

    def picture_array(self, split: str, side: int) -> Path:
        """Where a set without PNG files may have its pictures: one uint8 array (pictures, 3, side, side)."""
        return self.root / "images" / f"CLEVR_{split}_{side}.npy"

    def picture_arrays(self, split: str) -> dict[int, Path]:
        """The picture arrays that are there, by side in pixels; none for a set with PNG files, which come first."""
        if self.images(split).is_dir():
            return {}
        sides = (path.stem.rpartition("_")[2] for path in self.root.glob(f"images/CLEVR_{split}_*.npy"))
        return {side: self.picture_array(split, side) for side in sorted(int(side) for side in sides if side.isdigit())}

    def signature(self, split: str) -> dict[str, object]:
        """Name, size and change time of the JSON files: tells whether a cache made from them is stale."""
        files = [path for path in (self.questions(split), self.scenes(split)) if path.is_file()]
        return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}

    def image_signature(self, split: str, filenames: Sequence[str]) -> str:
        """A digest of names, sizes and change times of the pictures. Raises DataError naming missing ones."""
        found: dict[str, os.stat_result] = {}
        if self.images(split).is_dir():
            with os.scandir(self.images(split)) as entries:
                found = {entry.name: entry.stat() for entry in entries if entry.is_file()}
        missing = [name for name in filenames if name not in found]
        if missing:
            raise DataError(
                f"{self.images(split)}: expected {len(filenames)} pictures, {len(missing)} of them missing, "
                f"the first {missing[0]}. The download or copy is incomplete: fetch the missing files."
            )
        digest = hashlib.sha256()
        for name in filenames:
            digest.update(f"{name} {found[name].st_size} {found[name].st_mtime_ns}\n".encode())
        return digest.hexdigest()


def check_directory(path: Path | str) -> list[dict[str, object]]:
    """Read every JSON file of a CLEVR set whole and compare it with its pictures.

    Returns a row a split: split, images, scenes, questions, `pictures` ("PNG", "128 x 128 array",
    "none"), and `official`, which says how the counts compare with the v1.0 release. Raises
    DataError at the first fault.
    """
    directory = ClevrDirectory.find(path)
    rows: list[dict[str, object]] = []
    for split in directory.splits():
        scenes = 0
        scene_images: dict[int, str] = {}
        if directory.scenes(split).is_file():
            for scene in read_scenes(directory.scenes(split)):
                scene_images[scene.image_index] = scene.image_filename
                scenes += 1
        asked: dict[int, str] = {}
        questions = 0
        for question in read_questions(directory.questions(split)):
            check_image(question.image_index, question.image_filename, scene_images, directory.questions(split))
            asked[question.image_index] = question.image_filename
            questions += 1
        images = scene_images or asked
        official = OFFICIAL_COUNTS[split]
        rows.append(
            {
                "split": split,
                "images": len(images),
                "scenes": scenes,
                "questions": questions,
                "pictures": _check_pictures(directory, split, list(images.values())),
                "official": "as released"
                if (len(images), questions) == official
                else f"v1.0 has {official[0]:,} / {official[1]:,}",
            }
        )
    return rows


def _check_pictures(directory: ClevrDirectory, split: str, filenames: Sequence[str]) -> str:
    """In which form the pictures are there. Raises DataError where some are missing or the array is damaged.

    No folder images/ at all is no fault: questions and scenes are published without pictures, too.
    """
    arrays = directory.picture_arrays(split)
    for side, path in arrays.items():
        open_picture_array(path, side, len(filenames), more=not directory.scenes(split).is_file())
    if arrays:
        return " and ".join(f"{side} x {side} array" for side in arrays)
    if not (directory.root / "images").is_dir():
        return "none"
    directory.image_signature(split, filenames)
    return "PNG"


def check_image(index: int, filename: str, scene_images: dict[int, str], questions: Path) -> None:
    """Raise DataError where a question's picture is not the one of its scene. No scenes (test): nothing to check."""
    if scene_images and scene_images.get(index) != filename:
        expected = f"scene {index} has {scene_images[index]}" if index in scene_images else f"there is no scene {index}"
        raise DataError(
            f"{questions}: a question asks about image_index {index} ({filename}), but {expected} "
            f"among the {len(scene_images)} scenes. Questions and scenes are of different sets, or one file is damaged."
        )
