"""`rnlib run` and `rnlib notebooks`."""

import argparse

from rnlib.commands.options import parse_set
from rnlib.runs.pipeline import run_profile
from rnlib.runs.stored_outputs import store_outputs


def run_notebooks(options: argparse.Namespace) -> None:
    """`run`."""
    folder = run_profile(
        options.profile,
        clevr=options.clevr,
        only=options.only,
        run=options.name,
        parameters=parse_set(options.set),
        force=options.force,
    )
    print(f"executed notebooks, HTML pages and results are in {folder}")


def store_notebooks(options: argparse.Namespace) -> None:
    """`notebooks --store`."""
    store_outputs(options.only)
