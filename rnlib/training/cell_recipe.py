"""How convolutions are taught what cells hold: the fields of `train-cells`. It imports no torch."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rnlib.fields import Seed, fields_of


class CellRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How convolutions are taught what cells hold."""

    epochs: Annotated[int, Meta(ge=1, description="passes over the pictures")] = 4
    batch_size: Annotated[int, Meta(ge=1, description="pictures per step")] = 32
    lr: Annotated[float, Meta(gt=0, description="learning rate of Adam")] = 1e-3
    lr_schedule: Annotated[Literal["cosine"], Meta(description="half a cosine down to 0, after the warm-up")] = "cosine"
    lr_warmup: Annotated[float, Meta(ge=0, description="epochs (or a part of one) in which the rate rises")] = 0.1
    ema: Annotated[float, Meta(ge=0, lt=1, description="decay of the moving average that is validated and saved")] = (
        0.998
    )
    precision: Annotated[Literal["fp32", "bf16"], Meta(description="of the convolutions")] = "fp32"
    held_out: Annotated[
        int, Meta(ge=0, description="validate on this many of the last training scenes; 0 validates on val")
    ] = 0
    seed: Annotated[Seed, Meta(description="of the initial weights, the order of pictures and augmentation")] = 1


CELL_FIELDS = fields_of(CellRecipe)
