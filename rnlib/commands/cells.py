"""`rnlib train-cells`."""

import argparse

from rnlib.clevr.opening import open_training_splits
from rnlib.commands.options import set_fields
from rnlib.model.inputs import choose_device
from rnlib.model.preset import PRESET_FIELDS, preset_of
from rnlib.training.cell_recipe import CELL_FIELDS, CellRecipe
from rnlib.training.cell_task import train_cells
from rnlib.training.fit import Options
from rnlib.training.saving import Saving


def run_train_cells(options: argparse.Namespace) -> None:
    """Teach convolutions what cells hold, or continue."""
    fields = set_fields(options.set, {**CELL_FIELDS, **PRESET_FIELDS}, "a field of the recipe or of the preset")
    preset = preset_of({"preset": options.preset, **fields})
    recipe = CellRecipe(**{name: value for name, value in fields.items() if name in CELL_FIELDS})
    size = preset.image_size
    splits = open_training_splits(
        options.clevr,
        (options.train_split, options.val_split),
        images=size,
        cache=options.cache,
        held_out=recipe.held_out,
    )
    how = Options(device=choose_device(options.device), saving=Saving(time_limit=options.time_limit))
    folder = train_cells(preset, recipe, splits, options.out, how)
    if folder.weights("best").is_file():
        best = folder.history()["val_object"].max()
        print(f"best: all attributes of {100 * best:.1f} % of the objects; weights in {folder.weights('best')}")
