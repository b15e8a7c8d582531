"""Functions turned into machine code (numba), where numbers are looped over millions of times.

Such functions are @no_type_check: the run-time checks of the tests would wrap them; their callers are checked. They
count and divide as numpy does (x / 0 is infinite), without leave to reorder sums, and let other threads run.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from rnlib.errors import reason


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of `function`, made at its first call in each process, or as a part of what calls it."""
    return njit(nogil=True, error_model="numpy")(function)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of `function`, kept for later runs where there is a folder to keep it in.

    It is made anew when the file of `function` changes. Changes in other files that it calls go unnoticed, unless it
    closes over something that changes with them.
    """
    machine_code: Any = compiled(function)
    try:
        machine_code._cache = _Cache(function)  # as njit(cache=True) does
    except RuntimeError:
        _say("no folder for machine code can be written")
    return machine_code


class _Cache(FunctionCache):
    """numba's cache of a function; what cannot be written is not kept, and what is damaged is made anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # of whatever kind: a pickle is cut short or of something else
            _say(f"machine code in {self.cache_path} cannot be read ({reason(error)})")
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say(f"machine code cannot be kept in {self.cache_path} ({reason(error)})")


@cache
def _say(what: str) -> None:
    print(f"note: {what}, so it is made anew, in up to half a minute", file=sys.stderr, flush=True)
