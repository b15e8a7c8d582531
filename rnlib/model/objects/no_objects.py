"""No objects: the question alone, as the question-only baseline reads it."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from rnlib.clevr.split import Split
from rnlib.model.objects.encoder import Codes, Coordinates, GivenScene, ObjectEncoder, Picture, Source, rows_of
from rnlib.model.preset import Preset


class NoObjects(ObjectEncoder):
    """Whatever is given -> no objects."""

    label = reads = "question alone"
    size = most = classmethod(lambda cls, preset: 0)

    @classmethod
    def of_scenes(cls, preset: Preset, coordinates: Coordinates, codes: Codes) -> Float[Tensor, "scenes 0"]:
        return torch.zeros(len(codes), 0)

    @classmethod
    def source(cls, preset: Preset, split: Split, device: torch.device, resident: bool = False) -> Source:
        return partial(rows_of, torch.zeros(split.n_images, 0, device=device))

    @classmethod
    def example(cls, preset: Preset, picture: Picture, scene: GivenScene) -> Float[Tensor, "1 0"]:
        return torch.zeros(1, 0)

    def forward(self, visual: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch 0 0"]:
        """No objects."""
        return visual.new_zeros(len(visual), 0, 0)
