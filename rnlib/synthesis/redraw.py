"""The pictures of a CLEVR set's scenes, drawn by this renderer: experiments from pixels without the set's own pictures.

    images/CLEVR_{split}_{side}.npy     one array a split (rnlib.synthesis.image_writer)
    redrawn.json                        the splits whose pictures are not their set's own; titles say so from then on.
                                        Beside each name: width and height of the picture that pixel_coords speak of

Cameras are fitted to each scene, lamps stand at their mean places (rnlib.synthesis.camera_fit).
"""

import filecmp
import os
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from rnlib.clevr.layout import REDRAWN, ClevrDirectory, picture_array_file, questions_file, scenes_file
from rnlib.clevr.split import Split, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.files import atomic_write, make_folder, open_input, sole_user, write_json
from rnlib.progress import progress
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View
from rnlib.synthesis.camera_fit import fit_camera
from rnlib.synthesis.chunks import makers
from rnlib.synthesis.image_writer import ArrayGallery
from rnlib.synthesis.settings import CHUNK, SIDES


def draw_set(
    clevr: Path | str,
    side: int,
    *,
    out: Path | str | None = None,
    splits: Sequence[str] = (),
    view: tuple[int, int] | None = None,
    workers: int | None = None,
) -> Path:
    """Draw the pictures of a CLEVR set as arrays of `side` x `side` pixels; returns the folder that has them.

    out: another folder, which gets the JSON files too; None: the set itself, which then must have no pictures of its
    own. splits: which (none: all that have scenes). view: width and height of the picture that pixel_coords speak of
    (None: of the set's pictures, else 480x320). workers: processes, as `processes` takes it. After an interruption the
    same call continues. Raises ConfigError or DataError for what cannot be drawn.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise ConfigError(f"expected pictures of {SIDES[0]} to {SIDES[1]} pixels a side, found {side}.")
    if view is not None and min(view) < 1:
        raise ConfigError(f"expected a view of at least 1x1 pixels, found {view[0]}x{view[1]}. CLEVR's is 480x320.")
    source = ClevrDirectory.find(clevr)
    for name in splits:
        source.require(name)
    chosen = [name for name in splits or source.splits() if source.files[name].scenes]
    for name in [one for one in splits or source.splits() if one not in chosen]:
        print(f"{name}: left out, for it has no scenes to draw ({source.scenes(name)})", flush=True)
    if not chosen:
        raise DataError(f"expected scenes in {source.root}, from which pictures are drawn, found none.")
    target = source.root if out is None else Path(out)
    _require_no_own_pictures(target, chosen)
    for name in chosen:
        _require_same_files(source, name, target)
    views = dict(ClevrDirectory.find(target).redrawn) if os.path.isfile(target / REDRAWN) else {}
    opened = [_opened(source.root, name, view or views.get(name)) for name in chosen]
    with sole_user(target, "drawing"):
        for split, size in opened:
            views[split.name] = size
            write_json(target / REDRAWN, views)
            if target != source.root:
                _take_over(source, split.name, target)
            _draw_split(split, size, picture_array_file(target, split.name, side), side, workers)
    return target


def _opened(root: Path, name: str, view: tuple[int, int] | None) -> tuple[Split, tuple[int, int]]:
    """A split to draw and its view. Raises DataError where its first scene fits no camera, before anything is made."""
    split = open_split(root, name, images=None)
    size = view or split.picture_size(0)
    scenes = (split.scene(row) for row in range(split.n_images))
    if first := next((scene for scene in scenes if scene.objects), None):
        fit_camera(first, size)
    return split, size


def _draw_split(split: Split, view: tuple[int, int], path: Path, side: int, workers: int | None) -> None:
    """Fill the array of a split: row i is the picture of image_index i, black where there is no such scene."""
    pictures = split.image_indices[-1] + 1
    gallery = ArrayGallery(path, pictures, side, CHUNK)
    there = gallery.prepare()
    starts = [start for start in range(0, pictures, CHUNK) if start not in there]
    make = partial(_draw_chunk, split.directory.root, split.name, view, gallery)
    with makers(workers, CHUNK * len(starts), drawing=True) as make_all:
        what = f"drawing {pictures:,} pictures of {split.name} in chunks of {CHUNK}"
        for start in progress(make_all(make, starts), len(starts), what, True, "chunks"):
            gallery.note(start)
    gallery.finish()


def _draw_chunk(root: Path, name: str, view: tuple[int, int], gallery: ArrayGallery, start: int) -> int:
    from rnlib.synthesis.pictures import draw  # loads numba, which commands that draw nothing can do without

    split, row_of = _read_once(root, name)
    indices = range(start, min(start + CHUNK, gallery.pictures))
    scenes = [split.scene(row_of[index]) for index in indices if index in row_of]
    nowhere = Camera(np.array(CAMERA), view)  # an empty scene does not tell where its camera was
    views = [View(fit_camera(scene, view) if scene.objects else nowhere, LAMPS) for scene in scenes]
    pictures = np.zeros((len(indices), gallery.side, gallery.side, 3), np.uint8)
    pictures[[index in row_of for index in indices]] = draw(scenes, views, (gallery.side, gallery.side))
    gallery.write(start, pictures)
    return start


@cache
def _read_once(root: Path, name: str) -> tuple[Split, dict[int, int]]:
    split = open_split(root, name, images=None, verbose=False)
    return split, {index: row for row, index in enumerate(split.image_indices)}


def _require_no_own_pictures(folder: Path, splits: Sequence[str]) -> None:
    """Raise ConfigError where redrawn pictures would stand beside others of the same split."""
    if not any(os.path.isdir(folder / part) for part in ("images", "questions", "scenes")):
        return
    found = ClevrDirectory.find(folder)
    for name in set(splits) & set(found.files) - set(found.redrawn):
        files = found.files[name]
        if files.images or files.arrays:
            raise ConfigError(
                f"expected no pictures of '{name}' in {folder}, found some of its own. Draw into another folder "
                "(--out DIR)."
            )


def _places(source: ClevrDirectory, name: str, target: Path) -> list[tuple[Path, Path]]:
    """The JSON files of a split, each with where CLEVR v1.0 has it in `target`."""
    files = source.files[name]
    pairs = ((files.questions, questions_file(target, name)), (files.scenes, scenes_file(target, name)))
    return [(path, place.with_suffix(path.suffix)) for path, place in pairs if path]


def _require_same_files(source: ClevrDirectory, name: str, target: Path) -> None:
    """Raise DataError where `target` holds another set's files."""
    for path, place in _places(source, name, target):
        if place.exists() and not place.samefile(path) and not filecmp.cmp(path, place, shallow=False):
            raise DataError(
                f"expected {place} to be that of {source.root}, found another file. Draw into an empty folder."
            )


def _take_over(source: ClevrDirectory, name: str, target: Path) -> None:
    """Link (or copy) the JSON files of a split to where CLEVR v1.0 has them."""
    for path, place in _places(source, name, target):
        if place.exists():
            continue
        make_folder(place.parent, "the redrawn set")
        try:
            os.link(path, place)
        except OSError:  # another disk
            with open_input(path) as file, atomic_write(place) as copy:
                shutil.copyfileobj(file, copy)
