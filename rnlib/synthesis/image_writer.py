"""Where the pictures of a split go: PNG files as in the release, or one array as a network reads them.

Both are filled chunk by chunk, know after an interruption which chunks are there, and put
nothing half-written under a final name.

    images/{split}/CLEVR_{split}_%06d.png
    images/CLEVR_{split}_{side}.npy              uint8 (pictures, 3, side, side)
    images/CLEVR_{split}_{side}.npy.unfinished   the array while it is filled; beside it, in
    images/CLEVR_{split}_{side}.npy.chunks       a line for each chunk that is in it: the number of its first picture
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rnlib.clevr.layout import images_folder, picture_array_file
from rnlib.clevr.picture_array import open_picture_array
from rnlib.errors import DataError, reason
from rnlib.files import atomic_write, make_folder, reserve_space
from rnlib.synthesis.settings import CHUNK, Arguments

PNG_COMPRESSION = 1  # a quarter larger than the default, and twice as fast


@dataclass(frozen=True)
class PngGallery:
    """A PNG file a picture."""

    folder: Path
    split: str
    pictures: int
    chunk: int

    def whole(self) -> bool:
        """Whether all pictures are there under their final names."""
        return len(self._names()) == self.pictures

    def prepare(self) -> set[int]:
        """Make room for the pictures; returns the starts of the chunks that are there."""
        make_folder(self.folder, f"the pictures of {self.split}")
        found = self._names()
        starts = range(0, self.pictures, self.chunk)
        return {
            start
            for start in starts
            if all(self._name(i) in found for i in range(start, min(start + self.chunk, self.pictures)))
        }

    def write(self, start: int, pictures: np.ndarray) -> None:
        """Write the pictures of a chunk, uint8 (pictures, height, width, 3)."""
        for i, picture in enumerate(pictures, start):
            with atomic_write(self.folder / self._name(i)) as file:
                Image.fromarray(picture).save(file, "PNG", compress_level=PNG_COMPRESSION)

    def note(self, start: int) -> None:
        """Remember that a chunk is there: its files say so."""

    def finish(self) -> None:
        """Nothing is left to do."""

    def _name(self, i: int) -> str:
        return f"CLEVR_{self.split}_{i:06d}.png"

    def _names(self) -> set[str]:
        return {path.name for path in self.folder.glob("CLEVR_*.png")}


@dataclass(frozen=True)
class ArrayGallery:
    """One array for all pictures, squares of `side` pixels, in the format of the prepared cache."""

    path: Path
    pictures: int
    side: int
    chunk: int

    def whole(self) -> bool:
        """As PngGallery."""
        try:
            open_picture_array(self.path, self.side, self.pictures)
        except DataError:
            return False
        return True

    def prepare(self) -> set[int]:
        """As PngGallery. Takes the space of the whole array at once: too little is an error now, not at the end."""
        starts = range(0, self.pictures, self.chunk)
        if self.whole():
            return set(starts)
        try:
            lines = self._notes.read_text().split("\n")[:-1]  # what follows the last line's end was cut short
            open_picture_array(self._unfinished, self.side, self.pictures)
            done = {int(line) for line in lines} & set(starts)
        except (OSError, ValueError, DataError):
            self._allocate()
            return set()
        with atomic_write(self._notes, "w") as file:
            file.writelines(f"{start}\n" for start in sorted(done))
        return done

    def _allocate(self) -> None:
        make_folder(self.path.parent, "the pictures")
        try:
            self._notes.unlink(missing_ok=True)
            shape = (self.pictures, 3, self.side, self.side)
            np.lib.format.open_memmap(self._unfinished, mode="w+", dtype=np.uint8, shape=shape).flush()
            reserve_space(self._unfinished)
        except OSError as error:
            with suppress(OSError):
                self._unfinished.unlink()
            raise self._cannot_write(error) from None

    def write(self, start: int, pictures: np.ndarray) -> None:
        """As PngGallery. Not through a memory map: there a full disk kills the process."""
        each = 3 * self.side * self.side
        try:
            with open(self._unfinished, "r+b") as file:
                header = self._unfinished.stat().st_size - self.pictures * each
                file.seek(header + start * each)
                file.write(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from None

    def note(self, start: int) -> None:
        """Remember that a chunk is there."""
        try:
            with open(self._notes, "a") as file:
                file.write(f"{start}\n")
        except OSError as error:
            raise self._cannot_write(error) from None

    def finish(self) -> None:
        """Give the array its name, now that all chunks are there."""
        try:
            if self._unfinished.exists():
                os.replace(self._unfinished, self.path)
            self._notes.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None

    @property
    def _unfinished(self) -> Path:
        return self.path.with_name(self.path.name + ".unfinished")

    @property
    def _notes(self) -> Path:
        return self.path.with_name(self.path.name + ".chunks")

    def _cannot_write(self, error: OSError) -> DataError:
        return DataError(
            f"cannot write {self.path}: {reason(error)}. Free some space, or choose a folder that can be written to; "
            "what is drawn already is kept."
        )


Gallery = PngGallery | ArrayGallery


def gallery_of(out: Path, arguments: Arguments, split: str) -> Gallery | None:
    """The gallery of a split of the set in `out`; None for a set without pictures."""
    pictures = arguments.scenes(split)
    if arguments.images is None:
        return None
    if isinstance(arguments.images, int):
        return ArrayGallery(picture_array_file(out, split, arguments.images), pictures, arguments.images, CHUNK)
    return PngGallery(images_folder(out, split), split, pictures, CHUNK)
