"""Progress for people and for log files: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

_Item = TypeVar("_Item")


def progress(
    items: Iterable[_Item], total: int | None, what: str, verbose: bool = True, unit: str = "it"
) -> Iterator[_Item]:
    """Pass `items` through, showing how far they are of `total` (None: not known).

    On a terminal this is a bar. Elsewhere (papermill, log files) it is one line when the
    work is done, and one every 15 seconds before that.
    """
    if not verbose:
        yield from items
    elif sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=unit)
    else:
        begin = last = time.monotonic()
        done = 0
        of = "" if total is None else f" of {total:,}"
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - last > 15:
                last = now
                print(f"{what}: {done:,}{of} {unit} after {now - begin:.0f} s", flush=True)
        print(f"{what}: {done:,} {unit} in {time.monotonic() - begin:.1f} s", flush=True)
