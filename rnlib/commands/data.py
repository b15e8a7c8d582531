"""`rnlib data`: fetch, make, check and prepare a CLEVR set."""

import argparse
import re
from dataclasses import replace

from rnlib.clevr.check import check_directory
from rnlib.clevr.download import ARCHIVES, download_clevr
from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.split import open_split
from rnlib.errors import ConfigError
from rnlib.synthesis import synthesize
from rnlib.synthesis.redraw import draw_set
from rnlib.synthesis.settings import parse_images


def run_download(options: argparse.Namespace) -> None:
    """`data download`."""
    archive = ARCHIVES[options.set]
    md5 = (options.md5 or "").strip().lower()
    if options.md5 is not None and not re.fullmatch("[0-9a-f]{32}", md5):
        raise ConfigError(f"expected --md5 with 32 hexadecimal digits, found '{options.md5}'. Copy it again.")
    archive = replace(archive, url=options.url or archive.url, md5=md5 or archive.md5)
    print(f"CLEVR is in {download_clevr(options.out, archive, keep_zip=options.keep_zip)}")


def run_synthesize(options: argparse.Namespace) -> None:
    """`data synthesize`."""
    folder = synthesize(
        options.out,
        train=options.train,
        val=options.val,
        test=options.test,
        seed=options.seed,
        families=options.families,
        objects=_pair(options.objects, "-", "--objects", "3-10"),
        images=parse_images(options.images),
        cogent=options.cogent,
        minimal_pairs=options.minimal_pairs,
        contrast=options.contrast,
        workers=options.workers,
    )
    print(f"synthetic CLEVR is in {folder}")


def run_check(options: argparse.Namespace) -> None:
    """`data check`."""
    print(f"{'split':<8}{'images':>9}{'scenes':>9}{'questions':>11}  {'pictures':<17}CLEVR v1.0")
    for row in check_directory(options.clevr, colors=True):
        counts = f"{row['split']:<8}{row['images']:>9,}{row['scenes']:>9,}{row['questions']:>11,}"
        print(f"{counts}  {row['pictures']:<17}{row['official']}")


def run_draw(options: argparse.Namespace) -> None:
    """`data draw`."""
    folder = draw_set(
        options.clevr,
        options.size,
        out=options.out,
        splits=options.splits or (),
        view=_pair(options.view, "x", "--view", "480x320") if options.view else None,
        workers=options.workers,
    )
    print(f"redrawn pictures of {options.size} x {options.size} pixels are in {folder / 'images'}")


def run_prepare(options: argparse.Namespace) -> None:
    """`data prepare`."""
    for name in options.splits or ClevrDirectory.find(options.clevr).splits():
        size = None if options.no_images else options.size
        split = open_split(options.clevr, name, images=size, cache=options.cache, workers=options.workers)
        print(f"{name}: {split.n_questions:,} questions, {split.n_images:,} pictures, fingerprint {split.fingerprint}")


def _pair(text: str, separator: str, option: str, example: str) -> tuple[int, int]:
    parts = text.split(separator)
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"expected {option} like {example}, found '{text}'.")
    return int(parts[0]), int(parts[1])
