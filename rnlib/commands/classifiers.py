"""`rnlib train-cells` and `rnlib train-attributes`: trainings on pictures and scenes alone."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from rnlib.clevr.unknown_words import open_training_splits
from rnlib.commands.options import set_fields
from rnlib.fields import Field
from rnlib.model.inputs import choose_device
from rnlib.model.objects.pixels import require_pixels
from rnlib.model.preset import PRESET_FIELDS, preset_of
from rnlib.retrieval.attribute_recipe import ATTRIBUTE_FIELDS, AttributeRecipe
from rnlib.retrieval.attribute_training import train_attributes
from rnlib.training.cell_recipe import CELL_FIELDS, CellRecipe
from rnlib.training.cell_task import train_cells
from rnlib.training.run_folder import TrainingFolder
from rnlib.training.run_trainer import Options
from rnlib.training.saving import Saving


def run_train_cells(options: argparse.Namespace) -> None:
    """Teach convolutions what cells hold, or continue."""
    _run(
        options,
        CELL_FIELDS,
        CellRecipe,
        train_cells,
        ("val_object", lambda best: f"all attributes of {100 * best:.1f} % of the objects"),
    )


def run_train_attributes(options: argparse.Namespace) -> None:
    """Train the classifier of attributes, or continue."""
    _run(
        options,
        ATTRIBUTE_FIELDS,
        AttributeRecipe,
        train_attributes,
        ("val_average_precision", lambda best: f"mean average precision {best:.3f}"),
    )


def _run(
    options: argparse.Namespace,
    fields: Mapping[str, Field],
    kind: Callable[..., Any],
    train: Callable[..., TrainingFolder],
    best: tuple[str, Callable[[float], str]],
) -> None:
    """Train with the fields of a recipe and of a preset that --set gives.

    best: a column of the history, and what to say of its highest number.
    """
    saving = Saving(time_limit=options.time_limit)
    given = set_fields(options.set, {**fields, **PRESET_FIELDS}, "a field of the classifier's recipe or of the preset")
    preset = preset_of({"preset": options.preset, **given})
    require_pixels(preset)  # before any picture is decoded
    recipe = kind(**{name: value for name, value in given.items() if name in fields})
    splits = open_training_splits(
        options.clevr,
        (options.train_split, options.val_split),
        images=preset.image_size,
        vocabulary=None,
        cache=options.cache,
        held_out=getattr(recipe, "held_out", 0),
    )
    how = Options(device=choose_device(options.device), saving=saving)
    folder = train(preset, recipe, splits, options.out, how)
    if folder.weights("best").is_file():  # else the time limit came before the end of the first epoch
        column, text = best
        print(f"best: {text(folder.history(column)[column].max())}; weights in {folder.weights('best')}")
