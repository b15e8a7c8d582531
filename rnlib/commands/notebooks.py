"""`rnlib run` and `rnlib notebooks`."""

import argparse
from pathlib import Path
from typing import Any

from rnlib.commands.options import parse_set


def add_commands(commands: Any) -> None:
    """Add the commands that execute notebooks."""
    run = commands.add_parser(
        "run",
        help="execute the notebooks headlessly with the parameters of a profile",
        description="Execute the notebooks one after another with the parameters in params/PROFILE. Results go to "
        "outputs/RUN. What is already done there with the same parameters is passed over.",
    )
    run.add_argument("profile", help="a folder of params/: smoke, demo, synthetic, clevr, mesnico-recipe")
    run.add_argument("--clevr", type=Path, metavar="DIR", help="CLEVR set to use (clevr and mesnico-recipe need one)")
    run.add_argument("--only", nargs="+", metavar="NN", help="only these notebooks, by number: --only 02 04")
    run.add_argument("--run", dest="name", metavar="NAME", help="folder in outputs/ (default: the profile's name)")
    run.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="replace parameters of the notebooks; for those that train, any field that 'train --help' lists",
    )
    run.add_argument("--force", action="store_true", help="begin anew what is done: its folder is emptied")
    run.set_defaults(run=_run)

    store = commands.add_parser("notebooks", help="for developers: refresh the outputs stored in notebooks/")
    store.add_argument("--store", action="store_true", required=True, help="execute with the defaults and store")
    store.add_argument("--only", nargs="+", metavar="NN", help="only these notebooks, by number")
    store.set_defaults(run=_store)


def _run(options: argparse.Namespace) -> None:
    parameters = parse_set(options.set)
    from rnlib.runs import run_profile  # papermill and Jupyter: not needed by the other commands

    folder = run_profile(
        options.profile,
        clevr=options.clevr,
        only=options.only,
        run=options.name,
        parameters=parameters,
        force=options.force,
    )
    print(f"executed notebooks, HTML pages and results are in {folder}")


def _store(options: argparse.Namespace) -> None:
    from rnlib.runs.stored_outputs import store_outputs

    store_outputs(options.only)
