"""Objects of state descriptions: a row for each object of a scene, as the ground truth has it."""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.model.objects.encoder import Codes, Coordinates, ObjectEncoder, Places, Source
from rnlib.model.preset import Preset


class StateObjects(ObjectEncoder):
    """Rows of `state_rows` are the objects."""

    label = "state descriptions"
    reads = "state description"
    pads = True

    @classmethod
    def size(cls, preset: Preset) -> int:
        return 7 if preset.state_attributes == "codes" else 18

    @classmethod
    def most(cls, preset: Preset) -> int:
        return preset.state_rows

    @classmethod
    def of_scenes(cls, preset: Preset, coordinates: Coordinates, codes: Codes) -> Float[Tensor, "scenes rows size"]:
        return state_rows(preset, coordinates, codes)

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        if split.has_scenes and (most := int(split.n_objects.max(initial=0))) > preset.state_rows:
            name = split.image_filenames[int(split.n_objects.argmax())]
            raise DataError(
                f"{split.directory.scenes(split.name)}: the scene of {name} has {most} objects; expected at most "
                f"{preset.state_rows}, the preset's state_rows. Leave such scenes out, or train with --set "
                f"state_rows={most}."
            )
        return super().source(preset, split, device)

    def forward(self, rows: Float[Tensor, "batch objects size"]) -> Float[Tensor, "batch objects size"]:
        """The rows as they are."""
        return rows

    def located(self, split: Split, row: int, visual: Tensor) -> tuple[Tensor, Places | None]:
        return self(visual), (split.pixel_coords[row, :, :2] / np.array(split.picture_size(row)), None)


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
