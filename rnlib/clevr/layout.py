"""Where the parts of a CLEVR set are: a directory is looked at once, and its splits are what it holds.

questions/CLEVR_{split}_questions.json    or, as the public generator writes it, CLEVR_questions.json at the top
scenes/CLEVR_{split}_scenes.json          or CLEVR_scenes.json
images/{split}/CLEVR_{split}_%06d.png     or in images/ itself; .jpg and .jpeg too
images/CLEVR_{split}_{side}.npy           what a synthetic set may have instead

A split may lack any of them. Of files at the top, the pictures that they name tell the split's name.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rnlib.clevr.constants import VIEW
from rnlib.errors import DataError
from rnlib.files import open_input, read_json

PICTURES = (".png", ".jpg", ".jpeg")
REDRAWN = "redrawn.json"  # splits whose pictures rnlib.synthesis.redraw drew: {"val": [480, 320]}
_HEAD = 1 << 16  # bytes of a file that tell its split and whether its questions have answers
_ORDER = ("train", "val", "test")  # how splits are listed; CoGenT's add a letter to these


def questions_file(root: Path, split: str) -> Path:
    """Where CLEVR v1.0 has the questions of a split."""
    return root / "questions" / f"CLEVR_{split}_questions.json"


def scenes_file(root: Path, split: str) -> Path:
    """Where CLEVR v1.0 has the scenes of a split."""
    return root / "scenes" / f"CLEVR_{split}_scenes.json"


def images_folder(root: Path, split: str) -> Path:
    """Where CLEVR v1.0 has the pictures of a split."""
    return root / "images" / split


def picture_array_file(root: Path, split: str, side: int) -> Path:
    """Where a set without picture files may have its pictures: one uint8 array (pictures, 3, side, side)."""
    return root / "images" / f"CLEVR_{split}_{side}.npy"


@dataclass(frozen=True)
class SplitFiles:
    """The parts of a split: None (no entries) for what it lacks. `images` is the folder of its picture files."""

    questions: Path | None = None
    scenes: Path | None = None
    images: Path | None = None
    arrays: dict[int, Path] = field(default_factory=dict)  # by side in pixels


@dataclass(frozen=True)
class ClevrDirectory:
    """A CLEVR set, as `ClevrDirectory.find(path)` found it."""

    root: Path
    files: dict[str, SplitFiles] = field(repr=False)  # by split, in the order train, val, test, others
    # Splits whose pictures are not the set's own (rnlib.synthesis.redraw), with the size that pixel_coords speak of.
    redrawn: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def find(cls, path: Path | str) -> "ClevrDirectory":
        """The CLEVR set at `path`. Raises DataError where there is none."""
        root = Path(os.path.expanduser(path))
        if not os.path.isdir(root):
            raise DataError(
                f"expected a CLEVR directory at {root}, found no such folder. Check the path, or make one with "
                "'rnlib data synthesize --out DIR' or 'rnlib data download --out DIR'."
            )
        files = _find_files(root.resolve())
        if not files:
            raise DataError(
                f"{root} is not a CLEVR directory: expected questions/CLEVR_<split>_questions.json, scenes or pictures "
                "(or CLEVR_questions.json, as the public generator writes it), found none. "
                "Give the folder that holds images/, questions/ and scenes/."
            )
        return cls(root.resolve(), files, _redrawn(root / REDRAWN))

    def splits(self) -> list[str]:
        """The names of the splits: train, val and test first."""
        return list(self.files)

    def with_answers(self) -> list[str]:
        """The splits that have scenes, and questions with answers."""
        return [name for name, files in self.files.items() if files.scenes and _has_answers(files.questions)]

    def default_split(self, kind: str) -> str:
        """The split that "train", "val" or "test" means here: the one so named, the first whose name begins so, or the
        only one. Raises DataError where that is none."""
        similar = [name for name in self.files if name.startswith(kind)]
        chosen = [kind] if kind in self.files else similar or self.splits()
        if not similar and len(chosen) > 1:
            self.require(kind)
        return chosen[0]

    def training_splits(self, train: str = "", val: str = "") -> tuple[str, str]:
        """The splits to train and to validate on: those named, else train and val, or trainA and valA.

        Of a set with one split it is both. Raises DataError for a name that is not here.
        """
        train = train or self.default_split("train")
        counterpart = train.replace("train", "val", 1)
        val = val or (counterpart if counterpart in self.files else self.default_split("val"))
        for name in (train, val):
            self.require(name)
        return train, val

    def require(self, split: str) -> None:
        """Raise DataError unless the split is here."""
        if split not in self.files:
            raise DataError(
                f"{self.root} has no split '{split}': expected {questions_file(self.root, split)}. "
                f"It has: {', '.join(self.splits())}. Name one of these: --split NAME, or with 'rnlib run' --set "
                "split=NAME."
            )

    def questions(self, split: str) -> Path:
        """The file of questions; where there is none, the place where it is expected. So for the other parts."""
        return self.files[split].questions or questions_file(self.root, split)

    def scenes(self, split: str) -> Path:
        return self.files[split].scenes or scenes_file(self.root, split)

    def images(self, split: str) -> Path:
        return self.files[split].images or images_folder(self.root, split)

    def picture_arrays(self, split: str) -> dict[int, Path]:
        """The picture arrays, by side in pixels; none for a set with picture files, which come first."""
        return {} if self.files[split].images else self.files[split].arrays

    def array_view(self, split: str) -> tuple[int, int]:
        """Width and height of the picture that pixel_coords speak of and a picture array shows, squeezed to squares."""
        return self.redrawn.get(split, VIEW)

    def signature(self, split: str) -> dict[str, object]:
        """Name, size and change time of the JSON files: tells whether a cache made from them is stale."""
        files, found = self.files[split], self.signed_files(split)
        for path in found:
            open_input(path).close()
        if not found and files.images:
            found = [files.images]
        return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in found}

    def signed_files(self, split: str) -> list[Path]:
        """The files with the split's questions and scenes, as far as it has some."""
        files = self.files[split]
        return [path for path in (files.questions, files.scenes) if path]

    def picture_names(self, split: str) -> list[str]:
        """The names of a split's picture files, sorted."""
        folder = self.files[split].images
        if folder is None:
            return []
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_picture(entry))
        return [name for name in names if folder.name == split or _split_of_picture(name) == split]

    def picture_files(self, split: str, filenames: Sequence[str]) -> tuple[list[Path], str]:
        """The files of these pictures, and a digest of their names, sizes and change times.

        A picture named .png may be there as .jpg, and the other way round. Raises DataError naming missing ones.
        """
        folder = self.images(split)
        found: dict[str, os.stat_result] = {}
        if folder.is_dir():
            with os.scandir(folder) as entries:
                found = {entry.name: entry.stat() for entry in entries if os.path.isfile(entry)}
        names = [next((other for other in _spellings(name) if other in found), None) for name in filenames]
        missing = [wanted for wanted, name in zip(filenames, names, strict=True) if name is None]
        if missing:
            raise DataError(
                f"{folder}: expected {len(filenames)} pictures, {len(missing)} of them missing, "
                f"the first {missing[0]}. The download or copy is incomplete: fetch the missing files."
            )
        digest = hashlib.sha256()
        for name in filter(None, names):
            digest.update(f"{name} {found[name].st_size} {found[name].st_mtime_ns}\n".encode())
        return [folder / name for name in filter(None, names)], digest.hexdigest()

    def picture_file(self, split: str, filename: str) -> Path:
        """The file of one picture; where there is none, the place where it is expected."""
        paths = [self.images(split) / name for name in _spellings(filename)]
        return next((path for path in paths if path.is_file()), paths[0])


