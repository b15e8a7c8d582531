"""Options that several commands share."""

import argparse
from pathlib import Path


def add_clevr(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """--clevr and --cache."""
    parser.add_argument(
        "--clevr",
        type=Path,
        required=required,
        metavar="DIR",
        help="CLEVR set: the folder with images/, questions/ and scenes/",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where prepared arrays go (default: $RNLIB_CACHE, else ~/.cache/rnlib)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU where there is one), cpu or cuda")
