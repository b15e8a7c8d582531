"""The trainings of a notebook: each in a folder of its own, named by what it computes.

The same training continues where it stopped; another one (a changed recipe, other data)
gets another folder, so that nothing is lost. `trainings.json` names the latest of each.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from rnlib.clevr.split import Split
from rnlib.errors import DataError, TimeUp
from rnlib.files import read_json
from rnlib.model.preset import Preset
from rnlib.runs.folder import RunFolder
from rnlib.runs.paths import outputs_root
from rnlib.training.recipe import Recipe
from rnlib.training.relation_training import train
from rnlib.training.run_folder import TrainingFolder, config_digest, training_config
from rnlib.training.run_trainer import Options

INDEX = "trainings.json"


def train_in(
    folder: RunFolder,
    name: str,
    preset: Preset,
    recipe: Recipe,
    splits: Sequence[Split],
    options: Options,
) -> TrainingFolder:
    """`rnlib.training.train` in outputs/<run>/<notebook>/<name>-<digest>/.

    Raises TimeUp where the time limit came before the end of the last epoch: run again, the notebook continues there.
    """
    train_split, val_split = splits
    vocabulary = options.vocabulary or train_split.vocabulary
    start = options.init_conv, options.init_from
    digest = config_digest(training_config(preset, recipe, vocabulary, (train_split, val_split), start))
    trained = train(preset, recipe, splits, folder.path(f"{name}-{digest}"), options)
    done = trained.epochs_done(recipe)
    if done < recipe.epochs:
        raise TimeUp(
            f"expected all {recipe.epochs} epochs of '{name}', found {done} when the time limit was reached (parameter "
            "time_limit). The state is saved: run the notebook again with the same parameters to go on."
        )
    index = folder.path(INDEX)
    folder.save_json(INDEX, {**(read_json(index, dict[str, str]) if index.is_file() else {}), name: trained.root.name})
    return trained


def training_of(folder: RunFolder, name: str) -> TrainingFolder:
    """The latest training `name` of a notebook. Raises DataError where there is none."""
    index = folder.path(INDEX)
    names = read_json(index, dict[str, str]) if index.is_file() else {}
    if name not in names:
        raise DataError(
            f"expected the training '{name}' in {index}, found {', '.join(names) or 'none'}. "
            f"Run {folder.notebook} again."
        )
    return TrainingFolder(folder.path(names[name]))


def weights_files(entries: Sequence[str]) -> list[Path]:
    """Weights files from what a person names: files as they are, a training's folder, or a run.

    A training's folder (it has run.json) means its best weights; a run, by name or by its folder
    outputs/<run>, for the best weights of each of its trainings. Raises DataError for a folder
    that is neither.
    """
    files: list[Path] = []
    for entry in entries:
        folder = Path(os.path.expanduser(entry))
        if not os.path.exists(folder) and os.path.isdir(outputs_root() / entry):
            folder = outputs_root() / entry
        if not os.path.isdir(folder):
            files.append(folder)
        elif (folder / "run.json").is_file():
            files.append(TrainingFolder(folder).weights("best"))
        else:
            found = [
                TrainingFolder(index.parent / name).weights("best")
                for index in sorted(folder.glob(f"**/{INDEX}"))
                for name in read_json(index, dict[str, str]).values()
            ]
            if not found:
                raise DataError(
                    f"expected weights, a training or a run at {folder}, found a folder without {INDEX} and run.json. "
                    "Give a .safetensors or .pth file, the folder of a training, or the name of a run in outputs/."
                )
            files += found
    return files
