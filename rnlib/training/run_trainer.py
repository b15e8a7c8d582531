"""A trainer at work: with its log, progress, checkpoints, time limit, interrupts and requests to pause or stop."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import TimeUp
from rnlib.files import sole_user
from rnlib.training.reporting import EpochLines, OnEpoch, ProgressBar, StepLog, TensorBoard
from rnlib.training.resume_state import Row
from rnlib.training.saving import Checkpoints, Saving, listening
from rnlib.training.trainer import Callback, Trainer


@dataclass(frozen=True)
class Options:
    """What a training can be given besides preset, recipe, splits and folder.

    vocabulary    numbers words and answers; None: the training split's own
    device        "cpu", "cuda" or a torch device
    saving        when it saves, and its time limit
    init_conv     weights whose convolutions to start from (a file or a released name)
    init_from     weights to start as, in a network that may be larger (`rnlib.model.net2net`)
    resume_from   weights of a kept epoch of another training folder to branch off from, in place of new weights
    on_epoch      called with each row of the history
    tensorboard   write TensorBoard events too
    verbose       print and show progress
    """

    vocabulary: Vocabulary | None = None
    device: torch.device | str = "cpu"
    saving: Saving = field(default_factory=Saving)
    init_conv: Path | str | None = None
    init_from: Path | str | None = None
    resume_from: Path | str | None = None
    on_epoch: Callable[[Row], None] | None = None
    tensorboard: bool = False
    verbose: bool = True


def fit(trainer: Trainer, options: Options, log_every: int, line: Callable[[Row], str]) -> None:
    """Resume a trainer and run it to its end, its time limit (which is printed), or an interrupt (KeyboardInterrupt).

    log_every: steps between two rows of steps.csv. line: what is printed of a row of the history; nothing if empty.
    Raises ConfigError as `Trainer.resume`, and where another process trains in the folder.
    """
    main = trainer.workers.is_main
    with sole_user(trainer.folder.root, "training") if main else nullcontext():
        _fit(trainer, options, log_every, line)
    trainer.workers.wait()


def _fit(trainer: Trainer, options: Options, log_every: int, line: Callable[[Row], str]) -> None:
    main = trainer.workers.is_main
    resumed, position = trainer.resume(options.resume_from), trainer.position
    if resumed and options.verbose and main and trainer.task.epochs_done(position) < trainer.task.epochs:
        print(f"continuing at epoch {position.epoch}, step {position.step}, from {resumed}", flush=True)
    callbacks: list[Callback] = [StepLog(log_every)]
    if options.verbose and main:
        callbacks += [ProgressBar(), EpochLines(line)]
    if options.tensorboard and main:
        callbacks.append(TensorBoard(trainer.folder))
    if options.on_epoch:
        callbacks.append(OnEpoch(options.on_epoch))
    with listening(trainer.folder, main) as requests:
        trainer.callbacks = [*callbacks, Checkpoints(options.saving, requests)]
        try:
            trainer.fit()
        except TimeUp as stop:
            if options.verbose and main:
                print(stop, flush=True)
