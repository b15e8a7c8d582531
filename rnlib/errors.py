"""The errors a user can cause, and so must be able to mend.

Every message says three things: what was expected, what was found, and what to do
next. The command line prints them as one line and exits with code 2; any other
exception is a fault of rnlib and keeps its traceback.
"""

from collections.abc import Iterable


class RnlibError(Exception):
    """Base class of every error that a user's input can cause."""


class DataError(RnlibError):
    """A CLEVR directory, a file in it, or a prepared cache is missing, damaged or inconsistent."""


class WeightsError(RnlibError):
    """A weights file is missing, damaged, or does not fit what it is used for."""


class TimeUp(RnlibError):
    """A time limit was reached before the work was done. What was done is saved; the same command continues."""


class ConfigError(RnlibError):
    """A preset, a recipe, a notebook parameter or a command-line option is wrong."""


def reason(error: BaseException) -> str:
    """What an exception says, as one line: its first line, or its kind where it says nothing."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)


def require_one_of(value: str, known: Iterable[str], what: str) -> None:
    """Raise ConfigError where a name is none of those that there are."""
    if value not in (names := list(known)):
        raise ConfigError(f"expected as {what} one of {', '.join(names)}; found '{value}'.")
