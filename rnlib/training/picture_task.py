"""Training on pictures and their scenes, without questions: what such tasks of the trainer share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec
import numpy as np
import torch
from jaxtyping import Integer
from torch import nn
from torch.optim.swa_utils import AveragedModel

from rnlib.clevr.split import Split
from rnlib.model.checkpoint import write_weights
from rnlib.model.inputs import require_pictures
from rnlib.model.preset import Preset
from rnlib.provenance import provenance
from rnlib.training.augment import draw_augmentations
from rnlib.training.resume_state import Position, Row
from rnlib.training.run_folder import TrainingFolder, pictures_config
from rnlib.training.run_trainer import Options, fit
from rnlib.training.trainer import Batches, Task, Trainer

LOG_EVERY = 100  # steps between two rows of steps.csv


class PictureTask:
    """A network that learns from pictures and their scenes. Loss, validation and score are those of the subclasses.

    format: of the weights file. about: what else its JSON says of the network.
    """

    format: ClassVar[str]
    about: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        network: Callable[[Preset], nn.Module],
        preset: Preset,
        recipe: Any,
        splits: Sequence[Split],
        device: torch.device | str,
    ) -> None:
        """recipe: has epochs, batch_size, lr and seed. splits: for training and for validation.

        Raises DataError where a split has no scenes or no pictures of the preset's size.
        """
        torch.manual_seed(recipe.seed)
        self.network = network(preset).to(device)
        for split in splits:
            require_pictures(split, preset)
            split.require_scenes()
        self.preset, self.recipe, self.splits, self.device = preset, recipe, splits, torch.device(device)
        self.config = pictures_config(preset, recipe, *splits)
        self.rows = [self.chosen(split) for split in splits]
        self.epochs = recipe.epochs

    def chosen(self, split: Split) -> Integer[np.ndarray, " pictures"]:
        """The pictures of a split that are used."""
        return np.arange(split.n_images)

    def epochs_done(self, position: Position) -> int:
        """Finished epochs."""
        return position.epoch - 1

    def batches(self, position: Position) -> Batches:
        """The training pictures in an order of the epoch's own, and what is drawn for each."""
        recipe, pictures = self.recipe, len(self.rows[0])
        self.draws = self.draw(position.epoch, pictures)
        return Batches(np.random.default_rng([recipe.seed, position.epoch]).permutation(pictures), recipe.batch_size)

    def draw(self, epoch: int, pictures: int) -> np.ndarray:
        """The augmentation of each picture in an epoch."""
        return draw_augmentations(self.recipe.seed, epoch, pictures, self.preset.image_size)

    def lr_at(self, position: Position, done: float) -> float:
        """A constant."""
        lr: float = self.recipe.lr
        return lr

    def save_weights(self, path: Path, network: nn.Module, metrics: dict[str, Any], epoch: int) -> None:
        """Write the weights with what they come from."""
        info = {
            "format": self.format,
            "preset": msgspec.to_builtins(self.preset),
            **self.about,
            "metrics": metrics,
            "provenance": provenance({"training": self.recipe.seed}, **self.config, epoch=epoch),
        }
        write_weights(path, network.state_dict(), info)

    def next_epoch(self, position: Position, row: Row) -> None:
        """Go to the next epoch."""
        position.next_epoch()

    def train(
        self,
        optimizer: torch.optim.Optimizer,
        out: Path | str,
        options: Options,
        line: Callable[[Row], str],
        average: AveragedModel | None = None,
    ) -> TrainingFolder:
        """Train in the folder `out`, or continue there. line: what is printed of a row of the history."""
        folder, task, keeps = TrainingFolder(out), cast(Task, self), options.saving.keeps
        trainer = Trainer(task, optimizer, folder, self.config, average=average, keeps=keeps, device=self.device)
        fit(trainer, options, LOG_EVERY, line)
        return folder
