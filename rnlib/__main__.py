"""The command line, `rnlib COMMAND` or `python -m rnlib COMMAND`: what scripts want, and what notebooks do not cover.

Exit codes: 0 done, 2 wrong input (one line says what was expected, what was found and what
to do), 130 interrupted.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from rnlib import __version__
from rnlib.errors import RnlibError

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


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, of which only the chosen one gets its options: that is what takes time."""
    parser = argparse.ArgumentParser(
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
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = build_parser(given[0] if given else None).parse_args(given)
        module, _, function = options.run.partition(".")
        getattr(importlib.import_module(f"rnlib.commands.{module}"), function)(options)
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
