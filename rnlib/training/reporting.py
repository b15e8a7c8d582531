"""What a training shows while it runs: a progress bar, lines of steps.csv, a line an epoch, TensorBoard."""

from collections.abc import Callable

from rnlib.errors import ConfigError
from rnlib.progress import Progress
from rnlib.training.resume_state import Row
from rnlib.training.run_folder import TrainingFolder
from rnlib.training.trainer import Batches, Callback, Trainer

LINE_EVERY = 300.0  # seconds between two lines of an epoch under way, where there is no bar


class ProgressBar(Callback):
    """A bar over the steps of each epoch, where stderr is a terminal; a line every five minutes elsewhere."""

    def before_epoch(self, trainer: Trainer, batches: Batches) -> None:
        position = trainer.position
        what, done = f"epoch {position.epoch}", position.step
        self.bar = Progress(what, len(batches), unit="steps", done=done, every=LINE_EVERY)

    def after_step(self, trainer: Trainer, batches: Batches) -> None:
        self.bar.add()
        if trainer.position.step == len(batches):
            self.bar.close()


class StepLog(Callback):
    """A row of steps.csv every `every` steps; ConfigError where the loss is not finite."""

    def __init__(self, every: int) -> None:
        self.every = every

    def after_step(self, trainer: Trainer, batches: Batches) -> None:
        position = trainer.position
        if position.total_steps % self.every == 0:
            loss, lr = trainer.recent_loss(), trainer.optimizer.param_groups[0]["lr"]
            row: Row = {"step": position.total_steps, "epoch": position.epoch, "train_loss": loss, "lr": lr}
            position.steps.append(row)


class EpochLines(Callback):
    """Prints what `line` makes of each row of the history, where that is not empty."""

    def __init__(self, line: Callable[[Row], str]) -> None:
        self.line = line

    def after_epoch(self, trainer: Trainer, row: Row) -> None:
        if text := self.line(row):
            print(text, flush=True)


class OnEpoch(Callback):
    """Calls a function with each row of the history."""

    def __init__(self, call: Callable[[Row], None]) -> None:
        self.call = call

    def after_epoch(self, trainer: Trainer, row: Row) -> None:
        self.call(row)


class TensorBoard(Callback):
    """The rows of history.csv and steps.csv as TensorBoard scalars, in `tensorboard/` of the training's folder.

    Raises ConfigError where the package tensorboard is not installed (the extra `tensorboard`).
    """

    def __init__(self, folder: TrainingFolder) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError(
                "expected the package tensorboard for --tensorboard, found none. "
                "Install it (pip install tensorboard), or train without."
            ) from None
        self.writer = SummaryWriter(str(folder.root / "tensorboard"))

    def after_step(self, trainer: Trainer, batches: Batches) -> None:
        steps = trainer.position.steps
        if steps and steps[-1]["step"] == trainer.position.total_steps:
            self._write(steps[-1], "steps", trainer.position.total_steps)

    def after_epoch(self, trainer: Trainer, row: Row) -> None:
        self._write(row, "epochs", int(row["epoch"]))
        self.writer.flush()

    def _write(self, row: Row, group: str, number: int) -> None:
        for name, value in row.items():
            if name not in ("step", "epoch"):
                self.writer.add_scalar(f"{group}/{name}", value, number)
