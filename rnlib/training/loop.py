"""The training loop: plain torch, resumable at any step, the same for all presets."""

import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from rnlib.clevr.split import Split
from rnlib.clevr.subsets import part_of
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError
from rnlib.evaluation.metrics import compute_metrics
from rnlib.evaluation.predictions import predict, require_answers
from rnlib.model import net2net
from rnlib.model.checkpoint import Weights, init_convolutions, save_weights
from rnlib.model.inputs import NetworkInputs, upload
from rnlib.model.network import RelationNetwork
from rnlib.model.precision import choose_precision
from rnlib.model.preset import Preset
from rnlib.provenance import provenance
from rnlib.training.augment import augment, draw_augmentations, draw_dropout
from rnlib.training.control import Requests
from rnlib.training.curriculum import Pool, lay_out
from rnlib.training.log import epoch_line, history_row
from rnlib.training.memory_estimate import step_memory
from rnlib.training.recipe import Recipe
from rnlib.training.run_folder import TrainingFolder, check_same, resume_source, training_config
from rnlib.training.sampler import chosen_questions, epoch_order
from rnlib.training.state import Position, Row, load_state, restore_state, save_state
from rnlib.training.symmetries import Wording, draw_symmetries, moved_inputs
from rnlib.workers import Workers

Tensors = list[Tensor] | tuple[Tensor, ...]


@dataclass(frozen=True)
class Saving:
    """When a training saves what.

    keep                "last" (and the best), or "every:N": weights and state of every N-th epoch stay too
    checkpoint_minutes  the state is saved after each epoch, and within one after so many minutes
    time_limit          the training saves its state and stops by itself this many minutes after this object was made;
                        0: no limit
    """

    keep: str = "last"
    checkpoint_minutes: float = 5.0
    time_limit: float = 0.0
    begun: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.time_limit < 0:
            raise ConfigError(f"expected a time_limit of 0 minutes (none) or more, found {self.time_limit}.")
        if self.keep != "last" and not re.fullmatch(r"every:[1-9]\d*", self.keep):
            raise ConfigError(f"expected keep 'last' or 'every:N' with N from 1, found '{self.keep}'.")

    def keeps(self, epoch: int) -> bool:
        """Whether the weights of this epoch stay."""
        return self.keep != "last" and epoch % int(self.keep.removeprefix("every:")) == 0

    def used_up(self) -> bool:
        """Whether the time limit is reached."""
        return self.time_limit > 0 and time.monotonic() > self.begun + 60 * self.time_limit


