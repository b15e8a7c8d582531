"""Functions turned into machine code (numba), where numbers are looped over millions of times.

Such functions are @no_type_check: the run-time checks of the tests would wrap them; their callers are checked. They
count and divide as numpy does (x / 0 is infinite), without leave to reorder sums, and let other threads run.
"""

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of `function`, made at its first call in each process, or as a part of what calls it."""
    return njit(nogil=True, error_model="numpy")(function)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of `function`, kept for later runs where there is a folder to keep it in.

    It is made anew when the file of `function` changes. Changes in other files that it calls go unnoticed, unless it
    closes over something that changes with them.
    """
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither the folder of the file nor the user's cache can be written
        return compiled(function)
