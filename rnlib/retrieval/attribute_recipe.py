"""How the classifier of attributes is trained, as data."""

from typing import Annotated

import msgspec
from msgspec import Meta

from rnlib.fields import Seed, fields_of

Count = Annotated[int, Meta(ge=1)]


class AttributeRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the classifier is trained; the defaults are the 2018 implementation's."""

    epochs: Annotated[Count, Meta(description="passes over the pictures")] = 350
    batch_size: Annotated[Count, Meta(description="pictures per step")] = 64
    lr: Annotated[float, Meta(gt=0, description="learning rate of Adam")] = 2.5e-4
    weight_decay: Annotated[float, Meta(ge=0, description="an L2 term, as in the 2018 implementation")] = 1e-4
    share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="only this share of the pictures, those with the fewest different attribute values; 1: all",
        ),
    ] = 0.05
    seed: Annotated[Seed, Meta(description="of the initial weights, the order of pictures and augmentation")] = 1


ATTRIBUTE_FIELDS = fields_of(AttributeRecipe)