def train(
    preset: Preset,
    recipe: Recipe,
    train_split: Split,
    val_split: Split,
    out: Path | str,
    *,
    vocabulary: Vocabulary | None = None,
    device: torch.device | str = "cpu",
    saving: Saving | None = None,
    init_conv: Path | str | None = None,
    init_from: Path | str | None = None,
    resume_from: Path | str | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    show: bool = True,
) -> TrainingFolder:
    """Train a network, or go on with a training that stands in `out`.

    `vocabulary`: numbers words and answers; by default the training split's own.
    `init_conv`: weights whose convolutions to start from. `init_from`: weights to start as, in a network that may be
    larger (`rnlib.model.net2net`); both a file or a released name. `resume_from`: weights of a kept
    epoch of another training folder to branch off from, in place of new weights.
    `on_epoch` is called with each line of the history. An interrupt (Ctrl-C, SIGTERM) ends
    the step (or the validation) under way, saves the state and raises KeyboardInterrupt;
    running again goes on. The end of `Saving.time_limit` does the same, and returns.
    Raises ConfigError where `out` holds another training or already
    more epochs, DataError on broken input.
    """
    for split in (train_split, val_split):
        require_answers(split)
    if recipe.held_out:
        trained_on = train_split.n_images - recipe.held_out
        if trained_on < 1:
            raise ConfigError(
                f"expected to hold out less than all {train_split.n_images:,} scenes, found {recipe.held_out:,}."
            )
        val_split = part_of(train_split, trained_on, train_split.n_images)
        train_split = part_of(train_split, 0, trained_on)
    vocabulary = vocabulary or train_split.vocabulary
    device = torch.device(device)
    workers = Workers.join(device)
    folder = TrainingFolder(out)
    recipe = msgspec.structs.replace(recipe, precision=_precision(recipe, folder, resume_from, device, workers))
    wording = _wording(preset, recipe, vocabulary)
    NetworkInputs.of(val_split, preset, vocabulary)  # a wrong val split must show before an epoch, not after it
    if any(stage.scenes for stage in recipe.curriculum):  # and a wrong train split before scenes are made for stages
        NetworkInputs.of(train_split, preset, vocabulary)
    config = training_config(preset, recipe, vocabulary, train_split, val_split, init_conv, init_from)
    questions, pools = _lay_out(recipe, preset, train_split, val_split, vocabulary, folder, workers, show)
    inputs = NetworkInputs.of(questions, preset, vocabulary, device, resident=True)

    torch.manual_seed(recipe.seed)
    network = RelationNetwork(preset, vocabulary)
    network.question.set_forget_bias(recipe.forget_bias)
    if recipe.init == "he" and network.relations:
        network.relations.draw_for_relu()
    if init_conv:
        init_convolutions(network, init_conv)
    if init_from:
        net2net.init_from(network, vocabulary, init_from)
    network.to(device).set_precision(recipe.precision)
    optimizer = _optimizer(network, recipe)
    average = None
    if recipe.ema:
        average = AveragedModel(network, multi_avg_fn=_moving_average(recipe.ema), use_buffers=True)
    show = show and workers.leads
    position = _start(folder, resume_from, config, recipe, network, optimizer, average, workers, show)

    if show and recipe.held_out:
        print(f"validating on the {recipe.held_out:,} training scenes held out, not on val", flush=True)
    if show:
        print(f"computing in {recipe.precision}", flush=True)
        print(
            f"a step holds up to about {step_memory(network, recipe, device) / 1e9:.1f} GB beside the data", flush=True
        )
    saving = saving or Saving()
    loop = _Loop(
        network,
        optimizer,
        average,
        inputs,
        wording,
        pools,
        vocabulary,
        recipe,
        folder,
        config,
        saving,
        workers,
        show,
    )
    with _requests(folder, workers.leads) as stopped:
        while position.epochs_done(recipe.curriculum) < recipe.epochs:
            if not loop.train_epoch(position, stopped):
                break
            row = loop.finish_epoch(position)
            if on_epoch:
                on_epoch(row)
            if workers.any(stopped.is_set(), device):
                raise KeyboardInterrupt(f"stopped after epoch {row['epoch']}; the state is saved")
            finished = position.epochs_done(recipe.curriculum) == recipe.epochs
            if workers.any(saving.used_up(), device) and not finished:
                loop.say_used_up(position)
                break
    workers.wait()
    return folder


def _precision(
    recipe: Recipe, folder: TrainingFolder, resume_from: Path | str | None, device: torch.device, workers: Workers
) -> str:
    """The precision of a training: as asked for; with "auto" as it began, or measured once, for all processes."""
    if recipe.precision != "auto":
        return choose_precision(recipe.precision, device)
    source = folder.state()
    if not source.is_file() and resume_from:
        source = resume_source(Path(resume_from))
    if source.is_file():
        begun: str = load_state(source)["config"]["recipe"]["precision"]
        return begun
    chosen = choose_precision("auto", device) if workers.leads else ""
    return "bf16" if workers.any(chosen == "bf16", device) else "fp32"


