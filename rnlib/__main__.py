"""The command line: `python -m rnlib COMMAND`. What the notebooks do not cover well, and what scripts want.

Exit codes: 0 done, 2 wrong input (one line says what was expected, what was found and what
to do), 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from rnlib import __version__
from rnlib.errors import RnlibError

# The modules of rnlib.commands with their commands. Only the module of the command given is imported, so that training
# on a bare GPU machine needs none of the packages of notebooks and retrieval.
COMMANDS = {
    "data": ("data",),
    "training": ("train",),
    "weights": ("evaluate", "predict", "release", "import-weights"),
    "retrieval": ("features", "retrieve", "train-attributes"),
    "notebooks": ("run", "notebooks"),
}


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser with all commands; each module of rnlib.commands adds its own."""
    parser = argparse.ArgumentParser(
        prog="python -m rnlib",
        description="Relation Networks on CLEVR: data, training, evaluation, notebooks.",
        epilog="'python -m rnlib COMMAND --help' explains a command. 'make demo' runs all notebooks on a small set.",
    )
    parser.add_argument("--version", action="version", version=f"rnlib {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    chosen = [module for module, names in COMMANDS.items() if command in names] or list(COMMANDS)
    for module in chosen:
        importlib.import_module(f"rnlib.commands.{module}").add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = build_parser(given[0] if given else None).parse_args(given)
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
