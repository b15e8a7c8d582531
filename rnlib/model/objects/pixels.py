"""Objects that convolutions make of pictures: all cells of their map, or descriptions of those that hold an object."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.images import read_image, squeeze
from rnlib.clevr.split import Split
from rnlib.distributed import BatchNorm2d
from rnlib.errors import ConfigError
from rnlib.model.inputs import pictures_of, require_pictures
from rnlib.model.objects.encoder import GivenScene, ObjectEncoder, Picture, Places, Source, rows_of
from rnlib.model.preset import Preset

SAME_OBJECT = 0.5  # world units; centres of two objects of a CLEVR scene are at least 0.95 apart
SIZES = [len(values) for values in ATTRIBUTES.values()]  # colours, materials, shapes, sizes


class PictureEncoder(ObjectEncoder):
    """Pictures (batch, 3, size, size) in [0, 1] -> objects."""

    reads = "picture"
    reads_pictures = True

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        require_pictures(split, preset)
        images: np.ndarray = split.images  # type: ignore[assignment]  # required above
        if resident and _fits(images.nbytes, device):
            return partial(_scaled_rows, torch.from_numpy(np.array(images)).to(device))
        return partial(pictures_of, split, device=device)

    @classmethod
    def example(cls, preset: Preset, picture: Picture, scene: GivenScene) -> Float[Tensor, "one 3 size size"]:
        if picture is None:
            raise ConfigError(f"preset '{preset.name}' reads pictures: expected a picture, found none.")
        size = preset.image_size
        pixels = squeeze(picture, size) if isinstance(picture, np.ndarray) else read_image(Path(picture), size)
        return torch.from_numpy(pixels)[None].float() / 255


class PixelObjects(PictureEncoder):
    """Pictures -> objects: convolutions, then each cell's features with its coordinates.

    Each layer: 3x3, stride 2, padding 1, batch-norm, ReLU. A 128-pixel picture becomes 8 x 8
    cells, flattened row by row; cell coordinates run from -4 to 4 (half the number of
    cells), x then y after the features.

    `precision` is that of the convolutions and of the maps between them: "fp32" (that of the pictures), or "bf16" for
    speed. The statistics of batch-norm are computed in float32 in both.
    """

    label = "pixels"
    fixed = True

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        channels = (3, *preset.conv_channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.norms = nn.ModuleList(BatchNorm2d(after) for after in channels[1:])

    @classmethod
    def variant(cls, preset: Preset) -> type[ObjectEncoder]:
        """With `describing_channels`, DescribedObjects."""
        return DescribedObjects if preset.describing_channels else cls

    @classmethod
    def size(cls, preset: Preset) -> int:
        return preset.conv_channels[-1] + 2

    @classmethod
    def most(cls, preset: Preset) -> int:
        return preset.cells_per_side**2

    def located(self, split: Split, row: int, visual: Tensor) -> tuple[Tensor, Places | None]:
        side = self.preset.cells_per_side
        return self(visual), (self._centres(np.arange(side**2)), (side, side))

    def _centres(self, cells: np.ndarray) -> Float[np.ndarray, "cells 2"]:
        side = self.preset.cells_per_side
        return (np.stack([cells % side, cells // side], 1) + 0.5) / side

    def activations(self) -> int:
        side = self.preset.image_size
        numbers = 6 * side**2
        for channels in self.preset.conv_channels:
            side = (side + 1) // 2
            numbers += 4 * channels * side**2  # convolved, normalised, cut at 0, and a gradient
        return numbers

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels rows columns"]:
        """The convolutional map of pictures with values in [0, 1], in the pictures' precision."""
        # Channels last is the order in which processors and GPUs convolve fastest.
        return self._convolved(images.to(memory_format=torch.channels_last), self.convolutions, self.norms)

    def _convolved(self, maps: Tensor, convolutions: nn.ModuleList, norms: nn.ModuleList) -> Tensor:
        """Convolution, batch-norm and ReLU, layer by layer, in `precision`; the result is in that of `maps`."""
        wide = maps.dtype
        with torch.autocast(maps.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            for convolution, norm in zip(convolutions, norms, strict=True):
                maps = torch.relu(norm(convolution(maps)))
        return maps.to(wide)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch objects size"]:
        """The objects of pictures with values in [0, 1]."""
        features = self.features(images)
        batch, _, rows, columns = features.shape
        y = torch.linspace(-rows / 2, rows / 2, rows, device=features.device, dtype=features.dtype)
        x = torch.linspace(-columns / 2, columns / 2, columns, device=features.device, dtype=features.dtype)
        grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)])
        cells = torch.cat([features, grid.expand(batch, 2, rows, columns)], 1)
        return cells.flatten(2).transpose(1, 2)


