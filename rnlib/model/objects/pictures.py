"""What all kinds of objects share that are made of pictures."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from rnlib.clevr.images import read_image, squeeze
from rnlib.clevr.split import Split
from rnlib.errors import ConfigError
from rnlib.model.inputs import pictures_of, require_pictures, upload
from rnlib.model.objects.encoder import ObjectEncoder, Source
from rnlib.model.preset import Preset


class PictureEncoder(ObjectEncoder):
    """Pictures (batch, 3, size, size) in [0, 1] -> objects. Unless `places` says else, those have no places."""

    reads = "picture"
    reads_pictures = True

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        require_pictures(split, preset)
        images: np.ndarray = split.images  # type: ignore[assignment]  # required above
        if resident and _fits(images.nbytes, device):
            return partial(_of_resident, torch.from_numpy(np.array(images)).to(device))
        return partial(pictures_of, split, device=device)

    @classmethod
    def example(
        cls,
        preset: Preset,
        picture: Path | str | UInt8[np.ndarray, "height width 3"] | None,
        scene: Path | str | Mapping[str, Any] | None,
    ) -> Float[Tensor, "one 3 size size"]:
        if picture is None:
            raise ConfigError(f"preset '{preset.name}' reads pictures: expected a picture, found none.")
        size = preset.image_size
        pixels = squeeze(picture, size) if isinstance(picture, np.ndarray) else read_image(Path(picture), size)
        return torch.from_numpy(pixels)[None].float() / 255


def grid_places(side: int, cells: Integer[np.ndarray, " cells"]) -> Float[np.ndarray, "cells 2"]:
    """x and y of the centres of cells of a grid over the picture, numbered row by row, as parts of its sides."""
    ys, xs = np.divmod(cells, side)
    return (np.stack([xs, ys], 1) + 0.5) / side


def _of_resident(pictures: UInt8[Tensor, "pictures 3 size size"], rows: np.ndarray) -> Float[Tensor, "batch ..."]:
    return pictures[upload(rows.astype(np.int64), pictures.device)].float() / 255


def _fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes leave two thirds of a GPU's memory free. The CPU has its memory maps."""
    return device.type == "cuda" and size < torch.cuda.get_device_properties(device).total_memory // 3
