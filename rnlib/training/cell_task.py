"""Teaching convolutions what each cell of a picture holds, from scenes: a start for training on questions.

A cell holds the object whose centre lies in it. Where several do, the nearest to the camera has it, and each other one
goes to the free cell around it whose centre is nearest. A linear layer says of each cell whether it holds an object and
with which attribute values; it is thrown away afterwards (`train --init-conv`), but for presets with
`describing_channels`, whose objects are what it says. A network begun so has been told by scenes what objects look
like: it no longer learns from questions and answers alone, as the paper's does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.plots import picture_size
from rnlib.clevr.split import Split
from rnlib.clevr.subsets import hold_out
from rnlib.errors import DataError
from rnlib.model.checkpoint import CELLS_FORMAT, write_weights
from rnlib.model.inputs import pictures_of, require_pictures
from rnlib.model.objects import SIZES, DescribedObjects, PixelObjects, object_encoder
from rnlib.model.preset import Preset, require_pixels
from rnlib.provenance import provenance
from rnlib.training.augment import augment, draw_augmentations, moved_points
from rnlib.training.cell_recipe import CellRecipe
from rnlib.training.fit import Options, fit
from rnlib.training.recipe import Recipe
from rnlib.training.run_folder import TrainingFolder, pictures_config
from rnlib.training.state import Position, Row
from rnlib.training.trainer import Batches, Trainer, moving_average

# A cell and those around it.
_AROUND = np.array([(0, 0), (-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)])
LOG_EVERY = 100  # steps between two rows of steps.csv


class CellClassifier(nn.Module):
    """Pictures -> for each cell a logit of holding an object, logits of its 15 attribute values, and perhaps x, y, z.

    A preset with `describing_channels` brings what says that, x, y, z included; for others a linear layer does.
    """

    def __init__(self, preset: Preset) -> None:
        """Raises ConfigError for a preset that does not read pictures."""
        super().__init__()
        require_pixels(preset)
        self.preset = preset
        self.objects = cast(PixelObjects, object_encoder(preset))
        self.layer = None if preset.describes else nn.Linear(preset.object_size, 1 + sum(SIZES))

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch cells outputs"]:
        if isinstance(self.objects, DescribedObjects):
            return self.objects.described(images)
        assert self.layer is not None
        return self.layer(self.objects(images))


class CellTask:
    """What each cell holds, as a task of the trainer; judged by the objects of which all attributes are right."""

    def __init__(
        self,
        preset: Preset,
        recipe: CellRecipe,
        splits: Sequence[Split],
        config: dict[str, Any],
        device: torch.device,
    ) -> None:
        """splits: for training and for validation. DataError where one has no scenes or no fitting pictures."""
        torch.manual_seed(recipe.seed)
        self.network = CellClassifier(preset).to(device)
        for split in splits:
            require_pictures(split, preset)
            if not split.has_scenes:
                raise DataError(f"expected scenes in {split.directory.scenes(split.name)}, found no such file.")
        self.recipe, self.splits, self.config, self.device = recipe, splits, config, device
        self.network.objects.precision = recipe.precision
        self.epochs = recipe.epochs
        self.schedule = Recipe(lr=recipe.lr, lr_schedule="cosine", lr_warmup=recipe.lr_warmup, epochs=recipe.epochs)

    def epochs_done(self, position: Position) -> int:
        """Finished epochs."""
        return position.epoch - 1

    def batches(self, position: Position) -> Batches:
        """The training pictures in an order of the epoch's own, and their augmentation."""
        recipe, pictures = self.recipe, self.splits[0].n_images
        if not self.network.preset.describes:
            self.draws = draw_augmentations(recipe.seed, position.epoch, pictures, self.network.preset.image_size)
        return Batches(np.random.default_rng([recipe.seed, position.epoch]).permutation(pictures), recipe.batch_size)

    def lr_at(self, position: Position, done: float) -> float:
        """Half a cosine after the warm-up."""
        return self.schedule.lr_at(position.epoch, done)

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """The loss of `cell_loss` on a batch of pictures."""
        split, preset = self.splits[0], self.network.preset
        images, draws = pictures_of(split, batch, self.device), None
        if not preset.describes:  # x, y, z of a picture that is moved are not those of its scene
            draws = self.draws[batch]
            images = augment(images, torch.from_numpy(draws).to(self.device))
        held, places = map(torch.from_numpy, what_cells_hold(split, batch, preset, draws))
        return cell_loss(self.network(images), held.to(self.device), places.to(self.device))

    def validate(self, network: nn.Module, position: Position, train_loss: float) -> tuple[Row, dict[str, Any]]:
        """Shares of right cells and objects on the validation pictures."""
        found = evaluate_cells(cast(CellClassifier, network), self.splits[1], self.device)
        row: Row = {"epoch": position.epoch, "train_loss": train_loss, **found, "seconds": position.seconds}
        return row, {"cells": found}

    def score(self, row: Row) -> float:
        """The share of objects of which all attributes are right."""
        return row["val_object"]

    def save_weights(self, path: Path, network: nn.Module, metrics: dict[str, Any], epoch: int) -> None:
        """Write the weights with what they come from."""
        info = {
            "format": CELLS_FORMAT,
            "preset": msgspec.to_builtins(self.network.preset),
            "metrics": metrics,
            "provenance": provenance({"training": self.recipe.seed}, **self.config, epoch=epoch),
        }
        write_weights(path, network.state_dict(), info)

    def next_epoch(self, position: Position, row: Row) -> None:
        """Go to the next epoch."""
        position.next_epoch()


