"""The training loop: for each batch loss, backward, clip, step; after each epoch validate and save.

What is trained is a `Task`. Everything else (progress bar, log, checkpoints, time limit, stopping and pausing,
TensorBoard) is a `Callback`.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from rnlib.distributed import ALONE, Workers
from rnlib.errors import ConfigError
from rnlib.training.resume_state import Position, Row, load_state, restore_state, save_state
from rnlib.training.run_folder import TrainingFolder, check_same, resume_source


@dataclass(frozen=True)
class Batches:
    """The examples of an epoch in their order, cut into batches of `size`."""

    order: np.ndarray
    size: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.order[number * self.size : (number + 1) * self.size]

    def done(self, number: int) -> float:
        """The fraction of the epoch that is done after batch `number`, from above 0 to 1."""
        return min(1.0, (number + 1) * self.size / len(self.order))


@runtime_checkable
class Task(Protocol):
    """What is trained: a network, its examples, their loss, and how good the network is."""

    @property
    def network(self) -> nn.Module:
        """The network whose weights are trained."""
        ...

    @property
    def epochs(self) -> int:
        """How many epochs to train."""
        ...

    def epochs_done(self, position: Position) -> int:
        """How many of `epochs` are finished."""
        ...

    def batches(self, position: Position) -> Batches:
        """The batches of the position's epoch. It must depend on nothing but the position's epoch and stage."""
        ...

    def lr_at(self, position: Position, done: float) -> float:
        """The learning rate when the fraction `done` of the position's epoch is done."""
        ...

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """The mean loss of a batch. One of several processes returns the part that its share adds to it."""
        ...

    def validate(self, network: nn.Module, position: Position, train_loss: float) -> tuple[Row, dict[str, Any]]:
        """A row of the history, and all metrics, at the end of an epoch."""
        ...

    def score(self, row: Row) -> float:
        """By which the best epoch is chosen: higher is better."""
        ...

    def save_weights(self, path: Path, network: nn.Module, metrics: dict[str, Any], epoch: int) -> None:
        """Write the network as released weights are written."""
        ...

    def next_epoch(self, position: Position, row: Row) -> None:
        """Move the position past the epoch of this row."""
        ...


class Callback:
    """What happens besides training: methods called at certain moments. The default is nothing."""

    def before_epoch(self, trainer: "Trainer", batches: Batches) -> None:
        """Before the first (or, resumed, the next) step of an epoch."""

    def after_step(self, trainer: "Trainer", batches: Batches) -> None:
        """After each step. To end the training: save the state and raise."""

    def after_epoch(self, trainer: "Trainer", row: Row) -> None:
        """After an epoch is validated and saved; the position is at the next one."""


