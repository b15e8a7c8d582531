"""Whether all of a CLEVR set is there and whole."""

from collections.abc import Sequence
from pathlib import Path

from rnlib.clevr.arrays import read_tables
from rnlib.clevr.constants import OFFICIAL_COUNTS
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.picture_array import open_picture_array


def check_directory(path: Path | str) -> list[dict[str, object]]:
    """Read every JSON file of a CLEVR set whole and compare it with its pictures.

    Returns one row per split: split, images, scenes, questions, `pictures` ("files", "128 x 128 array", "none"), and
    `official`, which says how the counts compare with the v1.0 release. Raises DataError at the first fault: whatever
    a later command would refuse.
    """
    directory = ClevrDirectory.find(path)
    rows: list[dict[str, object]] = []
    for split in directory.splits():
        arrays, _, filenames = read_tables(directory, split, verbose=False)
        images, questions = len(filenames), len(arrays["lengths"])
        official = OFFICIAL_COUNTS.get(split)
        rows.append(
            {
                "split": split,
                "images": images,
                "scenes": len(arrays.get("codes", ())),
                "questions": questions,
                "pictures": _check_pictures(directory, split, list(filenames.values())),
                "official": ""
                if official is None
                else "as released"
                if (images, questions) == official
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
        open_picture_array(path, side, len(filenames), more=directory.files[split].scenes is None)
    if arrays:
        return " and ".join(f"{side} x {side} array" for side in arrays)
    if not (directory.root / "images").is_dir():
        return "none"
    directory.picture_files(split, filenames)
    return "files"
