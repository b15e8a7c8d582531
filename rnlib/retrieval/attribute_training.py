"""Training the classifier of attributes: a small loop, saved after every epoch, bit for bit resumable on a CPU."""

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from jaxtyping import Integer
from msgspec import Meta

from rnlib.clevr.split import Split
from rnlib.errors import ConfigError, DataError
from rnlib.fields import fields_of
from rnlib.model.inputs import pictures_of, require_pictures
from rnlib.model.preset import Preset
from rnlib.provenance import provenance
from rnlib.retrieval.attributes import (
    AttributeClassifier,
    AttributeWeights,
    attribute_values,
    average_precision,
    save_attribute_weights,
)
from rnlib.training.augment import augment, draw_augmentations
from rnlib.training.run_folder import TrainingFolder, check_same, config_digest
from rnlib.training.state import Position, load_state, restore_state, save_state

Count = Annotated[int, Meta(ge=1)]


class AttributeRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the classifier is trained; the defaults are the seed's."""

    epochs: Annotated[Count, Meta(description="passes over the pictures")] = 350
    batch_size: Annotated[Count, Meta(description="pictures per step")] = 64
    lr: Annotated[float, Meta(gt=0, description="learning rate of Adam")] = 2.5e-4
    weight_decay: Annotated[float, Meta(ge=0, description="an L2 term, as in the seed")] = 1e-4
    share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="only this share of the pictures, those with the fewest different attribute values; 1: all",
        ),
    ] = 0.05
    seed: Annotated[int, Meta(ge=0, description="of the initial weights, the order of pictures and augmentation")] = 1


ATTRIBUTE_FIELDS = fields_of(AttributeRecipe)


def train_attributes(
    preset: Preset,
    recipe: AttributeRecipe,
    train_split: Split,
    val_split: Split,
    out: Path | str,
    *,
    device: torch.device | str = "cpu",
    show: bool = True,
) -> TrainingFolder:
    """Train the classifier, or go on with the training that stands in `out`; `best` is by mean average precision.

    Raises ConfigError where `out` holds another training or more epochs, or a preset reads no pictures; DataError for
    splits without scenes or without pictures of the preset's size.
    """
    rows = [easiest_pictures(split, preset, recipe.share) for split in (train_split, val_split)]
    truth = attribute_values(val_split.codes[rows[1]])
    average_precision(truth, truth)  # pictures that cannot be judged must show before an epoch, not after it
    torch.manual_seed(recipe.seed)
    network = AttributeClassifier(preset).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    config = _config(preset, recipe, train_split, val_split)
    folder = TrainingFolder(out)
    position = _start(folder, config, network, optimizer, show)
    values = torch.from_numpy(attribute_values(train_split.codes[rows[0]])).to(device)
    loss_of = torch.nn.MultiLabelSoftMarginLoss()
    while position.epoch <= recipe.epochs:
        epoch, begin = position.epoch, time.monotonic()
        draws = torch.from_numpy(draw_augmentations(recipe.seed, epoch, len(rows[0]), preset.image_size))
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(rows[0]))
        network.train()
        loss_sum = 0.0
        for start in range(0, len(order), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            images = augment(pictures_of(train_split, rows[0][batch], device), draws[batch].to(device))
            loss = loss_of(network(images), values[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += float(loss.detach()) * len(batch)
        if not np.isfinite(loss_sum):
            raise ConfigError(f"the loss of epoch {epoch} is {loss_sum}: use a lower lr, in another folder.")
        found = evaluate_attributes(AttributeWeights(network, preset), val_split, rows[1], device)
        row = {"epoch": epoch, "train_loss": loss_sum / len(order), "val_average_precision": found["mean"]}
        position.history.append({**row, "seconds": time.monotonic() - begin})
        best = found["mean"] > position.best_accuracy
        position.best_accuracy = max(position.best_accuracy, found["mean"])
        origin = provenance({"training": recipe.seed}, **config, epoch=epoch)
        for name in ["last", *(["best"] if best else [])]:
            save_attribute_weights(folder.weights(name), network, {"average precision": found}, origin)
        folder.write_tables(position.history, [])
        position.next_epoch()
        save_state(folder.state(), position, network, optimizer, None, config)
        if show and (epoch % max(1, recipe.epochs // 10) == 0 or epoch == recipe.epochs):
            print(
                f"epoch {epoch}/{recipe.epochs}  train loss {row['train_loss']:.4f}  "
                f"average precision {found['mean']:.3f}",
                flush=True,
            )
    return folder


def attributes_name(preset: Preset, recipe: AttributeRecipe, train_split: Split, val_split: Split) -> str:
    """A folder's name for a training, another one for each configuration."""
    return f"attributes-{config_digest(_config(preset, recipe, train_split, val_split))}"


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
    return average_precision(attribute_values(split.codes[pictures]), torch.cat(scores).numpy())


def easiest_pictures(split: Split, preset: Preset, share: float) -> Integer[np.ndarray, " pictures"]:
    """The rows of the share of a split's pictures with the fewest different attribute values (at least one picture).

    Raises DataError for a split without scenes or without pictures of the preset's size.
    """
    if not split.has_scenes:
        raise DataError(
            f"expected scenes in {split.directory.scenes(split.name)}, found no such file. CLEVR's test split has none."
        )
    require_pictures(split, preset)
    order = np.argsort(attribute_values(split.codes).sum(1), kind="stable")
    return order[: max(1, int(len(order) * share))]


def _config(preset: Preset, recipe: AttributeRecipe, train: Split, val: Split) -> dict[str, Any]:
    data = {
        f"{name} {what}": value
        for name, split in (("train", train), ("val", val))
        for what, value in (("data", split.fingerprint), ("pictures", split.image_fingerprint))
    }
    config = {"preset": preset, "recipe": recipe, "data": data}
    return msgspec.json.decode(msgspec.json.encode(config))  # as it comes back from a file


def _start(
    folder: TrainingFolder,
    config: dict[str, Any],
    network: AttributeClassifier,
    optimizer: torch.optim.Optimizer,
    show: bool,
) -> Position:
    """Take the folder, or go on with the training in it."""
    if not folder.state().is_file():
        folder.claim(config)
        return Position()
    state, epochs = load_state(folder.state()), config["recipe"]["epochs"]
    check_same(state["config"], config, folder.root)
    position = restore_state(state, network, optimizer, None)
    if position.epoch - 1 > epochs:
        raise ConfigError(
            f"{folder.root} holds {position.epoch - 1} epochs, and {epochs} were asked for. Ask for more."
        )
    folder.claim(config)
    if show and position.epoch <= epochs:
        print(f"continuing at epoch {position.epoch}, from {folder.state()}", flush=True)
    return position
