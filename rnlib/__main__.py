"""The command line: `python -m rnlib COMMAND`. What the notebooks do not cover well, and what scripts want.

Exit codes: 0 done, 2 wrong input (one line says what was expected, what was found and what
to do), 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from rnlib import __version__
from rnlib.commands import data, notebooks, retrieval, training, weights
from rnlib.errors import RnlibError


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each module of rnlib.commands adds its own."""
    parser = argparse.ArgumentParser(
        prog="python -m rnlib",
        description="Relation Networks on CLEVR: data, training, evaluation, notebooks.",
        epilog="'python -m rnlib COMMAND --help' explains a command. 'make demo' runs all notebooks on a small set.",
    )
    parser.add_argument("--version", action="version", version=f"rnlib {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for module in (data, training, weights, retrieval, notebooks):
        module.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        options = build_parser().parse_args(arguments)
        options.run(options)
    except RnlibError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(f"interrupted: {interruption}" if str(interruption) else "interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
