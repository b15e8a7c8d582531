"""What a network takes for objects: the kinds that a preset's `objects` can name, a file for each.

A new kind is a subclass of `ObjectEncoder` (of `PictureEncoder`, if it reads pictures) and a line in KINDS.
"""

from rnlib.errors import ConfigError
from rnlib.model.objects.encoder import ObjectEncoder
from rnlib.model.objects.no_objects import NoObjects
from rnlib.model.objects.pixels import PictureEncoder, PixelObjects
from rnlib.model.objects.states import StateObjects
from rnlib.model.preset import Preset

KINDS: dict[str, type[ObjectEncoder]] = {"pixels": PixelObjects, "state": StateObjects, "none": NoObjects}


def encoder_class(preset: Preset) -> type[ObjectEncoder]:
    """The class that makes a preset's objects. ConfigError for a kind that is not in KINDS."""
    if preset.objects not in KINDS:
        raise ConfigError(
            f"preset '{preset.name}': expected objects out of {', '.join(KINDS)}, found '{preset.objects}'."
        )
    return KINDS[preset.objects].variant(preset)
