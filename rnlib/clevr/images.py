"""Pictures as one uint8 array (images, 3, size, size): each PNG is decoded once, in parallel, resumably.

The 480x320 picture is squeezed to a square with PIL's antialiased bilinear filter, as the
seed does; a plain bilinear resize loses answers.
"""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from rnlib.clevr.cache import replace_folder, seal
from rnlib.errors import DataError, reason
from rnlib.files import open_input, read_json, reserve_space, write_json
from rnlib.process_pool import process_pool
from rnlib.progress import progress

_CHUNK = 64  # pictures decoded at a time
_SAVE_EVERY = 16  # chunks after which the progress is noted on disk


def open_picture(path: Path) -> Image.Image:
    """A picture file in its full size, in RGB, turned as its EXIF data say. Raises DataError if it cannot be read."""
    try:
        with open_input(path, what="picture") as file, Image.open(file) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits of grey, which PIL would cut off at 255
                upright = Image.fromarray((np.asarray(upright) >> 8).clip(0, 255).astype(np.uint8))
            return upright.convert("RGB")
    except UnidentifiedImageError:
        raise DataError(
            f"the picture {path} cannot be read: expected a PNG or JPEG, found neither this nor another kind that is "
            "known. Save it as PNG or JPEG (HEIC and RAW files too), or fetch it again if it is damaged."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = reason(error)
    raise DataError(f"the picture {path} cannot be read ({problem}). It is damaged: fetch or make it again.")


def read_image(path: Path, size: int) -> UInt8[np.ndarray, "3 size size"]:
    """One picture, squeezed to size x size pixels, channels first, 0..255. Raises DataError if it cannot be read."""
    return _squeeze(open_picture(path), size)


def squeeze(picture: UInt8[np.ndarray, "height width 3"], size: int) -> UInt8[np.ndarray, "3 size size"]:
    """As read_image, for a picture that is in memory."""
    return _squeeze(Image.fromarray(picture), size)


def _squeeze(picture: Image.Image, size: int) -> np.ndarray:
    squeezed = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(squeezed).transpose(2, 0, 1))


class _Progress(msgspec.Struct):
    """What is there of an array that is being made: of which pictures, and the first ones of its finished chunks."""

    source: str
    done: list[int]


def prepare_images(
    pictures: Sequence[Path], size: int, folder: Path, source: str, workers: int | None, verbose: bool
) -> None:
    """Decode `pictures` into `folder`/images.npy. A run that was killed continues where it stopped."""
    made = folder.with_name(folder.name + ".part")
    array_file, progress_file = made / "images.npy", made / "progress.json"
    shape = (len(pictures), 3, size, size)
    done: set[int] = set()
    try:
        state = read_json(progress_file, _Progress)
        array = np.load(array_file, mmap_mode="r+", allow_pickle=False)
        if state.source == source and array.shape == shape:
            done = set(state.done)
    except (DataError, OSError, ValueError):
        pass
    if not done:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        try:
            np.lib.format.open_memmap(array_file, mode="w+", dtype=np.uint8, shape=shape).flush()
            reserve_space(array_file)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise DataError(
                f"cannot write {array_file}: {reason(error)}. Free some space or choose --cache DIR."
            ) from None
    starts = [start for start in range(0, len(pictures), _CHUNK) if start not in done]
    what = f"decoding {len(pictures):,} pictures in chunks of {_CHUNK}"
    chunks = ((start, pictures[start : start + _CHUNK]) for start in starts)
    count = 1 if len(starts) <= 2 else min(workers or os.cpu_count() or 1, len(starts))
    with process_pool(count, "decodes pictures") as make_all:
        finished = make_all(partial(_decode_chunk, array_file, size), chunks)
        for number, start in enumerate(progress(finished, len(starts), what, verbose, "chunks"), 1):
            done.add(start)
            if number % _SAVE_EVERY == 0:
                write_json(progress_file, {"source": source, "done": sorted(done)})
    progress_file.unlink(missing_ok=True)
    seal(made, ["images"], source, {"size": size})
    replace_folder(made, folder)


def _decode_chunk(array_file: Path, size: int, chunk: tuple[int, Sequence[Path]]) -> int:
    start, pictures = chunk
    array = np.load(array_file, mmap_mode="r+", allow_pickle=False)
    for row, picture in enumerate(pictures, start):
        array[row] = read_image(picture, size)
    array.flush()
    return start
