"""Processes that make a set chunk by chunk."""

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

from rnlib.clevr.images import MOST_WORKERS
from rnlib.errors import DataError

FEW_SCENES = 200  # below this, starting processes takes longer than they save
AHEAD = 4  # chunks that each process may be ahead of the writing, which bounds the memory they wait in
MakeAll = Callable[[Callable[[int], Any], Iterable[int]], Iterator[Any]]


@contextmanager
def processes(workers: int | None, scenes: int, *, drawing: bool) -> Iterator[MakeAll]:
    """A function that yields `make(start)` of each start, in order, made by so many processes.

    workers: None means one below FEW_SCENES scenes, else one a CPU. drawing: whether they will draw pictures.
    """
    count = workers or (1 if scenes < FEW_SCENES else os.cpu_count() or 1)
    count = min(count, scenes, MOST_WORKERS)
    if count <= 1:
        yield map
        return
    if drawing:
        _load_renderer()
    # spawn: a forked child of a process that uses threads, as torch does, can hang.
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield partial(_in_order, pool, AHEAD * count)
    finally:
        pool.shutdown(cancel_futures=True)  # an error must not wait for the scenes still to come


def _in_order(
    pool: ProcessPoolExecutor, ahead: int, make: Callable[[int], Any], starts: Iterable[int]
) -> Iterator[Any]:
    """`make` of each start, made in the processes of `pool`, at most `ahead` of them waiting for their turn."""
    waiting: deque[Future[Any]] = deque()
    try:
        for start in starts:
            waiting.append(pool.submit(make, start))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a process that makes scenes died, perhaps for lack of memory. Run again to go on where it stopped, "
            "with fewer processes (--workers 1)."
        ) from None


def _load_renderer() -> None:
    """On a machine that never drew, make the machine code before the processes start, which would each make it."""
    from rnlib.synthesis.pictures import load

    load()


def _end_with_parent() -> None:
    """Let a process of the pool end when the one that started it is killed; else it would wait for work forever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
