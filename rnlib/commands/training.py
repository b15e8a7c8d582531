"""`rnlib train`."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

import torch

from rnlib.clevr.split import Split
from rnlib.clevr.unknown_words import open_training_splits
from rnlib.clevr.vocabulary import choose_vocabulary
from rnlib.commands.options import set_fields
from rnlib.distributed import Workers
from rnlib.errors import ConfigError
from rnlib.evaluation import metrics_text
from rnlib.evaluation.predict import evaluate_into
from rnlib.files import read_json
from rnlib.model.checkpoint import Weights, load_weights
from rnlib.model.inputs import choose_device
from rnlib.model.preset import preset_names, preset_of
from rnlib.runs.parameters import check_parameters, declared_parameters
from rnlib.runs.paths import notebook_path
from rnlib.runs.profiles import read_yaml
from rnlib.synthesis import synthesize
from rnlib.training.recipe import FIELDS, recipe_of
from rnlib.training.relation_training import train
from rnlib.training.run_trainer import Options
from rnlib.training.saving import Saving

TRAINING_NOTEBOOKS = ("02_train_state_descriptions", "03_train_from_pixels")
# Options that a file of parameters may give too, with their values where neither does.
SETTINGS: dict[str, Any] = {
    "preset": "",
    "vocabulary": "train",
    "unknown_words": "refuse",
    "split_names": (),
    "keep": "last",
    "time_limit": 0.0,
    "init_from": "",
    "init_conv": "",
}


def _parameters_of(path: Path) -> dict[str, Any]:
    """The parameters of notebook 02 or 03 in a YAML file, with the notebook's defaults."""
    given = read_yaml(path)
    if path.stem not in TRAINING_NOTEBOOKS:
        raise ConfigError(
            f"expected --params to name the parameters of a training notebook, {' or '.join(TRAINING_NOTEBOOKS)} "
            f"with .yaml after it, found {path}."
        )
    if given.get("init_question"):
        raise ConfigError(
            f"{path}: expected no init_question, found {given['init_question']}: notebook 02 alone begins with the "
            "question encoder of other weights. Remove the line, or give 'train' whole weights with --init-from."
        )
    return check_parameters(declared_parameters(notebook_path(path.stem)), given)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """SETTINGS and fields by name: --set and options where given, else those of --params, else the defaults."""
    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name, None) is not None}
    if options.train_split or options.val_split:
        given["split_names"] = (options.train_split, options.val_split)
    given |= set_fields(options.set, FIELDS, "a field of the recipe or of the preset (train --help lists them)")
    settings = {**SETTINGS, **(_parameters_of(options.params) if options.params else {}), **given}
    if not settings["preset"]:
        raise ConfigError(
            f"expected --preset NAME or --params FILE, found neither. Presets: {', '.join(preset_names())}."
        )
    return settings


def run_train(options: argparse.Namespace) -> None:
    """`train`."""
    settings = _settings(options)
    saving = Saving(settings["keep"], options.checkpoint_minutes, settings["time_limit"])
    preset, recipe = preset_of(settings), recipe_of(settings)
    device = choose_device(options.device)
    size = preset.picture_size
    workers = Workers.join(device)
    with workers.main_first():  # it makes and prepares the splits
        directory = _data(options, size)
        train_split, val_split = open_training_splits(
            directory,
            settings["split_names"],
            images=size,
            cache=options.cache,
            vocabulary=settings["vocabulary"],
            unknown_words=settings["unknown_words"],
            held_out=recipe.held_out,
            verbose=workers.is_main,
        )
    how = Options(
        vocabulary=choose_vocabulary(settings["vocabulary"], train_split.vocabulary),
        device=device,
        saving=saving,
        init_conv=settings["init_conv"] or None,
        init_from=settings["init_from"] or None,
        resume_from=options.resume_from,
        tensorboard=options.tensorboard,
    )
    folder = train(preset, recipe, (train_split, val_split), options.out, how)
    if not workers.is_main:
        return
    best = folder.weights("best")
    if not best.is_file():  # the time limit came before the end of the first epoch
        return
    print(f"best validation accuracy {100 * folder.metrics()['accuracy']:.2f} %; weights in {best}")
    if recipe.held_out and val_split.name != train_split.name and folder.epochs_done(recipe) == recipe.epochs:
        out = folder.root / val_split.name
        metrics = _answer_val(out, load_weights(best), val_split, device)
        print(metrics_text(metrics))
        print(f"accuracy on {val_split.label} {100 * metrics['accuracy']:.2f} %; details in {out}")


def _answer_val(out: Path, weights: Weights, split: Split, device: torch.device) -> dict[str, Any]:
    """The metrics of all of the validation split, unless these weights have answered it already."""
    told = out / "provenance.json"
    if os.path.isfile(told) and read_json(told, dict[str, Any]).get("sha256") == weights.info["sha256"]:
        done: dict[str, Any] = read_json(out / "metrics.json", dict[str, Any])
        return done
    return evaluate_into(out, weights, split, device=device)


def _data(options: argparse.Namespace, size: int | None) -> Path:
    """The CLEVR directory that was named, or the synthetic set of the training's own."""
    if bool(options.clevr) == bool(options.synthetic):
        raise ConfigError("expected either --clevr DIR or --synthetic TRAIN:VAL:SEED, found both or none of them.")
    if options.clevr:
        return Path(options.clevr)
    numbers = re.fullmatch(r"([1-9]\d*):([1-9]\d*):(\d+)", options.synthetic)
    if not numbers:
        raise ConfigError(f"expected --synthetic TRAIN:VAL:SEED, such as 70000:15000:1, found '{options.synthetic}'.")
    train_scenes, val_scenes, seed = map(int, numbers.groups())
    return synthesize(options.out / "data", train=train_scenes, val=val_scenes, seed=seed, images=size)
