"""The seam between what a network reads and what it relates: what each kind of objects has to say of itself."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from rnlib.clevr.arrays import scene_arrays
from rnlib.clevr.schema import one_scene
from rnlib.clevr.split import Split
from rnlib.errors import ConfigError
from rnlib.model.inputs import upload
from rnlib.model.preset import Preset

# Of a split: rows of its pictures -> what a network reads of them, on its device.
Source = Callable[[np.ndarray], Tensor]
Picture = Path | str | UInt8[np.ndarray, "height width 3"] | None  # a file, or RGB values
GivenScene = Path | str | Mapping[str, Any] | None  # a file, or a scene as in CLEVR's scene files
Coordinates = Float[np.ndarray, "scenes most 3"]  # of split.coordinates
Codes = UInt8[np.ndarray, "scenes most 4"]  # of split.codes
Places = tuple[Float[np.ndarray, "objects 2"], tuple[int, int] | None]


class ObjectEncoder(nn.Module):
    """Makes a network's objects (batch, objects, size) of what it reads; one kind of objects, as a preset names it.

    label            how the names of learning curves begin
    reads            what a network reads, for tables
    reads_pictures   whether that is pictures, of the preset's `image_size`; else it is scenes
    pads             whether scenes of fewer objects are padded with rows of zeros
    describes        whether it has the head that `describing_channels` asks for
    augmentation     how pictures are augmented: a name in `rnlib.training.augment.AUGMENTATIONS`
    fixed            whether each object has the same place in all pictures, which aggregation inside g needs

    `precision` is that of its products, "fp32" or "bf16".
    """

    label: ClassVar[str]
    reads: ClassVar[str]
    reads_pictures: ClassVar[bool] = False
    pads: ClassVar[bool] = False
    describes: ClassVar[bool] = False
    augmentation: ClassVar[str] = "shift"
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
    def of_scenes(cls, preset: Preset, coordinates: Coordinates, codes: Codes) -> Float[Tensor, "scenes ..."]:
        """What the network reads of scenes. Not of kinds that read pictures."""
        raise NotImplementedError

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        """How to read a split. resident: all pictures in the memory of a GPU that has room.

        Raises DataError where the split lacks them.
        """
        scenes = split.require_scenes(f"preset '{preset.name}' reads {cls.label}")
        return partial(rows_of, cls.of_scenes(preset, scenes.coordinates, scenes.codes).to(device))

    @classmethod
    def example(cls, preset: Preset, picture: Picture, scene: GivenScene) -> Float[Tensor, "one ..."]:
        """What the network reads of one picture or scene, a batch of one; ConfigError where it is not given."""
        if scene is None:
            raise ConfigError(
                f"preset '{preset.name}' reads {cls.label}: expected a scene, found none. Give one (--scene FILE), or "
                "take weights that read pictures."
            )
        name = Path(picture).name if isinstance(picture, str | Path) else ""
        path = Path("scene") if isinstance(scene, Mapping) else Path(scene)
        arrays, _ = scene_arrays([one_scene(scene if isinstance(scene, Mapping) else path, name)], path)
        return cls.of_scenes(preset, arrays["coordinates"], arrays["codes"])

    def present(self, objects: Float[Tensor, "batch objects size"]) -> Bool[Tensor, "batch objects"] | None:
        """Which rows are objects; None where all are. They come first.

        A padding row is all zero; after x, y, z, an object's codes, flags or probabilities never are.
        """
        return objects[:, :, 3:].any(2) if self.pads else None

    def located(
        self, split: Split, row: int, visual: Float[Tensor, "one ..."]
    ) -> tuple[Float[Tensor, "one ..."], Places | None]:
        """The objects of the picture of a row, of which `visual` is what the network reads, and where they are.

        Places are x and y as parts of the picture's width and height, and the rows and columns of the grid whose cells
        the objects are, None for others. None for objects that have no places.
        """
        return self(visual), None

    def activations(self) -> int:
        """Numbers that a training step keeps of one picture, about."""
        return 0


def rows_of(tensor: Tensor, rows: np.ndarray) -> Tensor:
    """Rows of a tensor, on its device."""
    return tensor[upload(rows.astype(np.int64), tensor.device)]
