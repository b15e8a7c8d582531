"""Processes that do pieces of one piece of work: drawing scenes, decoding pictures."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from rnlib.errors import DataError

MOST = 256
AHEAD = 4  # pieces that each process may be ahead of their use, which bounds the memory they wait in
MakeAll = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def process_pool(count: int, what: str) -> Iterator[MakeAll]:
    """A function that yields `make(piece)` of each piece, in order, made by so many processes; one: by this process.

    what: they do, such as "decodes pictures", for the DataError where one of them dies.
    """
    if count <= 1:
        yield map
        return
    count = min(count, MOST)
    # spawn: a forked child of a process that uses threads, as torch does, can hang.
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield partial(_in_order, pool, AHEAD * count, what)
    finally:
        pool.shutdown(cancel_futures=True)  # an error must not wait for the pieces still to come


def _in_order(
    pool: ProcessPoolExecutor, ahead: int, what: str, make: Callable[[Any], Any], pieces: Iterable[Any]
) -> Iterator[Any]:
    """`make` of each piece, made in the processes of `pool`, at most `ahead` of them waiting for their turn."""
    waiting: deque[Future[Any]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(make, piece))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            f"a process that {what} died, perhaps for lack of memory. Run again to go on where it stopped, with fewer "
            "processes (--workers 1)."
        ) from None


def _end_with_parent() -> None:
    """Let a process of the pool end when the one that started it is killed; else it would wait for work forever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