def _find_files(root: Path) -> dict[str, SplitFiles]:
    found: dict[str, SplitFiles] = {}
    for kind in ("questions", "scenes"):
        paths = [root / f"CLEVR_{kind}.json", *(root / kind).glob(f"CLEVR_*_{kind}.json*")]
        for path in paths:
            if not os.path.lexists(path) or path.suffix not in (".json", ".jsonl"):  # a broken link is an error
                continue
            name = re.fullmatch(rf"CLEVR_(.+)_{kind}", path.stem)
            split = name[1] if name else _split_of_file(path)
            files = found.get(split, SplitFiles())
            found[split] = replace(files, questions=path) if kind == "questions" else replace(files, scenes=path)
    _find_pictures(root / "images", found)

    def place(split: str) -> tuple[int, str]:
        known = [number for number, name in enumerate(_ORDER) if split.startswith(name)]
        return (known or [len(_ORDER)])[0], split

    return {split: found[split] for split in sorted(found, key=place)}


def _redrawn(marker: Path) -> dict[str, tuple[int, int]]:
    redrawn: dict[str, tuple[int, int]] = read_json(marker, dict[str, tuple[int, int]]) if marker.is_file() else {}
    return redrawn


def _find_pictures(images: Path, found: dict[str, SplitFiles]) -> None:
    """Add pictures to the splits, and the splits of which there are only pictures."""
    _refuse_broken_link(images)
    if not images.is_dir():
        return
    loose = False  # picture files in images/ itself
    with os.scandir(images) as entries:
        for entry in entries:
            _refuse_broken_link(Path(entry.path))
            array = re.fullmatch(r"CLEVR_(.+)_(\d+)\.npy", entry.name)
            if array:
                files = found.get(array[1], SplitFiles())
                found[array[1]] = replace(files, arrays={**files.arrays, int(array[2]): Path(entry.path)})
            elif os.path.isdir(entry.path) and (entry.name in found or _holds_pictures(entry.path)):
                found[entry.name] = replace(found.get(entry.name, SplitFiles()), images=Path(entry.path))
            elif _is_picture(entry):
                loose = True
                split = _split_of_picture(entry.name)
                if split and split not in found:
                    found[split] = SplitFiles(images=images)
    for split, files in found.items():
        arrays = dict(sorted(files.arrays.items()))
        found[split] = replace(files, arrays=arrays, images=files.images or (images if loose else None))
    for split in [name for name, files in found.items() if not (files.questions or files.scenes or files.images)]:
        del found[split]  # an array alone does not say which pictures it holds


