"""`rnlib data`: fetch, make, check and prepare a CLEVR set."""

import argparse
from pathlib import Path
from typing import Any

from rnlib.clevr.constants import FAMILY_GROUPS, SPLITS
from rnlib.clevr.download import CLEVR_MD5, CLEVR_URL, download_clevr
from rnlib.clevr.layout import ClevrDirectory, check_directory
from rnlib.clevr.split import open_split
from rnlib.commands.options import add_clevr
from rnlib.errors import ConfigError
from rnlib.synthesis import synthesize
from rnlib.synthesis.settings import parse_images


def add_commands(commands: Any) -> None:
    """Add `data` with its own commands."""
    data = commands.add_parser("data", help="download, synthesize, check or prepare a CLEVR set")
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")

    download = actions.add_parser("download", help="fetch CLEVR v1.0 (18 GB); goes on where it was interrupted")
    download.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that will hold CLEVR_v1.0/")
    download.add_argument("--url", default=CLEVR_URL, help="address of the zip (default: the official one)")
    download.add_argument("--md5", default=CLEVR_MD5, help="its md5 (default: the official one)")
    download.add_argument("--keep-zip", action="store_true", help="leave the zip there after unpacking")
    download.set_defaults(run=_download)

    make = actions.add_parser("synthesize", help="make a synthetic CLEVR of any size, in the same layout")
    make.add_argument("--out", type=Path, required=True, metavar="DIR")
    for split, default in (("train", 1000), ("val", 200), ("test", 0)):
        make.add_argument(f"--{split}", type=int, default=default, metavar="N", help=f"scenes (default {default})")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--families", nargs="+", metavar="GROUP", help=f"out of {', '.join(FAMILY_GROUPS)}")
    make.add_argument("--objects", default="3-10", metavar="A-B", help="objects a scene (default 3-10)")
    make.add_argument(
        "--images",
        default="480x320",
        metavar="WxH|SIDE|none",
        help="480x320 (default): PNG files of that size; 128: one array a split of squares of 128 pixels, which saves "
        "big sets the detour over PNG files; none: scenes and questions only",
    )
    make.add_argument("--workers", type=int, metavar="N", help="processes (default: one a CPU)")
    make.set_defaults(run=_synthesize)

    check = actions.add_parser("check", help="read a CLEVR set whole; report counts, or the first fault")
    check.add_argument("--clevr", type=Path, required=True, metavar="DIR")
    check.set_defaults(run=_check)

    prepare = actions.add_parser("prepare", help="turn a CLEVR set into memory-mapped arrays (done on first use too)")
    add_clevr(prepare)
    prepare.add_argument("--splits", nargs="+", choices=SPLITS, help="default: all it has")
    prepare.add_argument("--size", type=int, default=128, metavar="PIXELS", help="side of the pictures (default 128)")
    prepare.add_argument("--no-images", action="store_true", help="questions and scenes only")
    prepare.add_argument("--workers", type=int, metavar="N", help="processes that decode (default: one a CPU)")
    prepare.set_defaults(run=_prepare)


def _download(options: argparse.Namespace) -> None:
    folder = download_clevr(options.out, url=options.url, md5=options.md5, keep_zip=options.keep_zip)
    print(f"CLEVR is in {folder}")


def _synthesize(options: argparse.Namespace) -> None:
    folder = synthesize(
        options.out,
        train=options.train,
        val=options.val,
        test=options.test,
        seed=options.seed,
        families=options.families,
        objects=_pair(options.objects, "-", "--objects", "3-10"),
        images=parse_images(options.images),
        workers=options.workers,
    )
    print(f"synthetic CLEVR is in {folder}")


def _check(options: argparse.Namespace) -> None:
    print(f"{'split':<8}{'images':>9}{'scenes':>9}{'questions':>11}  {'pictures':<17}CLEVR v1.0")
    for row in check_directory(options.clevr):
        counts = f"{row['split']:<8}{row['images']:>9,}{row['scenes']:>9,}{row['questions']:>11,}"
        print(f"{counts}  {row['pictures']:<17}{row['official']}")


def _prepare(options: argparse.Namespace) -> None:
    for name in options.splits or ClevrDirectory.find(options.clevr).splits():
        size = None if options.no_images else options.size
        split = open_split(options.clevr, name, images=size, cache=options.cache, workers=options.workers)
        print(f"{name}: {split.n_questions:,} questions, {split.n_images:,} pictures, fingerprint {split.fingerprint}")


def _pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    parts = text.split(separator)
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"expected {option} like {example}, found '{text}'.")
    return int(parts[0]), int(parts[1])
