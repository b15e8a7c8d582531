"""A training asked, while it runs, to pause or to stop, by whoever can write into its folder.

control         "pause", "stop" or nothing: a request. The training looks at it several times a second
progress.json   where the training is, written every few seconds: what a monitor shows between two epochs

Files, so that it does not matter where the training runs: in a notebook's cell, in a thread, under torchrun, or in
another process that nobody has a keyboard to.
"""

import threading
import time
from typing import Literal

import msgspec

from rnlib.errors import DataError
from rnlib.files import atomic_write, write_json
from rnlib.training.resume_state import Position, Row
from rnlib.training.run_folder import TrainingFolder

EVERY = 2.0  # seconds between two reports
LOOK = 0.1  # seconds between two looks at the control file

Request = Literal["pause", "stop", ""]


class Progress(msgspec.Struct, frozen=True):
    """Where a training is. `state`: training, paused or ended. `steps`: lines of steps.csv of the epoch under way.

    `written`: when, in seconds since 1970. `seconds`: what the `step` steps of this epoch have taken.
    """

    state: str
    epoch: int
    step: int
    of_steps: int
    written: float
    steps: list[Row] = []
    seconds: float = 0.0


def request(folder: TrainingFolder, what: Request) -> None:
    """Ask this folder's training to "pause", "stop", or ("") continue. If stopped, it continues when run again."""
    path = folder.root / "control"
    if what:
        with atomic_write(path, "w") as file:
            file.write(what)
    else:
        path.unlink(missing_ok=True)


def requested(folder: TrainingFolder) -> str:
    """What the training of this folder is asked: "pause", "stop" or ""."""
    try:
        return (folder.root / "control").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def progress_of(folder: TrainingFolder) -> Progress | None:
    """The last report of the training of this folder, None before the first. DataError for a damaged one."""
    path = folder.root / "progress.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{path} is not a training's report ({error}). Delete it: the next one replaces it.") from None


class Requests(threading.Event):
    """What the running training is asked: set by signals, or by the control file. It also writes the reports.

    Of several processes only the main one looks and writes; the others wait for it at their next exchange, which
    torch allows for 30 minutes (gloo): pause such a training no longer. A request from before the training is void.
    """

    def __init__(self, folder: TrainingFolder, is_main: bool = True) -> None:
        super().__init__()
        self._folder, self._is_main, self._last = folder, is_main, Progress("training", 0, 0, 0, 0.0)
        self._rows: list[Row] = []
        self._asked, self._looked = "", 0.0
        if is_main:
            request(folder, "")

    def is_set(self) -> bool:
        """Whether to stop."""
        return super().is_set() or self._request() == "stop"

    @property
    def paused(self) -> bool:
        """Whether to wait."""
        return self._request() == "pause"

    def hold(self) -> float:
        """Wait while asked to; returns for how many seconds. The state should have been saved before."""
        if not self.paused:
            return 0.0
        begin = time.monotonic()
        self._write("paused")
        while self.paused and not self.is_set():
            time.sleep(LOOK)  # not self.wait: a signal's handler must find the event's lock free
            if time.time() - self._last.written >= EVERY:
                self._write("paused")
        self._write("training")
        return time.monotonic() - begin

    def _request(self) -> str:
        if self._is_main and time.monotonic() - self._looked >= LOOK:
            self._asked, self._looked = requested(self._folder), time.monotonic()
        return self._asked

    def report(self, position: Position, of_steps: int) -> None:
        """Note where the training is, and write it unless something was written just now."""
        if self._is_main:
            last, self._rows = self._last, position.steps
            self._last = Progress(
                last.state, position.epoch, position.step, of_steps, last.written, seconds=position.seconds
            )
            if time.time() - last.written >= EVERY:
                self._write("training")

    def close(self) -> None:
        """The training has ended, one way or another."""
        if self._is_main:
            self._write("ended")
            request(self._folder, "")

    def _write(self, state: str) -> None:
        rows = [row for row in self._rows if row["epoch"] == self._last.epoch]
        self._last = msgspec.structs.replace(self._last, state=state, written=time.time(), steps=rows)
        write_json(self._folder.root / "progress.json", msgspec.to_builtins(self._last))
