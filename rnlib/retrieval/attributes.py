"""A network that says which attribute values occur in a picture: the baseline whose features know no relations.

Convolutions as a relation network's, summed over cells, then linear, ReLU, linear: an output for each of the 15 values
of colour, material, shape and size (the baseline of the 2018 implementation). Its convolutions give features
(`conv_features`) and can start a relation network (`init_convolutions`).
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.errors import DataError
from rnlib.model.checkpoint import ATTRIBUTES_FORMAT, fill, read_weights
from rnlib.model.objects.pixels import PixelObjects, require_pixels
from rnlib.model.objects.states import one_hot
from rnlib.model.preset import Preset, require_memory

VALUES = tuple(value for values in ATTRIBUTES.values() for value in values)


class AttributeClassifier(nn.Module):
    """Pictures -> a logit for each of the 15 attribute values."""

    def __init__(self, preset: Preset) -> None:
        """Raises ConfigError for a preset that does not read pictures."""
        super().__init__()
        require_pixels(preset)
        require_memory(preset)
        self.preset = preset
        self.objects = PixelObjects(preset)
        self.layers = nn.ModuleList(
            [nn.Linear(preset.conv_channels[-1], len(VALUES)), nn.Linear(len(VALUES), len(VALUES))]
        )

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 15"]:
        cells = self.objects.features(images).sum((2, 3))
        return self.layers[1](torch.relu(self.layers[0](cells)))


@dataclass(frozen=True)
class AttributeWeights:
    """A classifier with what is known of it."""

    network: AttributeClassifier
    preset: Preset
    info: dict[str, Any] = field(default_factory=dict)
    name: str = ""


def load_attribute_weights(path: Path | str) -> AttributeWeights:
    """The classifier of a .safetensors file with its JSON, in evaluation mode. WeightsError for any other file."""
    path = Path(os.path.expanduser(path))
    preset, info, tensors = read_weights(path, ATTRIBUTES_FORMAT)
    network = AttributeClassifier(preset)
    fill(network, tensors, path, preset)
    return AttributeWeights(network.eval(), preset, info, path.stem)


def attribute_values(codes: UInt8[np.ndarray, "scenes most 4"]) -> Float[np.ndarray, "scenes 15"]:
    """1 for each attribute value that some object of the scene has, in the order of VALUES; else 0."""
    return np.asarray(one_hot(codes).any(axis=1), np.float32)


def average_precision(
    truth: Float[np.ndarray, "pictures 15"], scores: Float[np.ndarray, "pictures 15"]
) -> dict[str, float]:
    """Average precision (scikit-learn) of each value, and "mean": over those that occur in some but not all pictures.

    A value that all or none of the pictures have orders nothing and is left out. Raises DataError where that leaves
    none.
    """
    found = {
        value: float(average_precision_score(truth[:, column], scores[:, column]))
        for column, value in enumerate(VALUES)
        if 0 < truth[:, column].sum() < len(truth)
    }
    if not found:
        raise DataError(
            f"expected pictures of which some have an attribute value and others have not, found {len(truth)} pictures "
            "that all have the same ones. Take more pictures (a greater share)."
        )
    return {**found, "mean": float(np.mean(list(found.values())))}