class DescribedObjects(PixelObjects):
    """Pictures -> descriptions of the cells that hold an object, as a state description has them.

    A head of 3x3 convolutions (stride 1, batch-norm, ReLU) and a linear layer says of each cell whether it holds an
    object, its 15 attribute values and its place x, y, z in the world. Cells that tell of nearly the same x, y (closer
    than `SAME_OBJECT`) tell of one object, which only one of them holds: their probabilities of holding it add up, and
    the likeliest describes it. The preset's `state_rows` likeliest objects become rows of 18 numbers, likeliest
    first: x, y, z and probabilities of attribute values. Rows of objects that are less likely than not are zero.
    """

    pads = True
    describes = True
    augmentation = "recolor"  # what is shifted or turned has another x, y, z
    fixed = False

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        channels = (preset.conv_channels[-1], *preset.describing_channels)
        self.head = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))
        self.head_norms = nn.ModuleList(BatchNorm2d(after) for after in channels[1:])
        self.describe = nn.Linear(channels[-1] + 2, 1 + sum(SIZES) + 3)

    @classmethod
    def size(cls, preset: Preset) -> int:
        return 3 + sum(SIZES)

    @classmethod
    def most(cls, preset: Preset) -> int:
        return preset.state_rows

    @torch.inference_mode()
    def located(self, split: Split, row: int, visual: Tensor) -> tuple[Tensor, Places | None]:
        objects, cells = self.rows(self.described(visual))
        return objects, (self._centres(cells[0].cpu().numpy()), None)

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels rows columns"]:
        """The map that the last convolution of the head makes, in the pictures' precision."""
        return self._convolved(super().features(images), self.head, self.head_norms)

    def described(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch cells 19"]:
        """Of each cell: a logit of holding an object, logits of its attribute values, and x, y, z."""
        described: Tensor = self.describe(super().forward(images))
        return described

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch objects 18"]:
        """The objects of pictures with values in [0, 1]."""
        return self.rows(self.described(images))[0]

    def rows(
        self, described: Float[Tensor, "batch cells 19"]
    ) -> tuple[Float[Tensor, "batch objects 18"], Integer[Tensor, "batch objects"]]:
        """Rows of 18 numbers, and which cell each is of."""
        cells, probabilities = self._distinct(described.detach())
        chosen = described.gather(1, cells[:, :, None].expand(-1, -1, described.shape[2]))
        values = chosen[:, :, 1:-3].split(SIZES, 2)
        rows = torch.cat([chosen[:, :, -3:], *(value.softmax(2) for value in values)], 2)
        return rows * (probabilities > 0.5)[:, :, None], cells

    def _distinct(
        self, described: Float[Tensor, "batch cells 19"]
    ) -> tuple[Integer[Tensor, "batch objects"], Float[Tensor, "batch objects"]]:
        """The likeliest objects: of each the cell that describes it, and how likely it is that there is one."""
        candidates = min(4 * self.preset.state_rows, described.shape[1])
        likely, cells = described[:, :, 0].sigmoid().topk(candidates, dim=1)
        places = described[:, :, -3:-1].gather(1, cells[:, :, None].expand(-1, -1, 2))
        same = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist") < SAME_OBJECT
        total = (same * likely[:, None, :]).sum(2)
        told = same.tril(-1).any(2)  # a likelier cell tells of it
        probabilities, best = torch.where(told, 0.0, total).topk(min(self.preset.state_rows, candidates), dim=1)
        return cells.gather(1, best), probabilities


def require_pixels(preset: Preset) -> None:
    """Raise ConfigError for a preset whose objects are not made by these convolutions."""
    if not issubclass(preset.kind, PixelObjects):
        raise ConfigError(
            f"expected a preset that reads pixels, found '{preset.name}' ({preset.objects}). Use original-fp."
        )


def _scaled_rows(pictures: Tensor, rows: np.ndarray) -> Tensor:
    return rows_of(pictures, rows).float() / 255


def _fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes leave two thirds of a GPU's memory free. The CPU has its memory maps."""
    return device.type == "cuda" and size < torch.cuda.get_device_properties(device).total_memory // 3
