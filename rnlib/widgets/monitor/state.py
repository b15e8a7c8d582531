"""What the training monitor does, without a front end: read a training's reports, ask it to pause or stop, train on.

While a cell trains, its kernel is deaf to buttons. So training on from here is done in a thread, which leaves the
kernel free; and requests go through the folder's control file (`rnlib.training.pause_stop`), so that a monitor
in another notebook reaches the cell.
"""

import threading
import time
from collections.abc import Callable

import msgspec
import pandas as pd

from rnlib.errors import ConfigError, DataError
from rnlib.training.pause_stop import Progress, progress_of, request, requested
from rnlib.training.recipe import Recipe
from rnlib.training.run_folder import STEP_COLUMNS, TrainingFolder

FRESH = 60.0  # seconds: a training that reported so recently is taken to be alive
HISTORY_COLUMNS = ["epoch", "questions", "val_accuracy"]  # of an empty history


class Monitoring:
    """A training by its folder, wherever it runs.

    `train_on`, called with `recipe=`, continues it (such as a `functools.partial` of `train_in`); `recipe` is that
    of the training so far, of which only the number of epochs is changed. Without the two it can only be watched,
    paused and stopped.
    """

    def __init__(
        self,
        folder: TrainingFolder,
        train_on: Callable[..., TrainingFolder] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.folder, self._train_on, self._recipe = folder, train_on, recipe
        self._thread: threading.Thread | None = None
        self._until = 0  # the last epoch, where this object's thread trains
        self.outcome = ""

    def history(self) -> pd.DataFrame:
        """A row an epoch; none yet: an empty table."""
        try:
            return self.folder.history()
        except DataError:
            return pd.DataFrame(columns=HISTORY_COLUMNS)

    def steps(self) -> pd.DataFrame:
        """Training loss by step, with the epoch under way as far as it has been reported."""
        try:
            steps = self.folder.steps()
        except DataError:
            steps = pd.DataFrame(columns=STEP_COLUMNS)
        progress = self.progress()
        latest = steps["step"].max() if len(steps) else 0
        rows = [row for row in progress.steps if row["step"] > latest] if progress else []
        return pd.DataFrame([*steps.to_dict("records"), *rows], columns=STEP_COLUMNS)

    def progress(self) -> Progress | None:
        """The training's last report."""
        return progress_of(self.folder)

    @property
    def trains_here(self) -> bool:
        """Whether this object's own thread is training."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def going_on(self) -> bool:
        """Whether, by its last report, the training has not ended. A killed one cannot report that it has."""
        progress = self.progress()
        return self.trains_here or (progress is not None and progress.state != "ended")

    @property
    def status(self) -> str:
        """One line: where the training is, whether it has heard what it is asked, how fresh that is, how it ended."""
        progress = self.progress()
        if progress is None:
            return self.outcome or "no report yet"
        age = max(time.time() - progress.written, 0)
        state = progress.state
        asked = {"pause": "asked to pause", "stop": "asked to stop"}.get(requested(self.folder), "")
        if asked and state == "training":
            state = asked
        where = (
            f"epoch {progress.epoch}, step {progress.step} of {progress.of_steps}" if progress.epoch else "beginning"
        )
        ended = f" · {self.outcome}" if self.outcome and state == "ended" else ""
        return f"{state} · {where}{self._remaining(progress)} · reported {age:.0f} s ago{ended}"

    def _remaining(self, progress: Progress) -> str:
        """How long the training will take at the pace of its epoch so far; validation between epochs not counted."""
        if progress.state != "training" or not progress.step:
            return ""
        of_step = progress.seconds / progress.step
        left = of_step * (progress.of_steps - progress.step)
        text = f" · {_duration(left)} left in this epoch"
        epochs = self._until - progress.epoch
        return text + (f", {_duration(left + epochs * of_step * progress.of_steps)} in all" if epochs > 0 else "")

    @property
    def possible(self) -> set[str]:
        """What can be asked for now, out of "start", "pause", "go on" and "stop"."""
        if not self._alive():
            return set() if self._train_on is None else {"start"}
        asked = requested(self.folder)
        progress = self.progress()
        waits = asked == "pause" or (progress is not None and progress.state == "paused")
        if asked == "stop":
            return set()
        return {"go on" if waits else "pause", "stop"}

    def _alive(self) -> bool:
        """Whether it trains: here, or by a fresh report elsewhere."""
        progress = self.progress()
        reported = progress is not None and progress.state != "ended" and time.time() - progress.written < FRESH
        return self.trains_here or reported

    def pause(self) -> None:
        """Ask the training to save its state and wait after the step under way."""
        request(self.folder, "pause")

    def go_on(self) -> None:
        """Let a paused training go on."""
        request(self.folder, "")

    def stop(self) -> None:
        """Ask the training to save its state and end after the step under way."""
        request(self.folder, "stop")

    def start(self, epochs: int) -> None:
        """Train on in a thread for so many more epochs than are done.

        Raises ConfigError where it trains already, for less than one epoch, where it can only be watched, and where
        its cosine schedule fixes another number of epochs.
        """
        if self._train_on is None or self._recipe is None:
            raise ConfigError("expected a way to train on, found none: this monitor can only watch, pause and stop.")
        if self._alive():
            raise ConfigError("expected a training that has ended, found one that is going on. Stop it first.")
        if epochs < 1:
            raise ConfigError(f"expected at least 1 epoch to train on, found {epochs}.")
        done, whole = self.folder.epochs_done(self._recipe), self._recipe.epochs
        if self._recipe.lr_schedule == "cosine" and done + epochs != whole:
            rest = f"the other {whole - done}" if done < whole else "no more"
            raise ConfigError(
                f"expected {rest} of the {whole} epochs that this training's cosine schedule was made for, found "
                f"{epochs} epochs. For a longer training start another one from its weights (init_from)."
            )
        recipe = msgspec.structs.replace(self._recipe, epochs=done + epochs)
        self.outcome, self._until = "", done + epochs
        self._thread = threading.Thread(target=self._train, args=(recipe,), name="training", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the thread to end, at most so long; returns whether it has."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.trains_here

    def _train(self, recipe: Recipe) -> None:
        assert self._train_on is not None
        try:
            self._train_on(recipe=recipe)
            self.outcome = f"all {recipe.epochs} epochs are done"
        except KeyboardInterrupt as stop:
            self.outcome = str(stop)
        except Exception as error:
            # A thread has nobody to raise to: what went wrong must show in the status.
            self.outcome = f"failed: {error}"


def _duration(seconds: float) -> str:
    """A length of time in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
