"""The command line, `rnlib COMMAND` or `python -m rnlib COMMAND`: what scripts want, and what notebooks do not cover.

Exit codes: 0 done, 2 wrong input (one line says what was expected, what was found and what
to do), 130 interrupted.
"""

import argparse
import importlib
import io
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from rnlib import __version__
from rnlib.errors import ConfigError, RnlibError, reason

LONGEST = 900  # characters of an error
_LACKS_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)  # how torch says it

# Each command with what the list of commands says of it. Its options are in rnlib.commands.parsers.
COMMANDS = {
    "data": "download, synthesize, check, prepare or draw a CLEVR set",
    "train": "train a network; run again with the same options to continue",
    "evaluate": "accuracy by type, group and answer class; RUN/metrics.json",
    "predict": "write one answer a line, also for a split without answers",
    "ask": "one question of your own about a picture or scene of your own",
    "release": "make a training's best weights a release: weights, learning curve and model card",
    "import-weights": "turn a .pth file of the 2018 implementation into .safetensors and .json",
    "features": "one vector a picture, by every feature that some weights have",
    "retrieve": "how well features order pictures as their scenes do; RUN/rankings.csv",
    "train-attributes": "train the baseline of retrieval: which attribute values occur in a picture",
    "train-cells": "teach convolutions, from scenes, what each cell holds: a start for 'train --init-conv'",
    "figures": "the key figures of a run, a training or an evaluation for slides: SVG and PDF",
    "run": "execute the notebooks headlessly with the parameters of a profile",
    "notebooks": "for developers: refresh the outputs stored in notebooks/",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the options in the same way as with everything else."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. '{self.prog} --help' explains the command.")


def build_parser(chosen: str | None = None) -> Parser:
    """The parser of all commands, of which only the chosen one gets its options: that is what takes time."""
    parser = Parser(
        prog="rnlib",
        description="Relation Networks on CLEVR: data, training, evaluation, notebooks.",
        epilog="'rnlib COMMAND --help' explains a command. 'make demo' runs all notebooks on a small set.",
    )
    parser.add_argument("--version", action="version", version=f"rnlib {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help)
        if name == chosen:
            parsers = importlib.import_module("rnlib.commands.parsers")
            getattr(parsers, f"add_{name.replace('-', '_')}")(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name of a file that is no text must not end the command
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = build_parser(given[0] if given else None).parse_args(given)
        module, _, function = options.run.partition(".")
        getattr(importlib.import_module(f"rnlib.commands.{module}"), function)(options)
    except RnlibError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _LACKS_MEMORY.search(str(error))):
            raise
        print(f"error: this takes more memory than there is: {_one_line(reason(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(f"interrupted: {interruption}" if str(interruption) else "interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return 0


def _one_line(text: str) -> str:
    """An error as a terminal can show it, whatever was in the file that it speaks of."""
    text = "".join(one if one.isprintable() else " " if one.isspace() else ascii(one)[1:-1] for one in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


if __name__ == "__main__":
    sys.exit(main())
