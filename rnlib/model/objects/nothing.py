"""No objects: the question alone, as the question-only baseline reads it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rnlib.clevr.split import Split
from rnlib.model.objects.encoder import ObjectEncoder, Source
from rnlib.model.preset import Preset


class NoObjects(ObjectEncoder):
    """Whatever is given -> no objects."""

    label = "question alone"
    reads = "question alone"

    @classmethod
    def size(cls, preset: Preset) -> int:
        return 0

    @classmethod
    def most(cls, preset: Preset) -> int:
        return 0

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        return partial(_nothing, device)

    @classmethod
    def of_scenes(
        cls, preset: Preset, coordinates: Float[np.ndarray, "scenes most 3"], codes: UInt8[np.ndarray, "scenes most 4"]
    ) -> Float[Tensor, "scenes none"]:
        return torch.zeros(len(codes), 0)

    @classmethod
    def example(
        cls,
        preset: Preset,
        picture: Path | str | UInt8[np.ndarray, "height width 3"] | None,
        scene: Path | str | Mapping[str, Any] | None,
    ) -> Float[Tensor, "one none"]:
        return torch.zeros(1, 0)

    def forward(self, visual: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch objects size"]:
        """No objects."""
        return visual.new_zeros(len(visual), 0, 0)


def _nothing(device: torch.device, rows: np.ndarray) -> Float[Tensor, "batch none"]:
    return torch.zeros(len(rows), 0, device=device)
