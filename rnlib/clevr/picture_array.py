"""A split's pictures in one file: images/CLEVR_{split}_{side}.npy, as synthetic sets may have instead of PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnlib.errors import DataError, reason
from rnlib.files import open_input


def open_picture_array(path: Path, side: int, pictures: int, *, more: bool = False) -> np.ndarray:
    """The memory-mapped array, uint8 (pictures, 3, side, side); with `more` it may hold further pictures.

    Raises DataError where it is absent, cut short, damaged, or of another shape.
    """
    expected = f"expected {path} to hold {pictures:,} pictures of {side} x {side} pixels"
    advice = "It belongs to another set or was copied in part: copy or make it again."
    try:
        open_input(path).close()
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise DataError(f"{expected}, but it is damaged or cut short ({reason(error)}). {advice}") from None
    if array.dtype != np.uint8 or array.shape[1:] != (3, side, side):
        raise DataError(f"{expected} as uint8 (pictures, 3, side, side), found {array.dtype} {array.shape}. {advice}")
    if len(array) < pictures or (len(array) > pictures and not more):
        raise DataError(f"{expected}, found {len(array):,}. {advice}")
    return array


class JoinedPictures:
    """Picture arrays of one size, one after another, as one: read where they are, not copied.

    Takes rows as an integer array, as a network asks for them: `joined[rows]` is uint8 (rows, 3, side, side).
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = arrays
        self._begins = np.cumsum([0, *map(len, arrays)])
        self.shape = (int(self._begins[-1]), *arrays[0].shape[1:])
        self.nbytes = sum(array.nbytes for array in arrays)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        pictures = np.empty((len(rows), *self.shape[1:]), np.uint8)
        source = np.searchsorted(self._begins, rows, side="right") - 1
        for number in np.unique(source):
            chosen = source == number
            pictures[chosen] = self._arrays[number][rows[chosen] - self._begins[number]]
        return pictures

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self._arrays)
