"""The seam between what a network reads and what it relates: what each kind of objects has to say of itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from rnlib.clevr.split import Split
from rnlib.model.preset import Preset

# Of a split: rows of its pictures -> what a network reads of them, on its device.
Source = Callable[[np.ndarray], Tensor]


class ObjectEncoder(nn.Module):
    """Makes a network's objects (batch, objects, size) of what it reads; one kind of objects, as a preset names it.

    label            how the names of learning curves begin
    reads            what a network reads, for tables
    reads_pictures   whether that is pictures, of the preset's `image_size`
    pads             whether scenes of fewer objects are padded with rows of zeros
    describes        whether it has the head that `describing_channels` asks for
    fixed            whether each object has the same place in all pictures, which aggregation inside g needs

    `precision` is that of its products, "fp32" or "bf16".
    """

    label: ClassVar[str]
    reads: ClassVar[str]
    reads_pictures: ClassVar[bool] = False
    pads: ClassVar[bool] = False
    describes: ClassVar[bool] = False
    fixed: ClassVar[bool] = False

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.precision = "fp32"

    @classmethod
    def variant(cls, preset: Preset) -> "type[ObjectEncoder]":
        """The class for this preset: a subclass where some of its fields ask for one."""
        return cls

    @classmethod
    def size(cls, preset: Preset) -> int:
        """Numbers that describe one object."""
        raise NotImplementedError

    @classmethod
    def most(cls, preset: Preset) -> int:
        """Objects of a scene, padding included."""
        raise NotImplementedError

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        """How to read a split's pictures or scenes. resident: all of them in the memory of a GPU that has room.

        Raises DataError where the split lacks them.
        """
        raise NotImplementedError

    @classmethod
    def of_scenes(
        cls, preset: Preset, coordinates: Float[np.ndarray, "scenes most 3"], codes: UInt8[np.ndarray, "scenes most 4"]
    ) -> Float[Tensor, "scenes ..."]:
        """What the network reads of scenes that are in no file. Not of kinds that read pictures."""
        raise NotImplementedError

    @classmethod
    def example(
        cls,
        preset: Preset,
        picture: Path | str | UInt8[np.ndarray, "height width 3"] | None,
        scene: Path | str | Mapping[str, Any] | None,
    ) -> Float[Tensor, "one ..."]:
        """What the network reads of one picture or scene, a batch of one; ConfigError where it is not given."""
        raise NotImplementedError

    def present(self, objects: Float[Tensor, "batch objects size"]) -> Bool[Tensor, "batch objects"] | None:
        """Which rows are objects; None where all are. They come first.

        A padding row is all zero; behind x, y, z, an object's codes, flags or probabilities never are.
        """
        return objects[:, :, 3:].any(2) if self.pads else None

    def places(
        self, split: Split, row: int, visual: Float[Tensor, "one ..."], count: int
    ) -> tuple[Float[np.ndarray, "objects 2"], tuple[int, int] | None] | None:
        """Where the first `count` objects are in the picture of a row: x and y as parts of its width and height.

        And the rows and columns of the grid whose cells they are, None for others. `visual`: what the network reads of
        the picture. None for objects that have no places.
        """
        return None

    def activations(self) -> int:
        """Numbers that a training step keeps of one picture, about."""
        return 0
