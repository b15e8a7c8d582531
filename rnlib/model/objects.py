"""What a network takes for objects: cells of a convolutional map, some of them described, or a state description."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor, nn

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.errors import DataError
from rnlib.model.preset import Preset
from rnlib.workers import BatchNorm2d

SAME_OBJECT = 0.5  # world units; centres of two objects of a CLEVR scene are at least 0.95 apart
SIZES = [len(values) for values in ATTRIBUTES.values()]  # colours, materials, shapes, sizes


class PixelObjects(nn.Module):
    """Pictures -> objects: convolutions, then each cell's features with its coordinates.

    Each layer: 3x3, stride 2, padding 1, batch-norm, ReLU. A 128-pixel picture becomes 8 x 8
    cells, flattened row by row; cell coordinates run from -4 to 4 (half the number of
    cells), x then y after the features.

    `precision` is that of the convolutions and of the maps between them: "fp32" (that of the pictures), or "bf16" for
    speed. The statistics of batch-norm are computed in float32 in both.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.precision = "fp32"
        channels = (3, *preset.conv_channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.norms = nn.ModuleList(BatchNorm2d(after) for after in channels[1:])

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

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        self.most = preset.state_rows
        channels = (preset.conv_channels[-1], *preset.describing_channels)
        self.head = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))
        self.head_norms = nn.ModuleList(BatchNorm2d(after) for after in channels[1:])
        self.describe = nn.Linear(channels[-1] + 2, 1 + sum(SIZES) + 3)

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
        candidates = min(4 * self.most, described.shape[1])
        likely, cells = described[:, :, 0].sigmoid().topk(candidates, dim=1)
        places = described[:, :, -3:-1].gather(1, cells[:, :, None].expand(-1, -1, 2))
        same = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist") < SAME_OBJECT
        total = (same * likely[:, None, :]).sum(2)
        told = same.tril(-1).any(2)  # a likelier cell tells of it
        probabilities, best = torch.where(told, 0.0, total).topk(min(self.most, candidates), dim=1)
        return cells.gather(1, best), probabilities


def object_encoder(preset: Preset) -> PixelObjects | nn.Identity:
    """What makes a preset's objects of its inputs; rows of state descriptions stay as they are."""
    if preset.objects != "pixels":
        return nn.Identity()
    return DescribedObjects(preset) if preset.describes else PixelObjects(preset)


def one_hot(codes: UInt8[np.ndarray, "scenes most 4"]) -> Bool[np.ndarray, "scenes most 15"]:
    """Of each object which of the 15 attribute values it has: of colour, material, shape, size. Padding has none."""
    flags = [codes[:, :, column, None] == np.arange(1, len(of) + 1) for column, of in enumerate(ATTRIBUTES.values())]
    return np.concatenate(flags, axis=2)


def state_rows(
    preset: Preset, coordinates: Float[np.ndarray, "scenes most 3"], codes: UInt8[np.ndarray, "scenes most 4"]
) -> Float[Tensor, "scenes rows size"]:
    """State descriptions: a row an object, zero-padded to `preset.state_rows` rows.

    With `mask_padding`, where padding takes no part in the sum over pairs, there are only as many rows
    as the scenes need.
    `codes` are colour, material, shape, size from 1; 0 says there is no object. "codes" rows
    are x, y, z and the four codes; "one-hot" rows are x, y, z and 15 flags. Raises DataError
    where a scene has more objects than there are rows.
    """
    most = int((codes[:, :, 0] != 0).sum(1).max(initial=0))
    if most > preset.state_rows:
        raise DataError(
            f"expected scenes of at most {preset.state_rows} objects (the preset's state_rows), found one of {most}. "
            "Use a preset with more rows."
        )
    present = (codes[:, :most, :1] != 0).astype(np.float32)
    attributes = codes[:, :most].astype(np.float32)
    if preset.state_attributes == "one-hot":
        attributes = one_hot(codes[:, :most]).astype(np.float32)
    count = max(most, 1) if preset.mask_padding and preset.relations else preset.state_rows
    rows = np.zeros((len(codes), count, preset.object_size), np.float32)
    rows[:, :most] = np.concatenate([coordinates[:, :most] * present, attributes], axis=2)
    return torch.from_numpy(rows)
