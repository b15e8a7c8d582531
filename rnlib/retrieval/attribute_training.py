"""Training the classifier of attributes, by the same trainer as the relation networks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor, nn

from rnlib.clevr.split import Split
from rnlib.model.checkpoint import ATTRIBUTES_FORMAT
from rnlib.model.inputs import pictures_of
from rnlib.model.preset import Preset
from rnlib.retrieval.attribute_recipe import AttributeRecipe
from rnlib.retrieval.attributes import (
    VALUES,
    AttributeClassifier,
    AttributeWeights,
    attribute_values,
    average_precision,
)
from rnlib.training.augment import augment
from rnlib.training.picture_task import PictureTask
from rnlib.training.resume_state import Position, Row
from rnlib.training.run_folder import TrainingFolder, config_digest, pictures_config
from rnlib.training.run_trainer import Options
from rnlib.training.trainer import require_finite


class AttributeTask(PictureTask):
    """Which attribute values occur in a picture, as a task of the trainer; judged by mean average precision."""

    format = ATTRIBUTES_FORMAT
    about: ClassVar[Mapping[str, Any]] = {"attributes": list(VALUES)}

    def __init__(
        self, preset: Preset, recipe: AttributeRecipe, splits: Sequence[Split], device: torch.device | str
    ) -> None:
        super().__init__(AttributeClassifier, preset, recipe, splits, device)
        truth = attribute_values(splits[1].codes[self.rows[1]])
        average_precision(truth, truth)  # pictures that cannot be judged must show before an epoch, not after it
        self.values = torch.from_numpy(attribute_values(splits[0].codes[self.rows[0]])).to(device)

    def chosen(self, split: Split) -> Integer[np.ndarray, " pictures"]:
        """The share of the pictures with the fewest different attribute values."""
        return easiest_pictures(split, self.recipe.share)

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """Multi-label soft margin loss of a batch of pictures."""
        images = pictures_of(self.splits[0], self.rows[0][batch], self.device)
        images = augment(images, torch.from_numpy(self.draws[batch]).to(self.device))
        return nn.functional.multilabel_soft_margin_loss(self.network(images), self.values[batch])

    def validate(self, network: nn.Module, position: Position, train_loss: float) -> tuple[Row, dict[str, Any]]:
        """Average precision on the validation pictures."""
        weights = AttributeWeights(cast(AttributeClassifier, network), self.preset)
        found = evaluate_attributes(weights, self.splits[1], self.rows[1], self.device)
        row: Row = {"epoch": position.epoch, "train_loss": train_loss, "val_average_precision": found["mean"]}
        return {**row, "seconds": position.seconds}, {"average precision": found}

    def score(self, row: Row) -> float:
        """Mean average precision."""
        return row["val_average_precision"]


def train_attributes(
    preset: Preset,
    recipe: AttributeRecipe,
    splits: Sequence[Split],
    out: Path | str,
    options: Options | None = None,
) -> TrainingFolder:
    """Train the classifier, or continue the training in the folder `out`; `best` is by mean average precision.

    splits: for training and for validation. options: as of `rnlib.training.train`, without those for a start from
    other weights. It can be interrupted, paused and stopped like any training. Raises ConfigError where `out` holds
    another training or more epochs, or a preset reads no pictures; DataError for splits without scenes or without
    pictures of the preset's size.
    """
    options = options or Options()
    task = AttributeTask(preset, recipe, splits, options.device)
    optimizer = torch.optim.Adam(task.network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    return task.train(optimizer, out, options, lambda row: _epoch_line(row, recipe.epochs))


def _epoch_line(row: Row, epochs: int) -> str:
    """A row of the history for a person; nothing for most epochs of a long training."""
    epoch, precision = row["epoch"], row["val_average_precision"]
    if epoch % max(1, epochs // 10) and epoch != epochs:
        return ""
    return f"epoch {epoch}/{epochs}  train loss {row['train_loss']:.4f}  average precision {precision:.3f}"


def attributes_name(preset: Preset, recipe: AttributeRecipe, train_split: Split, val_split: Split) -> str:
    """A folder's name for a training, another one for each configuration."""
    return f"attributes-{config_digest(pictures_config(preset, recipe, train_split, val_split))}"


@torch.inference_mode()
def evaluate_attributes(
    weights: AttributeWeights, split: Split, pictures: Integer[np.ndarray, " pictures"], device: torch.device | str
) -> dict[str, float]:
    """Average precision of each attribute value and its mean, over some pictures of a split."""
    network = weights.network.to(device).eval()
    scores = [
        network(pictures_of(split, pictures[start : start + 256], device)).cpu()
        for start in range(0, len(pictures), 256)
    ]
    outputs = torch.cat(scores)
    require_finite(float(outputs.abs().max()), "an output for the validation pictures")
    return average_precision(attribute_values(split.codes[pictures]), outputs.numpy())


def easiest_pictures(split: Split, share: float) -> Integer[np.ndarray, " pictures"]:
    """The rows of the share of a split's pictures with the fewest different attribute values (at least one picture)."""
    order = np.argsort(attribute_values(split.codes).sum(1), kind="stable")
    return order[: max(1, int(len(order) * share))]
