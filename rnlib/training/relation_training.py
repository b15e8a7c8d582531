"""Training a network that answers questions: from a preset, a recipe and two splits to a folder of weights."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch

from rnlib.clevr.split import Split
from rnlib.clevr.subsets import hold_out
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.distributed import Workers
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation.predict import require_answers
from rnlib.model import net2net
from rnlib.model.checkpoint import init_convolutions, load_weights
from rnlib.model.inputs import NetworkInputs
from rnlib.model.network import RelationNetwork
from rnlib.model.precision import choose_precision
from rnlib.model.preset import Preset, require_memory
from rnlib.training.curriculum import Pool, StageScenes, lay_out
from rnlib.training.log import epoch_line
from rnlib.training.memory_estimate import step_memory
from rnlib.training.optimizers import make_optimizer
from rnlib.training.question_task import QuestionTask
from rnlib.training.recipe import Recipe
from rnlib.training.resume_state import load_state
from rnlib.training.run_folder import TrainingFolder, resume_source, training_config
from rnlib.training.run_trainer import Options, fit
from rnlib.training.sampler import chosen_questions
from rnlib.training.symmetries import Wording
from rnlib.training.trainer import Trainer, moving_average


def train(
    preset: Preset, recipe: Recipe, splits: Sequence[Split], out: Path | str, options: Options | None = None
) -> TrainingFolder:
    """Train a network, or continue the training in the folder `out`. splits: for training and for validation.

    An interrupt (Ctrl-C, SIGTERM) ends the step (or the validation) under way, saves the state and raises
    KeyboardInterrupt; running again continues. The end of `Saving.time_limit` does the same, and returns.
    Raises ConfigError where `out` holds another training or already more epochs, DataError on broken input.
    """
    options = options or Options()
    device, folder = torch.device(options.device), TrainingFolder(out)
    workers = Workers.join(device)
    verbose = options.verbose and workers.is_main
    for split in splits:
        require_answers(split)
    train_split, val_split = hold_out(recipe.held_out, *splits)
    vocabulary = options.vocabulary or train_split.vocabulary
    recipe = msgspec.structs.replace(recipe, precision=_precision(recipe, folder, options.resume_from, device, workers))
    wording = _wording(preset, recipe, vocabulary)
    if recipe.cell_weight:
        _require_cells(preset, train_split)
    NetworkInputs.of(val_split, preset, vocabulary)  # a wrong val split must show before an epoch, not after it
    if any(stage.scenes for stage in recipe.curriculum):  # and a wrong train split before scenes are made for stages
        NetworkInputs.of(train_split, preset, vocabulary)
    start = options.init_conv, options.init_from
    config = training_config(preset, recipe, vocabulary, (train_split, val_split), start)
    scenes = StageScenes(recipe.seed, preset.picture_size, folder.root / "stages", verbose)
    with workers.main_first():
        questions, pools = lay_out(recipe.curriculum, train_split, val_split, vocabulary, scenes)
    inputs = NetworkInputs.of(questions, preset, vocabulary, device, resident=True)

    network = _new_network(preset, recipe, vocabulary, options).to(device)
    network.set_precision(recipe.precision)
    pools = _chosen(recipe, pools, questions.image_of_question)
    task = QuestionTask(network, recipe, inputs, pools, vocabulary, config, workers, wording)
    if verbose:
        _say_start(task, device)  # before the optimizer, for which torch imports its compiler
    trainer = Trainer(
        task,
        make_optimizer(network, recipe),
        folder,
        config,
        clip_norm=recipe.clip_norm,
        average=moving_average(network, recipe.ema) if recipe.ema else None,
        keeps=options.saving.keeps,
        workers=workers,
        device=device,
    )
    fit(trainer, options, recipe.log_every, lambda row: epoch_line(row, recipe, trainer.position.stage))
    return folder


def _precision(
    recipe: Recipe, folder: TrainingFolder, resume_from: Path | str | None, device: torch.device, workers: Workers
) -> str:
    """The precision of a training: as asked for; with "auto" as it began, or measured once, for all processes."""
    if recipe.precision != "auto":
        return choose_precision(recipe.precision, device)
    source = folder.state()
    if not os.path.isfile(source) and resume_from:
        source = resume_source(Path(resume_from))
    if os.path.isfile(source):
        begun: str = load_state(source)["config"]["recipe"]["precision"]
        return begun
    chosen = choose_precision("auto", device) if workers.is_main else ""
    return "bf16" if workers.any(chosen == "bf16", device) else "fp32"


def _require_cells(preset: Preset, split: Split) -> None:
    if not preset.describes:
        raise ConfigError(
            f"preset '{preset.name}': expected one with describing_channels for cell_weight, found none. "
            "Set cell_weight to 0, or use preset detect-fp."
        )
    split.require_scenes("cell_weight teaches what the cells of a picture hold")


def _wording(preset: Preset, recipe: Recipe, vocabulary: Vocabulary) -> Wording | None:
    if not recipe.symmetries:
        return None
    if preset.picture_size:
        raise ConfigError(
            f"recipe: symmetries are those of state descriptions, but preset '{preset.name}' reads pixels. "
            "Train without symmetries, or choose a preset with objects 'state'."
        )
    return Wording(vocabulary)


def _chosen(recipe: Recipe, pools: list[Pool], image_of_question: np.ndarray) -> list[Pool]:
    """The pools with the questions that the recipe trains on; stages with own scenes keep all of theirs."""
    if not (recipe.train_questions or recipe.train_pictures):
        return pools
    chosen = chosen_questions(recipe, pools[-1].questions, image_of_question)
    own = [*(bool(stage.scenes) for stage in recipe.curriculum), False]
    left = [
        pool if has_own else replace(pool, questions=np.intersect1d(pool.questions, chosen))
        for has_own, pool in zip(own, pools, strict=True)
    ]
    for number, pool in enumerate(left, 1):
        if not len(pool.questions):
            raise DataError(
                f"expected questions for stage {number} of the curriculum among the {len(chosen):,} trained on, found "
                "none. Raise train_questions or train_pictures, or give the stage scenes of its own."
            )
    return left


def _new_network(preset: Preset, recipe: Recipe, vocabulary: Vocabulary, options: Options) -> RelationNetwork:
    """A network with its initial weights. Adam keeps two moments of each weight, and there is its gradient."""
    require_memory(preset, copies=4)
    torch.manual_seed(recipe.seed)
    network = RelationNetwork(preset, vocabulary)
    network.question.set_forget_bias(recipe.forget_bias)
    if recipe.init == "he" and network.relations:
        network.relations.draw_for_relu()
    if options.init_conv and options.init_from and load_weights(options.init_from).preset.picture_size:
        raise ConfigError(
            f"expected init_conv or an init_from that reads pictures, found both, {options.init_conv} and "
            f"{options.init_from}: each gives the convolutions. Leave one out."
        )
    if options.init_conv:
        init_convolutions(network, options.init_conv)
    if options.init_from:
        net2net.init_from(network, vocabulary, options.init_from)
    return network


def _say_start(task: QuestionTask, device: torch.device) -> None:
    recipe = task.recipe
    if recipe.held_out:
        print(f"validating on the {recipe.held_out:,} training scenes held out, not on val", flush=True)
    memory = step_memory(task.network, recipe, device) / 1e9
    print(f"computing in {recipe.precision}; a step needs up to about {memory:.1f} GB beside the data", flush=True)