@dataclass
class Trainer:
    """Trains a task, from `position` on.

    clip_norm: the gradient's norm is clipped to this; 0 leaves it alone. average: a moving average of the weights,
    which is validated and saved in place of them. keeps: whether the weights and the state of an epoch stay.
    config: what decides the result; a folder holds one training, and another config is refused.
    """

    task: Task
    optimizer: torch.optim.Optimizer
    folder: TrainingFolder
    config: dict[str, Any]
    callbacks: Sequence[Callback] = ()
    clip_norm: float = 0.0
    average: AveragedModel | None = None
    keeps: Callable[[int], bool] = lambda epoch: False
    workers: Workers = ALONE
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    position: Position = field(default_factory=Position)

    def fit(self) -> None:
        """Train until all epochs are done, or a callback ends it."""
        while self.task.epochs_done(self.position) < self.task.epochs:
            self.train_epoch()
            row = self.finish_epoch()
            for callback in self.callbacks:
                callback.after_epoch(self, row)

    def train_epoch(self) -> None:
        """From the position's step to the end of its epoch."""
        task, position = self.task, self.position
        batches = task.batches(position)
        task.network.train()
        self._begin_sums()
        for callback in self.callbacks:
            callback.before_epoch(self, batches)
        for number in range(position.step, len(batches)):
            batch = batches[number]
            self.set_lr(task.lr_at(position, batches.done(number)))
            loss = self.step(batch)
            self._count(loss, len(batch))
            for callback in self.callbacks:
                callback.after_step(self, batches)
        self._write_sums()

    def step(self, batch: np.ndarray) -> Tensor:
        """One step of gradient descent; returns the loss of the whole batch."""
        loss = self.task.loss(batch, self.position)
        self.optimizer.zero_grad()
        loss.backward()
        loss = loss.detach()
        parameters = list(self.task.network.parameters())
        self.workers.add_up(loss, *(parameter.grad for parameter in parameters if parameter.grad is not None))
        if self.clip_norm:
            torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.task.network)
        return loss

    def finish_epoch(self) -> Row:
        """Validate, record and save at the end of an epoch; returns its row of the history."""
        task, position, epoch = self.task, self.position, self.position.epoch
        loss = position.loss_sum / position.questions
        require_finite(loss, f"the training loss of epoch {epoch}")
        network = self.average.module if self.average else task.network
        row, metrics = task.validate(network, position, loss)
        position.history.append(row)
        best = task.score(row) > position.best_accuracy
        position.best_accuracy = max(position.best_accuracy, task.score(row))
        kept = [f"epoch_{epoch:04d}"] if self.keeps(epoch) else []
        if self.workers.is_main:
            for name in ["last", *(["best"] if best else []), *kept]:
                task.save_weights(self.folder.weights(name), network, metrics, epoch)
        task.next_epoch(position, row)
        for name in [*kept, "last"]:
            self.save_state(name)
        self._write_tables()
        return row

    def _write_tables(self) -> None:
        if self.workers.is_main:
            self.folder.write_tables(self.position.history, self.position.steps)

    def set_lr(self, lr: float) -> None:
        """The learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def save_state(self, name: str = "last") -> None:
        """Write the state to resume from, by one of the processes."""
        if self.workers.is_main:
            path = self.folder.state(name)
            save_state(path, self.position, self.task.network, self.optimizer, self.average, self.config)

    def checkpoint(self) -> None:
        """Save the state within an epoch."""
        self._write_sums()
        self.save_state()

    def resume(self, resume_from: Path | str | None = None) -> Path | None:
        """Go to the state in the folder, else to the kept epoch `resume_from`; returns its file, None for a new start.

        Takes the folder. Raises ConfigError where it holds another training or more epochs.
        """
        self.workers.wait()  # a process that came late must not read what another has begun to write
        source, branch = self.folder.state(), False
        if not os.path.isfile(source) and resume_from:
            source, branch = resume_source(Path(resume_from)), True
        elif resume_from and resume_source(Path(resume_from)).resolve().parent == source.resolve().parent:
            raise ConfigError(
                f"{resume_from} is a kept epoch of the training in {self.folder.root} itself, which has continued "
                "since. Give another folder with --out to branch off from it, or leave --resume-from out to continue."
            )
        resumed = branch or os.path.isfile(source)
        if resumed:
            state = load_state(source)
            check_same(state["config"], self.config, source)
            self.position = restore_state(source, state, self.task.network, self.optimizer, self.average)
            done, epochs = self.task.epochs_done(self.position), self.task.epochs
            if done > epochs or (branch and done == epochs):
                raise ConfigError(f"{source} holds {done} epochs, and {epochs} were asked for. Ask for more epochs.")
        self.workers.wait()  # until all have looked at the folder
        if self.workers.is_main:
            self.folder.claim(self.config)
        if resumed and not branch and self.position.history:
            self._write_tables()  # a process may have been killed between the state and them
        if branch:
            self.position.best_accuracy = -1.0  # `best` is the best of this folder
        return source if resumed else None

    def _begin_sums(self) -> None:
        # On the device, so that a step of a GPU need not wait for its loss.
        position = self.position
        self._loss = torch.tensor(position.loss_sum, dtype=torch.float64, device=self.device)
        self._recent = torch.tensor(position.recent_loss_sum, dtype=torch.float64, device=self.device)
        self._begin = time.monotonic() - position.seconds

    def _count(self, loss: Tensor, questions: int) -> None:
        position = self.position
        self._loss += loss * questions
        self._recent += loss * questions
        position.recent_questions += questions
        position.step += 1
        position.total_steps += 1
        position.questions += questions
        position.seconds = time.monotonic() - self._begin

    def _write_sums(self) -> None:
        self.position.loss_sum, self.position.recent_loss_sum = float(self._loss), float(self._recent)

    def recent_loss(self) -> float:
        """The mean loss since the last call; ConfigError where it is not finite."""
        mean = float(self._recent) / self.position.recent_questions
        require_finite(mean, f"the training loss of epoch {self.position.epoch}")
        self._recent.zero_()
        self.position.recent_questions = 0
        return mean

    def skip_time(self, seconds: float) -> None:
        """Leave a pause out of the time that the epoch takes."""
        self._begin += seconds


def require_finite(loss: float, what: str) -> None:
    """Raise ConfigError where a training has diverged."""
    if not np.isfinite(loss):
        raise ConfigError(
            f"{what} is {loss}: training diverged. Use a lower lr or a smaller clip_norm, in another folder."
        )


Tensors = list[Tensor] | tuple[Tensor, ...]


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A moving average of a network's weights. Its decay at step t is at most (1 + t) / (10 + t).

    So the average follows quickly at first. At a fixed 0.998 the initial weights are 15 % of it after 940 steps.
    """

    def update(averages: Tensors, values: Tensors, steps: Tensor | int) -> None:
        kept = min(decay, (1 + float(steps)) / (10 + float(steps)))
        for average, value in zip(averages, values, strict=True):
            average.copy_(average.lerp(value, 1 - kept) if average.is_floating_point() else value)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
