"""`rnlib run` and `rnlib notebooks`."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from rnlib.errors import ConfigError


def add_commands(commands: Any) -> None:
    """Add the commands that execute notebooks."""
    run = commands.add_parser(
        "run",
        help="execute the notebooks headlessly with the parameters of a profile",
        description="Execute the notebooks one after another with the parameters in params/PROFILE. Results go to "
        "outputs/RUN. What is already done there with the same parameters is passed over.",
    )
    run.add_argument("profile", help="a folder of params/: smoke, demo, synthetic, clevr, seed-recipe")
    run.add_argument("--clevr", type=Path, metavar="DIR", help="CLEVR set to use (clevr and seed-recipe need one)")
    run.add_argument("--only", nargs="+", metavar="NN", help="only these notebooks, by number: --only 02 04")
    run.add_argument("--run", dest="name", metavar="NAME", help="folder in outputs/ (default: the profile's name)")
    run.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="replace notebook parameters")
    run.add_argument("--again", action="store_true", help="begin anew what is done: its folder is emptied")
    run.set_defaults(run=_run)

    store = commands.add_parser("notebooks", help="for developers: refresh the outputs stored in notebooks/")
    store.add_argument("--store", action="store_true", required=True, help="execute with the defaults and store")
    store.add_argument("--only", nargs="+", metavar="NN", help="only these notebooks, by number")
    store.set_defaults(run=_store)


def _run(options: argparse.Namespace) -> None:
    parameters = {}
    for assignment in options.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"expected --set NAME=VALUE, found '{assignment}'.")
        parameters[name] = _value(assignment, value)
    from rnlib.runs import run_profile  # papermill and Jupyter: not needed by the other commands

    folder = run_profile(
        options.profile,
        clevr=options.clevr,
        only=options.only,
        run=options.name,
        parameters=parameters,
        again=options.again,
    )
    print(f"executed notebooks, HTML pages and results are in {folder}")


def _value(assignment: str, text: str) -> Any:
    """What a parameter file would make of the text: numbers, lists, mappings, else a string."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"expected a value as in a YAML file, found --set '{assignment}'. Quote it.") from None


def _store(options: argparse.Namespace) -> None:
    from rnlib.runs.committed import store_outputs

    store_outputs(options.only)
