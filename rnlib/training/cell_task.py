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
from jaxtyping import Float
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.split import Split
from rnlib.clevr.subsets import hold_out
from rnlib.errors import DataError
from rnlib.model.checkpoint import CELLS_FORMAT, write_weights
from rnlib.model.inputs import pictures_of, require_pictures
from rnlib.model.objects.pixels import SIZES, DescribedObjects, PixelObjects, require_pixels
from rnlib.model.preset import Preset
from rnlib.provenance import provenance
from rnlib.training.augment import augment, draw_augmentations, draw_recoloring, moved_points, recolor
from rnlib.training.cell_recipe import CellRecipe
from rnlib.training.cell_targets import cell_loss, mirror_points, what_cells_hold
from rnlib.training.fit import Options, fit
from rnlib.training.recipe import Recipe
from rnlib.training.run_folder import TrainingFolder, pictures_config
from rnlib.training.state import Position, Row
from rnlib.training.trainer import Batches, Trainer, moving_average

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
        self.objects = cast(PixelObjects, preset.kind(preset))
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
        if self.network.preset.describes:
            self.draws = draw_recoloring(recipe.seed, position.epoch, pictures)
        else:
            self.draws = draw_augmentations(recipe.seed, position.epoch, pictures, self.network.preset.image_size)
        return Batches(np.random.default_rng([recipe.seed, position.epoch]).permutation(pictures), recipe.batch_size)

    def lr_at(self, position: Position, done: float) -> float:
        """Half a cosine after the warm-up."""
        return self.schedule.lr_at(position.epoch, done)

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """The loss of `cell_loss` on a batch of pictures."""
        split, preset = self.splits[0], self.network.preset
        images, draws, size = pictures_of(split, batch, self.device), self.draws[batch], preset.image_size
        placed = None
        if preset.describes:
            mirrored = draws[:, 0] > 0
            images = recolor(images, torch.from_numpy(draws).to(self.device))
            placed = torch.from_numpy(~mirrored).to(self.device)  # x, y, z of a mirrored picture are not its scene's
            held, places = what_cells_hold(split, batch, preset, lambda points: mirror_points(points, mirrored, size))
        else:
            images = augment(images, torch.from_numpy(draws).to(self.device))
            held, places = what_cells_hold(split, batch, preset, lambda points: moved_points(points, draws, size))
        told = torch.from_numpy(held).to(self.device), torch.from_numpy(places).to(self.device)
        return cell_loss(self.network(images), *told, placed)

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
        held, places = map(torch.from_numpy, what_cells_hold(split, pictures, network.preset))
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