def _lay_out(
    recipe: Recipe,
    preset: Preset,
    train_split: Split,
    val_split: Split,
    vocabulary: Vocabulary,
    folder: TrainingFolder,
    workers: Workers,
    show: bool,
) -> tuple[Split, list[Pool]]:
    """The questions of all stages, whose own scenes the first process makes while the others wait."""
    if not workers.leads:
        workers.wait()
    images = preset.image_size if preset.objects == "pixels" else None
    joined, pools = lay_out(
        recipe.curriculum,
        train_split,
        val_split,
        vocabulary,
        seed=recipe.seed,
        images=images,
        folder=folder.root / "stages",
        show=show and workers.leads,
    )
    if workers.leads:
        workers.wait()
    chosen = chosen_questions(recipe, pools[-1].questions)
    if recipe.train_questions:  # stages with scenes of their own keep all of these
        pools = [
            pool if own else replace(pool, questions=np.intersect1d(pool.questions, chosen))
            for own, pool in zip([*(bool(stage.scenes) for stage in recipe.curriculum), False], pools, strict=True)
        ]
    return joined, pools


def _start(
    folder: TrainingFolder,
    resume_from: Path | str | None,
    config: dict[str, Any],
    recipe: Recipe,
    network: RelationNetwork,
    optimizer: torch.optim.Optimizer,
    average: AveragedModel | None,
    workers: Workers,
    show: bool,
) -> Position:
    """Where to begin: at the state in the folder, else at the kept epoch asked for, else at the first epoch."""
    workers.wait()  # a process that came late must not read what another has begun to write
    source, branch = folder.state(), False
    if not source.is_file() and resume_from:
        source, branch = resume_source(Path(resume_from)), True
    elif resume_from and resume_source(Path(resume_from)).resolve().parent == source.resolve().parent:
        raise ConfigError(
            f"{resume_from} is a kept epoch of the training in {folder.root} itself, which has gone on since. "
            "Give another folder with --out to branch off from it, or leave --resume-from out to continue."
        )
    if not branch and not source.is_file():
        _claim(folder, config, workers)
        return Position()
    state = load_state(source)
    check_same(state["config"], config, source)
    position = restore_state(state, network, optimizer, average)
    done = position.epochs_done(recipe.curriculum)
    if done > recipe.epochs or (branch and done == recipe.epochs):
        raise ConfigError(f"{source} holds {done} epochs, and {recipe.epochs} were asked for. Ask for more epochs.")
    _claim(folder, config, workers)
    if branch:
        position.best_accuracy = -1.0  # `best` is the best of this folder
    if show:
        print(f"continuing at epoch {position.epoch}, step {position.step}, from {source}", flush=True)
    return position


def _claim(folder: TrainingFolder, config: dict[str, Any], workers: Workers) -> None:
    """Take the folder, once for all processes and when all have looked at it."""
    workers.wait()
    if workers.leads:
        folder.claim(config)


