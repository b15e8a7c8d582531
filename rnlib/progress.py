"""Progress for people and for log files: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

EVERY = 15.0  # seconds between two lines
_Item = TypeVar("_Item")


class Progress:
    """How much is done of a total (None: not known).

    On a terminal this is a bar. Elsewhere (papermill, log files) it is a line every 15 seconds. Both are followed by
    one line when the work is done, unless it failed. done: how much was done before. every: other seconds between two
    lines, without one at the end.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        verbose: bool = True,
        unit: str = "it",
        done: int = 0,
        every: float | None = None,
    ) -> None:
        self.what, self.total, self.unit, self.done, self.verbose = what, total, unit, done, verbose
        self.before, self.every = done, every
        self.begun = self.told = time.monotonic()
        hidden = not verbose or not sys.stderr.isatty()
        self.bar = tqdm(
            desc=what, total=total, initial=done, unit=unit, unit_scale=unit == "B", leave=False, disable=hidden
        )

    def add(self, n: int = 1) -> None:
        """Count `n` more."""
        self.done += n
        self.bar.update(n)
        now = time.monotonic()
        if self.verbose and self.bar.disable and now - self.told > (EVERY if self.every is None else self.every):
            self.told, seconds = now, now - self.begun
            done, to_go = self._amount(self.done), ""
            if self.total is not None:
                done = f"{done.removesuffix(f' {self.unit}')} of {self._amount(self.total)}"
                left = seconds * (self.total - self.done) / max(1, self.done - self.before)
                to_go = f", about {left:.0f} s to go"
            print(f"{self.what}: {done} after {seconds:.0f} s{to_go}", flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(finished=kind is None)

    def close(self, finished: bool = True) -> None:
        """Take the bar away; the last line tells of work that is finished."""
        self.bar.close()
        if self.verbose and self.every is None and finished:
            seconds = time.monotonic() - self.begun
            print(f"{self.what}: {self._amount(self.done)} in {seconds:.1f} s", flush=True)

    def _amount(self, n: int) -> str:
        return f"{n / 1e9:.2f} GB" if self.unit == "B" else f"{n:,} {self.unit}"


def progress(
    items: Iterable[_Item], total: int | None, what: str, verbose: bool = True, unit: str = "it"
) -> Iterator[_Item]:
    """Pass `items` through, showing how far they are of `total`."""
    with Progress(what, total, verbose, unit) as shown:
        for item in items:
            yield item
            shown.add()
