"""One vector a picture, to find like pictures by (Messina et al. 2018).

Two-stage relation networks (the IR presets) have layers of g that see pairs of objects but
not the question. What such a layer reads for all pairs, gathered into one vector, says
which relations the picture holds. The convolutional map before g knows no relations.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from rnlib.clevr.split import Split
from rnlib.errors import ConfigError, DataError
from rnlib.model.weights import Weights

Features = Float[np.ndarray, "pictures size"]


@torch.inference_mode()
def conv_features(
    weights: Weights,
    split: Split,
    pictures: Integer[np.ndarray, " pictures"],
    device: torch.device | str = "cpu",
    chunk: int = 64,
) -> dict[str, Features]:
    """Features from the convolutional map: its "mean" over cells (24 numbers), and all of it ("flat", 8 x 8 x 24).

    `pictures` are rows of `split.images`. Raises ConfigError for weights that read no
    pictures, DataError where the split lacks them.
    """
    means, flats = [], []
    for images in _images(weights, split, pictures, device, chunk):
        cells = weights.network.objects.features(images)  # type: ignore[operator]  # PixelObjects
        means.append(cells.mean((2, 3)).cpu())
        flats.append(cells.flatten(1).cpu())
    return {"mean": torch.cat(means).numpy(), "flat": torch.cat(flats).numpy()}


@torch.inference_mode()
def pair_features(
    weights: Weights,
    split: Split,
    pictures: Integer[np.ndarray, " pictures"],
    layer: int,
    device: torch.device | str = "cpu",
    chunk: int = 8,
) -> dict[str, Features]:
    """Features from what layer `layer` of g (from 0) reads for each ordered pair of objects, without the question.

    Each pair's vector is divided by its L2 norm; "mean" and "max" gather them over all
    pairs. Only `chunk` pictures' pairs are held at once (64 x 64 pairs of 256 numbers are
    4 MiB a picture). Raises as `conv_features`, and ConfigError for a layer behind the one
    where the question joins: what those read depends on the question.
    """
    check_layer(weights, layer)
    means, maxima = [], []
    for images in _images(weights, split, pictures, device, chunk):
        pairs = weights.network.relations.pair_inputs(weights.network.objects(images), layer)  # type: ignore[union-attr]
        unit = torch.nn.functional.normalize(pairs.flatten(1, 2), dim=2)
        means.append(unit.mean(1).cpu())
        maxima.append(unit.amax(1).cpu())
    return {"mean": torch.cat(means).numpy(), "max": torch.cat(maxima).numpy()}


def random_features(pictures: int, size: int = 24, seed: int = 0) -> Features:
    """Vectors that know nothing of their pictures: the floor that every feature must beat."""
    return np.random.default_rng(seed).standard_normal((pictures, size)).astype(np.float32)


def check_layer(weights: Weights, layer: int) -> None:
    """Raise ConfigError unless what layer `layer` of g reads for a pair is free of the question."""
    preset = weights.preset
    if not 0 <= layer <= preset.question_injection:
        raise ConfigError(
            f"expected a layer of g from 0 to {preset.question_injection}, where the question joins it in the preset "
            f"'{preset.name}', found {layer}. Behind that layer the features depend on the question; "
            "choose an earlier layer, or weights of an IR preset."
        )


def _images(
    weights: Weights, split: Split, pictures: Integer[np.ndarray, " pictures"], device: torch.device | str, chunk: int
) -> Iterator[Float[Tensor, "chunk 3 height width"]]:
    """Pictures in [0, 1] on the device, `chunk` at a time; the network is moved there too."""
    preset = weights.preset
    if preset.objects != "pixels":
        raise ConfigError(f"expected weights that read pictures, found the preset '{preset.name}' ({preset.objects}).")
    if split.images is None or split.images.shape[-1] != preset.image_size:
        raise DataError(
            f"expected pictures of {preset.image_size} pixels, the split has "
            f"{'none' if split.images is None else split.images.shape[-1]}. Open it with images={preset.image_size}."
        )
    weights.network.to(device).eval()
    for start in range(0, len(pictures), chunk):
        yield torch.from_numpy(split.images[pictures[start : start + chunk]]).to(device).float() / 255