@dataclass(frozen=True)
class _Loop:
    network: RelationNetwork
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    inputs: NetworkInputs
    wording: Wording | None
    pools: list[Pool]
    vocabulary: Vocabulary
    recipe: Recipe
    folder: TrainingFolder
    config: dict[str, Any]
    saving: Saving
    workers: Workers
    show: bool

    def train_epoch(self, position: Position, stopped: Requests) -> bool:
        """Train from `position` to the end of its epoch; False where the time limit ended it before."""
        recipe, epoch = self.recipe, position.epoch
        size = recipe.batch_at(epoch)
        split = self.inputs.split
        pools = [pool.questions for pool in self.pools]
        order = epoch_order(recipe, epoch, split.image_of_question, pools[position.stage], pools[: position.stage])
        curriculum = position.curriculum_epochs(recipe.curriculum)
        draws = None
        if recipe.augment and self.inputs.preset.objects == "pixels":
            keys = split.n_images if recipe.group_questions else split.n_questions
            draws = draw_augmentations(recipe.seed, epoch, keys, self.inputs.preset.image_size)
        self.network.train()
        loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=self.inputs.device)
        recent = torch.tensor(position.recent_loss_sum, dtype=torch.float64, device=self.inputs.device)
        begin = saved = time.monotonic()
        before = position.seconds
        starts = range(0, len(order), size)
        bar = tqdm(
            starts[position.step :],
            f"epoch {epoch}",
            total=len(starts),
            initial=position.step,
            disable=not (self.show and sys.stderr.isatty()),
            unit="step",
            leave=False,
        )
        for start in bar:
            questions = order[start : start + size]
            lr = recipe.lr_at(epoch, min(1.0, (start + size) / len(order)), curriculum)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            loss = self._step(questions, draws, position)
            loss_sum += loss * len(questions)
            recent += loss * len(questions)
            position.recent_questions += len(questions)
            position.step += 1
            position.total_steps += 1
            position.questions += len(questions)
            position.seconds = before + time.monotonic() - begin
            if position.total_steps % recipe.log_every == 0:
                mean = float(recent) / position.recent_questions
                _require_finite(mean, f"the training loss of epoch {epoch}")
                self._log_step(position, mean, lr)
                recent.zero_()
                position.recent_questions = 0
            stopped.report(position, len(starts))
            stop = self.workers.any(stopped.is_set(), self.inputs.device)
            over = self.saving.time_limit > 0 and self.workers.any(self.saving.used_up(), self.inputs.device)
            late = time.monotonic() - saved > 60 * self.saving.checkpoint_minutes
            if stop or over or stopped.paused or late:
                position.loss_sum, position.recent_loss_sum = float(loss_sum), float(recent)
                self._save_state("last", position)
                saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt(
                        f"stopped at epoch {epoch}, step {position.step}; the state is saved, run again to continue"
                    )
                if over:
                    self.say_used_up(position)
                    return False
                begin += stopped.hold()
        position.loss_sum, position.recent_loss_sum = float(loss_sum), float(recent)
        return True

    def say_used_up(self, position: Position) -> None:
        """Print that the time limit is reached."""
        if self.show:
            print(
                f"the time limit of {self.saving.time_limit:g} minutes is reached at epoch {position.epoch}, step "
                f"{position.step}; the state is saved, run again to continue",
                flush=True,
            )

    def finish_epoch(self, position: Position) -> Row:
        """Validate, record and save at the end of an epoch; returns its line of the history."""
        epoch = position.epoch
        loss = position.loss_sum / position.questions
        _require_finite(loss, f"the training loss of epoch {epoch}")
        network = self.network
        if self.average:
            network = cast(RelationNetwork, self.average.module)
        weights = Weights(network, self.inputs.preset, self.vocabulary)
        device, workers = self.inputs.device, self.workers
        every, own = self.pools[-1].held_out, self.pools[position.stage].held_out
        metrics = compute_metrics(predict(weights, every, device=device, show=False, workers=workers))
        of_stage = metrics
        if own is not every:
            of_stage = compute_metrics(predict(weights, own, device=device, show=False, workers=workers))
        _require_finite(metrics["loss"], f"the validation loss of epoch {epoch}")
        row = history_row(position, self.recipe, loss, metrics, of_stage)
        position.history.append(row)
        best = row["val_accuracy"] > position.best_accuracy
        position.best_accuracy = max(position.best_accuracy, row["val_accuracy"])
        kept = [f"epoch_{epoch:04d}"] if self.saving.keeps(epoch) else []
        origin = provenance(
            {"training": self.recipe.seed},
            recipe=self.config["recipe"],
            data=self.config["data"],
            start=self.config["start"],
            epoch=epoch,
        )
        if self.workers.leads:
            for name in ["last", *(["best"] if best else []), *kept]:
                save_weights(
                    self.folder.weights(name),
                    network,
                    self.vocabulary,
                    metrics={"held_out" if self.recipe.held_out else "val": metrics},
                    provenance=origin,
                )
            self.folder.write_tables(position.history, position.steps)
        ends = position.judge(row["stage_accuracy"], self.recipe.curriculum)
        position.next_epoch()
        if ends:
            position.next_stage()
        for name in [*kept, "last"]:
            self._save_state(name, position)
        if self.show:
            print(epoch_line(row, self.recipe), flush=True)
            if ends:
                print(f"stage {row['stage']} ends after {epoch} epochs and {row['questions']:,} questions", flush=True)
        return row

    def _step(self, batch: np.ndarray, draws: np.ndarray | None, position: Position) -> torch.Tensor:
        """One step on a batch, of which this process does its share; returns the loss of all of it."""
        inputs, recipe, preset = self.inputs, self.recipe, self.inputs.preset
        part, counts = self.workers.share(inputs.split.image_of_question[batch] if recipe.group_questions else batch)
        questions = batch[part]
        pictures, scene = inputs.split.image_of_question[questions], None
        first = which = np.arange(len(questions))
        if recipe.group_questions:
            pictures, first, which = np.unique(pictures, return_index=True, return_inverse=True)
            scene = upload(which, inputs.device)
        if self.wording:
            longest = inputs.tokens.shape[1]
            moves = draw_symmetries(recipe.seed, position.epoch, position.step, len(batch), longest).of(part).of(first)
            visual, asked, answer = moved_inputs(inputs, self.wording, pictures, questions, moves, which)
        else:
            visual, asked, answer = inputs.visual(pictures), inputs.question(questions), inputs.answer(questions)
        if draws is not None:
            keys = pictures if recipe.group_questions else questions
            visual = augment(visual, upload(draws[keys], inputs.device))
        stay = None
        if preset.dropout:
            width = preset.f_layers[1]
            drawn = draw_dropout(recipe.seed, position.epoch, position.step, len(batch), width, preset.dropout)
            stay = upload(drawn[part], inputs.device)
        log_probability = self.network.answer_from_objects(self.network.objects(visual), asked, scene, stay)
        losses = torch.nn.functional.nll_loss(log_probability, answer, reduction="sum")
        loss = losses * (counts / len(batch))
        self.optimizer.zero_grad()
        loss.backward()
        loss = loss.detach()
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        self.workers.add_up(loss, *gradients)
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.network)
        return loss

    def _log_step(self, position: Position, loss: float, lr: float) -> None:
        position.steps.append(
            {
                "step": position.total_steps,
                "epoch": position.epoch,
                "train_loss": loss,
                "lr": lr,
            }
        )

    def _save_state(self, name: str, position: Position) -> None:
        if self.workers.leads:
            path = self.folder.state(name)
            save_state(path, position, self.network, self.optimizer, self.average, self.config)


