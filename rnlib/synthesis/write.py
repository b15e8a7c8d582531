"""Writes synthetic CLEVR into a directory, in the layout and with the keys of CLEVR v1.0.

    images/{split}/CLEVR_{split}_%06d.png
    scenes/CLEVR_{split}_scenes.json          train and val only
    questions/CLEVR_{split}_questions.json    of test: without answers, programs and families
    synthesis.json                            the arguments it was made with

synthesis.json is written first, marked incomplete, and again last; a split's JSON files take
their names after its images. So an interrupted directory is known, and the same call completes it.
Scene number i of a split depends on (seed, split, i) only, hence not on the number of processes.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import IO, Any

import msgspec
import numpy as np
from tqdm import tqdm

from rnlib.clevr.catalogue import SPLITS
from rnlib.errors import ConfigError, DataError
from rnlib.files import atomic_write, make_folder, read_json, write_json
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.questions import ask, select_families
from rnlib.synthesis.scenes import MOST_OBJECTS, sample_scene

# Raise it with any change that alters a byte of what is made; the date (of that change) stands in every file.
VERSION, DATE = 1, "11/23/2026"
LICENSE = "CC0 1.0 (made by rnlib.synthesis)"
MARKER = "synthesis.json"
FEW_SCENES = 200  # below this, starting processes takes longer than they save
MOST_SCENES_A_TASK = 16  # of a process
PNG_COMPRESSION = 1  # a quarter larger than the default, and twice as fast

Piece = tuple[bytes, list[bytes]]  # a scene and its questions, as JSON


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What decides every byte of a synthetic set."""

    version: int
    train: int
    val: int
    test: int
    seed: int
    families: tuple[str, ...] | None
    objects: tuple[int, int]
    questions_per_scene: int
    image_size: tuple[int, int]

    def scenes(self, split: str) -> int:
        """Number of scenes of a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


def synthesize(
    out: Path,
    *,
    train: int,
    val: int,
    test: int = 0,
    seed: int = 0,
    families: Sequence[str] | None = None,
    objects: tuple[int, int] = (3, 10),
    questions_per_scene: int = 10,
    image_size: tuple[int, int] = (480, 320),
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Make a synthetic CLEVR set in `out` and return `out`; at once where it is there already.

    train, val, test: scenes (= images) of each split; a split of 0 has no files.
    families: names of catalogue.FAMILY_GROUPS among questions.SUPPORTED; None: all of those.
    objects: fewest and most objects of a scene, within 1..10. questions_per_scene: at most so many.
    image_size: (width, height) in pixels. workers: processes; None: one below FEW_SCENES scenes, else
    one a CPU. The files' bytes do not depend on it.

    Raises ConfigError on a wrong argument; DataError where `out` holds a CLEVR set made otherwise.
    """
    arguments = Arguments(
        version=VERSION,
        train=train,
        val=val,
        test=test,
        seed=seed,
        families=None if families is None else tuple(families),
        objects=objects,
        questions_per_scene=questions_per_scene,
        image_size=image_size,
    )
    _check(arguments, workers)
    if _holds(out, arguments):
        return out
    make_folder(out, "a synthetic CLEVR set")
    write_json(out / MARKER, _marker(arguments, complete=False))
    for leftover in out.rglob(".*.part"):  # of a run that was killed
        leftover.unlink()
    if workers is None:
        workers = 1 if train + val + test < FEW_SCENES else os.cpu_count() or 1
    with ExitStack() as stack:
        pool = None
        if workers > 1:
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            stack.callback(pool.shutdown, cancel_futures=True)  # an error must not wait for the scenes still to come
        for split in SPLITS:
            number = arguments.scenes(split)
            if number:
                make = partial(_make_scene, out, arguments, split)
                chunk = max(1, min(MOST_SCENES_A_TASK, number // (4 * workers)))
                pieces = map(make, range(number)) if pool is None else pool.map(make, range(number), chunksize=chunk)
                _write_split(out, split, _report(pieces, split, number, progress), arguments)
    write_json(out / MARKER, _marker(arguments, complete=True))
    return out


def _check(arguments: Arguments, workers: int | None) -> None:
    select_families(arguments.families)
    counts = {split: arguments.scenes(split) for split in SPLITS}
    fewest, most = arguments.objects
    rules = (
        (min(counts.values()) >= 0 and max(counts.values()) > 0, "train, val, test", "0 or more, not all 0", counts),
        (max(counts.values()) <= 10**6, "train, val, test", "at most 1,000,000 each", counts),
        (arguments.seed >= 0, "seed", "0 or more", arguments.seed),
        (
            1 <= fewest <= most <= MOST_OBJECTS,
            "objects",
            f"(fewest, most) with 1 <= fewest <= most <= {MOST_OBJECTS}",
            arguments.objects,
        ),
        (arguments.questions_per_scene >= 1, "questions_per_scene", "1 or more", arguments.questions_per_scene),
        (min(arguments.image_size) >= 16, "image_size", "(width, height), each 16 or more", arguments.image_size),
        (workers is None or workers >= 1, "workers", "1 or more, or None", workers),
    )
    for kept, name, expected, found in rules:
        if not kept:
            raise ConfigError(f"synthesize: expected {name} to be {expected}; found {found}. Change the argument.")


def _marker(arguments: Arguments, *, complete: bool) -> dict[str, Any]:
    return {"complete": complete, "arguments": msgspec.json.decode(msgspec.json.encode(arguments))}


def _holds(out: Path, arguments: Arguments) -> bool:
    """Whether `out` holds the whole set already. DataError where it holds another."""
    if not (out / MARKER).exists():
        found = [name for name in ("images", "questions", "scenes") if (out / name).exists()]
        if found:
            raise DataError(
                f"expected {out} to be empty or to hold a synthetic set with its {MARKER}; found "
                f"{', '.join(found)} without one. Choose another directory, or remove these first."
            )
        return False
    marker = read_json(out / MARKER)
    made_with, wanted = marker.get("arguments", {}), _marker(arguments, complete=True)["arguments"]
    names = sorted(name for name in made_with.keys() | wanted.keys() if made_with.get(name) != wanted.get(name))
    if names:
        differences = "; ".join(f"{name}: {made_with.get(name)} there, {wanted.get(name)} asked" for name in names)
        raise DataError(
            f"expected {out} to be empty or to hold the set asked for; found one made with other arguments "
            f"({differences}). Choose another directory, or remove this one first."
        )
    if not marker.get("complete"):
        return False
    for split in SPLITS:
        number = arguments.scenes(split)
        if number and not all(path.exists() for path in _json_paths(out, split).values()):
            return False
        if number and sum(1 for _ in (out / "images" / split).glob("*.png")) != number:
            return False
    return True


def _json_paths(out: Path, split: str) -> dict[str, Path]:
    """Paths of a split's JSON files, by the key of their list. The test split has no scenes."""
    kinds = ("questions",) if split == "test" else ("scenes", "questions")
    return {kind: out / kind / f"CLEVR_{split}_{kind}.json" for kind in kinds}


def _make_scene(out: Path, arguments: Arguments, split: str, index: int) -> Piece:
    """Draw scene `index` of a split and its questions; write its image if it is not there."""
    rng = np.random.default_rng([arguments.seed, SPLITS.index(split), index])
    content, camera = sample_scene(rng, arguments.objects, arguments.image_size)
    name = f"CLEVR_{split}_{index:06d}.png"
    image = out / "images" / split / name
    if not image.exists():
        picture = draw(content, camera, arguments.image_size)
        with atomic_write(image) as file:
            picture.save(file, "PNG", compress_level=PNG_COMPRESSION)
    where = {"split": split, "image_index": index, "image_filename": name}
    # Python's generator, seeded by numpy's: it draws single numbers several times faster.
    words = Random(int(rng.integers(2**63)))
    found = ask(words, content, select_families(arguments.families), arguments.questions_per_scene)
    hidden = ("answer", "program", "question_family_index") if split == "test" else ()
    questions = [where | {key: value for key, value in row.items() if key not in hidden} for row in found]
    encode = msgspec.json.encode
    return encode(where | content), [encode(row) for row in questions]


def _write_split(out: Path, split: str, pieces: Iterable[Piece], arguments: Arguments) -> None:
    """Write the JSON files of a split from its scenes, which are not kept in memory."""
    number = 0
    with ExitStack() as stack:
        files = {kind: stack.enter_context(atomic_write(path)) for kind, path in _json_paths(out, split).items()}
        info = {"split": split, "license": LICENSE, "version": "1.0", "date": DATE}
        for kind, file in files.items():
            file.write(b'{"info": %b, "%b": [' % (msgspec.json.encode(info), kind.encode()))
        for index, (scene, questions) in enumerate(pieces):
            if "scenes" in files:
                _write_item(files["scenes"], index, scene)
            for question in questions:
                _write_item(files["questions"], number, b'{"question_index":%d,%b' % (number, question[1:]))
                number += 1
        for file in files.values():
            file.write(b"\n]}\n")
        if not number:
            raise ConfigError(
                f"expected questions on the {arguments.scenes(split)} scenes of {split}, found none that the families "
                "asked for allow. Allow more objects a scene, or more families."
            )


def _write_item(file: IO[bytes], position: int, item: bytes) -> None:
    file.write((b",\n" if position else b"\n") + item)


def _report(pieces: Iterable[Piece], split: str, number: int, progress: bool) -> Iterator[Piece]:
    """Pass the pieces on and say how far they are: a bar on a terminal, else a line every tenth."""
    if not progress:
        yield from pieces
    elif sys.stderr.isatty():
        yield from tqdm(pieces, f"synthesise {split}", number, unit="scene")
    else:
        for done, piece in enumerate(pieces, 1):
            yield piece
            if done * 10 // number > (done - 1) * 10 // number:
                print(f"synthesise {split}: {done} of {number} scenes", file=sys.stderr, flush=True)
