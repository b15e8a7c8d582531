"""Whether all of a CLEVR set is there and whole."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rnlib.clevr.arrays import read_tables
from rnlib.clevr.color_check import require_matching_colors
from rnlib.clevr.constants import OFFICIAL_COUNTS
from rnlib.clevr.images import open_picture
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.picture_array import open_picture_array
from rnlib.errors import DataError


def check_directory(path: Path | str, *, colors: bool = False) -> list[dict[str, object]]:
    """Read every JSON file of a CLEVR set whole and compare it with its pictures.

    colors: whether the pictures' colours are compared with those that the scenes name, too.

    Returns one row per split: split, images, scenes, questions, `pictures` ("files", "128 x 128 array", "none"), and
    `official`, which says how the counts compare with the v1.0 release. Raises DataError at the first fault: whatever
    a later command would refuse.
    """
    directory = ClevrDirectory.find(path)
    rows: list[dict[str, object]] = []
    for split in directory.splits():
        arrays, _, filenames = read_tables(directory, split, verbose=False)
        images, questions = len(filenames), len(arrays["lengths"])
        pictures = _check_pictures(directory, split, filenames)
        if colors and pictures != "none" and "codes" in arrays:
            picture_of = partial(_picture, directory, split, list(filenames.items()))
            view = directory.array_view(split) if directory.picture_arrays(split) else None
            require_matching_colors(
                arrays, picture_of, view, f"the pictures of '{split}' in {directory.root / 'images'}"
            )
        official = OFFICIAL_COUNTS.get(split)
        rows.append(
            {
                "split": split,
                "images": images,
                "scenes": len(arrays.get("codes", ())),
                "questions": questions,
                "pictures": pictures,
                "official": ""
                if official is None
                else "as released"
                if (images, questions) == official
                else f"v1.0 has {official[0]:,} / {official[1]:,}",
            }
        )
    return rows


def _check_pictures(directory: ClevrDirectory, split: str, filenames: Mapping[int, str]) -> str:
    """In which form the pictures are there. Raises DataError where some are missing or the array is damaged.

    No folder images/ at all is no fault: questions and scenes are published without pictures, too.
    """
    arrays = directory.picture_arrays(split)
    for side, path in arrays.items():
        open_picture_array(path, side, max(filenames) + 1, more=directory.files[split].scenes is None)
    if arrays:
        return " and ".join(f"{side} x {side} array" for side in arrays)
    if not (directory.root / "images").is_dir():
        return "none"
    for file in directory.picture_files(split, list(filenames.values()))[0]:
        _require_whole(file)
    return "files"


def _require_whole(file: Path) -> None:
    """Raise DataError for a PNG file that is cut short: the last of its parts tells."""
    try:
        with open(file, "rb") as opened:
            begin = opened.read(4)
            opened.seek(max(file.stat().st_size - 12, 0))
            end = opened.read()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}. Check the file and its permissions.") from None
    if not begin or (begin == b"\x89PNG" and b"IEND" not in end):
        raise DataError(f"the picture {file} is empty or cut short: fetch or make it again.")


def _picture(directory: ClevrDirectory, split: str, names: Sequence[tuple[int, str]], row: int) -> np.ndarray:
    """The picture of a row as it is stored, (height, width, 3)."""
    index, filename = names[row]
    arrays = directory.picture_arrays(split)
    if not arrays:
        return np.asarray(open_picture(directory.picture_file(split, filename)))
    side, path = list(arrays.items())[-1]
    array = open_picture_array(path, side, names[-1][0] + 1, more=directory.files[split].scenes is None)
    return array[index].transpose(1, 2, 0)
