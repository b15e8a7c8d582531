"""What each cell of a picture holds, from its scene, and how far a network is from saying so."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.model.objects.pixels import SIZES
from rnlib.model.preset import Preset

# A cell and those around it.
_AROUND = np.array([(0, 0), (-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)])


def what_cells_hold(
    split: Split,
    pictures: Integer[np.ndarray, " batch"],
    preset: Preset,
    move: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Integer[np.ndarray, "batch cells 4"], Float[np.ndarray, "batch cells 3"]]:
    """Of the object in each cell: codes (from 1) of colour, material, shape and size, and x, y, z; else zeros.

    move: where points (batch, points, 2) of the pictures are in what the network sees, in pixels of the preset; None
    for pictures as they are. All pictures of a split are taken to be of the size of its first.
    """
    codes, size, side = split.codes[pictures], preset.image_size, preset.cells_per_side
    points = split.pixel_coords[pictures, :, :2] * (size / np.array(split.picture_size(0), np.float32))
    if move is not None:
        points = move(points)
    points = points * side / size  # in cells
    seen = (codes[:, :, 0] != 0) & ((points >= 0) & (points < side)).all(2)
    held = np.zeros((len(pictures), side**2, codes.shape[2]), np.int64)
    world = np.zeros((len(pictures), side**2, 3), np.float32)
    every = np.arange(len(pictures))
    nearest_first = np.argsort(split.pixel_coords[pictures, :, 2], axis=1, kind="stable").T
    for steps in (_AROUND[:1], _AROUND):  # first those that have the cell of their centre, then the others
        for column in nearest_first:
            point = points[every, column]
            around = np.floor(point).astype(int)[:, None] + steps
            cells = (around[:, :, 1] * side + around[:, :, 0]).clip(0, side**2 - 1)
            distance = np.linalg.norm(around + 0.5 - point[:, None], axis=2)
            distance[((around < 0) | (around >= side)).any(2) | (held[every[:, None], cells, 0] > 0)] = np.inf
            best = distance.argmin(1)
            there = seen[every, column] & np.isfinite(distance[every, best])
            at = every[there], cells[every, best][there]
            held[at] = codes[every, column][there]
            world[at] = split.coordinates[pictures, column][there]
            seen[every[there], column[there]] = False  # it has its cell
    return held, world


def cell_loss(
    outputs: Float[Tensor, "batch cells outputs"],
    held: Integer[Tensor, "batch cells 4"],
    places: Float[Tensor, "batch cells 3"],
    placed: Bool[Tensor, " batch"] | None = None,
    count: float | None = None,
) -> Tensor:
    """Cross-entropies of holding an object (over all cells) and of its attributes (over those that do), per object.

    Where the outputs tell x, y, z, the mean distance along the axes (smooth below 0.1) is added; `placed` says of
    which pictures `places` is true (None: of all). count: the objects to divide by, where this is a share of a batch
    and `placed` is None (None: those in the cells).
    """
    occupied = held[:, :, 0] > 0
    found, all_objects = outputs[occupied], count or max(1, int(occupied.sum()))
    holds = occupied.to(outputs.dtype)
    loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, :, 0], holds, reduction="sum") / all_objects
    for values, codes in zip(found[:, 1 : 1 + sum(SIZES)].split(SIZES, 1), held[occupied].T, strict=True):
        loss = loss + nn.functional.cross_entropy(values, codes - 1, reduction="sum") / all_objects
    if outputs.shape[2] > 1 + sum(SIZES):
        if placed is not None:
            occupied = occupied & placed[:, None]
        told, truth = outputs[occupied][:, -3:], places[occupied]
        distance = nn.functional.smooth_l1_loss(told, truth, reduction="sum", beta=0.1)
        loss = loss + distance / (count or max(1, len(truth)))
    return loss


def require_objects(split: Split, preset: Preset) -> None:
    """Raise DataError where no object of a split lies within its picture."""
    held, _ = what_cells_hold(split, np.arange(min(split.n_images, 1000)), preset)
    if not held.any():
        raise DataError(
            f"expected objects whose pixel_coords lie within the pictures of {split.name}, found none in "
            f"{split.directory.scenes(split.name)}. Were these pictures rendered from these scenes, in this size?"
        )