def train_cells(
    preset: Preset, recipe: CellRecipe, splits: Sequence[Split], out: Path | str, options: Options | None = None
) -> TrainingFolder:
    """Teach the convolutions of a preset what cells hold, or continue the training in the folder `out`.

    splits: for training and for validation. It can be interrupted, paused and stopped like any training. Raises
    ConfigError where `out` holds another training or a preset reads no pictures; DataError for splits without scenes
    or without pictures of the preset's size.
    """
    options = options or Options()
    splits = hold_out(recipe.held_out, *splits)
    device, folder = torch.device(options.device), TrainingFolder(out)
    config = pictures_config(preset, recipe, *splits)
    task = CellTask(preset, recipe, splits, config, device)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=recipe.lr, fused=True)
    average = moving_average(task.network, recipe.ema) if recipe.ema else None
    trainer = Trainer(task, optimizer, folder, config, average=average, keeps=options.saving.keeps, device=device)
    resumed = trainer.resume()
    if resumed and options.verbose and trainer.position.epoch <= recipe.epochs:
        print(f"continuing at epoch {trainer.position.epoch}, step {trainer.position.step}, from {resumed}", flush=True)
    fit(trainer, options, LOG_EVERY, lambda row: _epoch_line(row, recipe.epochs))
    return folder


def what_cells_hold(
    split: Split, pictures: Integer[np.ndarray, " batch"], preset: Preset, draws: Float[np.ndarray, "batch 3"] | None
) -> tuple[Integer[np.ndarray, "batch cells 4"], Float[np.ndarray, "batch cells 3"]]:
    """Of the object in each cell: codes (from 1) of colour, material, shape and size, and x, y, z; else zeros.

    draws: the augmentation of each picture (`draw_augmentations`), None for pictures as they are. All pictures of a
    split are taken to be of the size of its first.
    """
    codes, size, side = split.codes[pictures], preset.image_size, preset.cells_per_side
    points = split.pixel_coords[pictures, :, :2] * (size / np.array(picture_size(split, 0), np.float32))
    if draws is not None:
        points = moved_points(points, draws, size)
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
) -> Tensor:
    """Cross-entropies of holding an object (mean over all cells) and of its attributes (mean over those that do).

    Where the outputs tell x, y, z, the mean distance along the axes (smooth below 0.1) is added.
    """
    occupied = held[:, :, 0] > 0
    loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, :, 0], occupied.to(outputs.dtype))
    found, count = outputs[occupied], max(1, int(occupied.sum()))
    for values, codes in zip(found[:, 1 : 1 + sum(SIZES)].split(SIZES, 1), held[occupied].T, strict=True):
        loss = loss + nn.functional.cross_entropy(values, codes - 1, reduction="sum") / count
    if outputs.shape[2] > 1 + sum(SIZES):
        distance = nn.functional.smooth_l1_loss(found[:, -3:], places[occupied], reduction="sum", beta=0.1)
        loss = loss + distance / count
    return loss


@torch.inference_mode()
def evaluate_cells(
    network: CellClassifier, split: Split, device: torch.device | str, chunk: int = 256
) -> dict[str, float]:
    """Shares of right answers: `val_cell` (does it hold an object), of objects each attribute, and `val_object` (all).

    `val_distance`: the median distance of x, y from the object's, in world units, where the network tells them.
    Objects for which no cell is free do not count.
    """
    network.eval()
    right, cells, distances = [], [], []
    for start in range(0, split.n_images, chunk):
        pictures = np.arange(start, min(start + chunk, split.n_images))
        logits = network(pictures_of(split, pictures, device)).cpu()
        held, places = map(torch.from_numpy, what_cells_hold(split, pictures, network.preset, None))
        occupied = held[:, :, 0] > 0
        cells.append(((logits[:, :, 0] > 0) == occupied).flatten())
        found = logits[occupied]
        values = found[:, 1 : 1 + sum(SIZES)].split(SIZES, 1)
        if network.preset.describes:
            distances.append((found[:, -3:-1] - places[occupied][:, :2]).norm(dim=1))
        right.append(torch.stack([value.argmax(1) for value in values], 1) == held[occupied] - 1)
    objects = torch.cat(right).numpy()
    shares = {"val_cell": float(torch.cat(cells).numpy().mean())}
    shares |= {f"val_{name}": float(objects[:, column].mean()) for column, name in enumerate(ATTRIBUTES)}
    if distances:
        shares["val_distance"] = float(torch.cat(distances).median())
    return {**shares, "val_object": float(objects.all(1).mean())}


def _epoch_line(row: Row, epochs: int) -> str:
    return (
        f"epoch {row['epoch']}/{epochs}  train loss {row['train_loss']:.4f}  cells {100 * row['val_cell']:.1f} %  "
        f"objects {100 * row['val_object']:.1f} %"
    )