def _require_finite(loss: float, what: str) -> None:
    if not np.isfinite(loss):
        raise ConfigError(
            f"{what} is {loss}: training diverged. Use a lower lr or a smaller clip_norm, in another folder."
        )


def _wording(preset: Preset, recipe: Recipe, vocabulary: Vocabulary) -> Wording | None:
    if not recipe.symmetries:
        return None
    if preset.objects == "pixels":
        raise ConfigError(
            f"recipe: symmetries are those of state descriptions, but preset '{preset.name}' reads pixels. "
            "Train without symmetries, or choose a preset with objects 'state'."
        )
    return Wording(vocabulary)


def _optimizer(network: RelationNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An update of AveragedModel. At step t the decay is at most (1 + t) / (10 + t).

    So the average follows quickly at first. At a fixed 0.998 the initial weights are 15 % of it after 940 steps.
    """

    def update(averages: Tensors, values: Tensors, steps: Tensor | int) -> None:
        kept = min(decay, (1 + float(steps)) / (10 + float(steps)))
        for average, value in zip(averages, values, strict=True):
            average.copy_(average.lerp(value, 1 - kept) if average.is_floating_point() else value)

    return update


@contextmanager
def _requests(folder: TrainingFolder, leads: bool) -> Iterator[Requests]:
    """What asks the training to stop or wait: SIGINT and SIGTERM (in the main thread), and the folder's control file.

    So a step is never cut in two.
    """
    requests = Requests(folder, leads)
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    try:
        for number in before:
            signal.signal(number, lambda *_: requests.set())
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        requests.close()
