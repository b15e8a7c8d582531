"""When a training saves, stops and pauses."""

import math
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rnlib.errors import ConfigError, TimeUp
from rnlib.training.pause_stop import Requests
from rnlib.training.resume_state import Row
from rnlib.training.run_folder import TrainingFolder
from rnlib.training.trainer import Batches, Callback, Trainer


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
        for name in ("time_limit", "checkpoint_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"expected a {name} of 0 minutes or more, found {getattr(self, name)}.")
        if self.keep != "last" and not re.fullmatch(r"every:[1-9]\d*", self.keep):
            raise ConfigError(f"expected keep 'last' or 'every:N' with N from 1, found '{self.keep}'.")

    def keeps(self, epoch: int) -> bool:
        """Whether the weights of this epoch stay."""
        return self.keep != "last" and epoch % int(self.keep.removeprefix("every:")) == 0

    def used_up(self) -> bool:
        """Whether the time limit is reached."""
        return self.time_limit > 0 and time.monotonic() > self.begun + 60 * self.time_limit


class Checkpoints(Callback):
    """Saves the state every few minutes, and where the training is to stop or to pause; a step is never cut in two.

    Raises KeyboardInterrupt for an interrupt or a request to stop, TimeUp at the end of the time limit.
    """

    def __init__(self, saving: Saving, requests: Requests) -> None:
        self.saving, self.requests = saving, requests

    def before_epoch(self, trainer: Trainer, batches: Batches) -> None:
        self.saved = time.monotonic()

    def after_step(self, trainer: Trainer, batches: Batches) -> None:
        position = trainer.position
        self.requests.report(position, len(batches))
        stop = trainer.workers.any(self.requests.is_set(), trainer.device)
        over = self.saving.time_limit > 0 and trainer.workers.any(self.saving.used_up(), trainer.device)
        late = time.monotonic() - self.saved > 60 * self.saving.checkpoint_minutes
        if not (stop or over or late or self.requests.paused):
            return
        trainer.checkpoint()
        self.saved = time.monotonic()
        where = f"at epoch {position.epoch}, step {position.step}; the state is saved, run again to continue"
        if stop:
            raise KeyboardInterrupt(f"stopped {where}")
        if over:
            raise TimeUp(f"the time limit of {self.saving.time_limit:g} minutes is reached {where}")
        trainer.skip_time(self.requests.hold())

    def after_epoch(self, trainer: Trainer, row: Row) -> None:
        if trainer.workers.any(self.requests.is_set(), trainer.device):
            raise KeyboardInterrupt(f"stopped after epoch {row['epoch']}; the state is saved")
        finished = trainer.task.epochs_done(trainer.position) == trainer.task.epochs
        if trainer.workers.any(self.saving.used_up(), trainer.device) and not finished:
            raise TimeUp(
                f"the time limit of {self.saving.time_limit:g} minutes is reached at epoch {trainer.position.epoch}, "
                "step 0; the state is saved, run again to continue"
            )


@contextmanager
def listening(folder: TrainingFolder, is_main: bool) -> Iterator[Requests]:
    """What asks a training to stop or pause: SIGINT and SIGTERM (in the main thread), and the folder's control file."""
    requests = Requests(folder, is_main)
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
