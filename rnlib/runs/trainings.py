"""The trainings of a notebook: each in a folder of its own, named by what it computes.

The same training goes on where it stopped; another one (a changed recipe, other data)
gets another folder, so that nothing is lost. `trainings.json` names the latest of each.
"""

from pathlib import Path
from typing import Any

from rnlib.clevr.split import Split
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import DataError
from rnlib.files import read_json
from rnlib.model.preset import Preset
from rnlib.runs.folder import RunFolder
from rnlib.training.loop import train
from rnlib.training.recipe import Recipe
from rnlib.training.run import TrainingFolder, config_digest, training_config

INDEX = "trainings.json"


def train_in(
    folder: RunFolder,
    name: str,
    preset: Preset,
    recipe: Recipe,
    train_split: Split,
    val_split: Split,
    vocabulary: Vocabulary,
    *,
    transfer: Path | str | None = None,
    **options: Any,
) -> TrainingFolder:
    """`rnlib.training.train` in outputs/<run>/<notebook>/<name>-<digest>/; other options as there."""
    digest = config_digest(training_config(preset, recipe, vocabulary, train_split, val_split, transfer))
    out = folder.path(f"{name}-{digest}")
    trained = train(preset, recipe, train_split, val_split, out, vocabulary=vocabulary, transfer=transfer, **options)
    index = folder.path(INDEX)
    folder.save_json(INDEX, {**(read_json(index) if index.is_file() else {}), name: out.name})
    return trained


def training_of(folder: RunFolder, name: str) -> TrainingFolder:
    """The latest training `name` of a notebook. Raises DataError where there is none."""
    index = folder.path(INDEX)
    names = read_json(index) if index.is_file() else {}
    if name not in names:
        raise DataError(
            f"expected the training '{name}' in {index}, found {', '.join(names) or 'none'}. "
            f"Run {folder.notebook} again."
        )
    return TrainingFolder(folder.path(names[name]))