def _refuse_broken_link(path: Path) -> None:
    """Raise DataError where `path` is a link that leads nowhere, or round in a circle."""
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(f"{path} is a link to {os.readlink(path)}, where there is nothing. Mend or remove the link.")


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(PICTURES) and not entry.name.startswith(".")


def _holds_pictures(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(map(_is_picture, entries))


def _spellings(filename: str) -> list[str]:
    """The names under which a picture may be there, its own first."""
    stem = filename.rpartition(".")[0] or filename
    return [filename, *(stem + suffix for suffix in PICTURES if stem + suffix != filename)]


def _split_of_picture(filename: str) -> str:
    """ "new" of CLEVR_new_000012.png; "" of other names."""
    found = re.fullmatch(r"CLEVR_(.+)_\d+\.\w+", filename)
    return found[1] if found else ""


def _split_of_file(path: Path) -> str:
    """The split of a file that does not have it in its name, from the first picture that it speaks of."""
    found = re.search(rb'"image_filename"\s*:\s*"CLEVR_([^"]+)_\d+\.', _head(path))
    return found[1].decode(errors="replace") if found else "new"  # the public generator's own default


def _has_answers(questions: Path | None) -> bool:
    """Whether the first questions of a file have answers."""
    return questions is not None and re.search(rb'"answer"\s*:(?!\s*null)', _head(questions)) is not None


def _head(path: Path) -> bytes:
    with open_input(path) as file:
        return file.read(_HEAD)
