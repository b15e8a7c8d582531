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

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.split import Split
from rnlib.clevr.subsets import hold_out
from rnlib.model.checkpoint import CELLS_FORMAT
from rnlib.model.inputs import pictures_of
from rnlib.model.objects.pixels import SIZES, DescribedObjects, PixelObjects, require_pixels
from rnlib.model.preset import Preset, require_memory
from rnlib.training.augment import AUGMENTATIONS
from rnlib.training.cell_recipe import CellRecipe
from rnlib.training.cell_targets import cell_loss, require_objects, what_cells_hold
from rnlib.training.picture_task import PictureTask
from rnlib.training.recipe import Recipe
from rnlib.training.resume_state import Position, Row
from rnlib.training.run_folder import TrainingFolder
from rnlib.training.run_trainer import Options
from rnlib.training.trainer import moving_average, require_finite


class CellClassifier(nn.Module):
    """Pictures -> for each cell a logit of holding an object, logits of its 15 attribute values, and perhaps x, y, z.

    A preset with `describing_channels` brings what says that, x, y, z included; for others a linear layer does.
    """

    def __init__(self, preset: Preset) -> None:
        """Raises ConfigError for a preset that does not read pictures."""
        super().__init__()
        require_pixels(preset)
        require_memory(preset)
        self.preset = preset
        self.objects = cast(PixelObjects, preset.kind(preset))
        self.layer = None if preset.describes else nn.Linear(preset.object_size, 1 + sum(SIZES))

    def forward(self, images: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch cells outputs"]:
        if isinstance(self.objects, DescribedObjects):
            return self.objects.described(images)
        assert self.layer is not None
        return self.layer(self.objects(images))


class CellTask(PictureTask):
    """What each cell holds, as a task of the trainer; judged by the objects of which all attributes are right."""

    format = CELLS_FORMAT

    def __init__(self, preset: Preset, recipe: CellRecipe, splits: Sequence[Split], device: torch.device | str) -> None:
        super().__init__(CellClassifier, preset, recipe, splits, device)
        self.augmentation = AUGMENTATIONS[preset.kind.augmentation]
        for split in splits:
            require_objects(split, preset)
        cast(CellClassifier, self.network).objects.precision = recipe.precision
        self.schedule = Recipe(
            lr=recipe.lr, lr_schedule=recipe.lr_schedule, lr_warmup=recipe.lr_warmup, epochs=recipe.epochs
        )

    def draw(self, epoch: int, pictures: int) -> np.ndarray:
        """What happens to each picture in an epoch; mirroring is an option."""
        return self.augmentation.draw(self.recipe.seed, epoch, pictures, self.preset.image_size, True)

    def lr_at(self, position: Position, done: float) -> float:
        """Half a cosine after the warm-up."""
        return self.schedule.lr_at(position.epoch, done)

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """The loss of `cell_loss` on a batch of pictures."""
        split, preset, augmentation = self.splits[0], self.preset, self.augmentation
        draws, size = self.draws[batch], preset.image_size
        images = augmentation.apply(pictures_of(split, batch, self.device), torch.from_numpy(draws).to(self.device))
        held, places = what_cells_hold(split, batch, preset, lambda points: augmentation.move(points, draws, size))
        told = [torch.from_numpy(one).to(self.device) for one in (held, places, augmentation.placed(draws))]
        return cell_loss(self.network(images), told[0], told[1], told[2])

    def validate(self, network: nn.Module, position: Position, train_loss: float) -> tuple[Row, dict[str, Any]]:
        """Shares of right cells and objects on the validation pictures."""
        found = evaluate_cells(cast(CellClassifier, network), self.splits[1], self.device)
        row: Row = {"epoch": position.epoch, "train_loss": train_loss, **found, "seconds": position.seconds}
        return row, {"cells": found}

    def score(self, row: Row) -> float:
        """The share of objects of which all attributes are right."""
        return row["val_object"]


def train_cells(
    preset: Preset, recipe: CellRecipe, splits: Sequence[Split], out: Path | str, options: Options | None = None
) -> TrainingFolder:
    """Teach the convolutions of a preset what cells hold, or continue the training in the folder `out`.

    splits: for training and for validation. It can be interrupted, paused and stopped like any training. Raises
    ConfigError where `out` holds another training or a preset reads no pictures; DataError for splits without scenes
    or without pictures of the preset's size.
    """
    options = options or Options()
    task = CellTask(preset, recipe, hold_out(recipe.held_out, *splits), options.device)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=recipe.lr, fused=True)
    average = moving_average(task.network, recipe.ema) if recipe.ema else None
    return task.train(optimizer, out, options, lambda row: _epoch_line(row, recipe.epochs), average)


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
        require_finite(float(logits.abs().max()), "an output for the validation pictures")
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
