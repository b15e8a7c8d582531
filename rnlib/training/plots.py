"""What a network that reads pixels gets to see: augmented pictures, and the maps its convolutions make of them."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.figure import Figure

from rnlib.model.network import RelationNetwork
from rnlib.model.objects.pixels import PixelObjects
from rnlib.model.preset import Preset
from rnlib.training.augment import AUGMENTATIONS


def plot_augmentations(preset: Preset, picture: UInt8[np.ndarray, "3 size size"], seed: int, epochs: int = 7) -> Figure:
    """A picture, and what augmentation makes of it in the first epochs of a training on questions with this seed."""
    augmentation = AUGMENTATIONS[preset.kind.augmentation]
    original = torch.from_numpy(np.array(picture))[None].float() / 255
    draws = [augmentation.draw(seed, epoch, 1, picture.shape[1], False) for epoch in range(1, epochs + 1)]
    shown = [original[0], *(augmentation.apply(original, torch.from_numpy(draw))[0] for draw in draws)]
    names = ["as it is", *(f"epoch {epoch}\n{augmentation.words(draw[0])}" for epoch, draw in enumerate(draws, 1))]
    figure, grid = plt.subplots(2, (len(shown) + 1) // 2, figsize=(8, 4.8), layout="constrained")
    for axes, image, name in zip(grid.flat, shown, names, strict=False):
        axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
        axes.set_title(name, fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.suptitle("One picture: augmented anew in every epoch")
    return figure


def plot_feature_map(
    network: RelationNetwork, picture: UInt8[np.ndarray, "3 size size"], title: str, most: int = 24
) -> Figure:
    """A picture and the first channels of its convolutional map; each cell, over all channels, is described to g.

    Raises TypeError for a network that does not read pixels.
    """
    if not isinstance(network.objects, PixelObjects):
        raise TypeError(f"expected a network that reads pixels, found the preset '{network.preset.name}'")
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        features = network.objects.features(torch.from_numpy(np.array(picture))[None].float().to(device) / 255)
    shown = features[0, :most].cpu().numpy()
    columns = 8
    rows = (len(shown) + columns - 1) // columns
    figure = plt.figure(figsize=(11, 1.15 * rows + 0.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 2.6])[0]
    beside = left.subplots()
    beside.imshow(picture.transpose(1, 2, 0))
    beside.set_title("the picture", fontsize=9)
    beside.set_axis_off()
    grid = right.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    top = float(shown.max()) or 1.0
    for number, (axes, channel) in enumerate(zip(grid.flat, shown, strict=False)):
        image = axes.imshow(channel, cmap="viridis", vmin=0, vmax=top)
        axes.set_title(f"channel {number}", fontsize=8)
    right.colorbar(image, ax=grid, label="activation", shrink=0.8)
    figure.suptitle(title)
    return figure
