"""Writes synthetic CLEVR into a directory, in the layout and with the keys of CLEVR v1.0.

    images/{split}/CLEVR_{split}_%06d.png     or images/CLEVR_{split}_{side}.npy, or neither
    scenes/CLEVR_{split}_scenes.json          train and val only
    questions/CLEVR_{split}_questions.json    of test: without answers, programs and families
    synthesis.json                            the arguments it was made with

synthesis.json is written first, marked incomplete, and again last; a split's JSON files take
their names after its pictures are there. So an interrupted directory is known, and the same
call completes it: splits that are whole stay, pictures that are there are not drawn again,
scenes and questions are made again, which is quick.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Unpack

import msgspec

from rnlib.clevr.layout import questions_file, scenes_file
from rnlib.errors import ConfigError
from rnlib.files import atomic_write, sole_user
from rnlib.process_pool import MakeAll
from rnlib.progress import progress
from rnlib.synthesis.chunks import Chunk, make_chunk, makers
from rnlib.synthesis.image_writer import Gallery, gallery_of
from rnlib.synthesis.settings import CHUNK, DATE, MARKER, Arguments, Options, is_marked_complete, is_test, write_marker

LICENSE = "CC0 1.0 (made by rnlib.synthesis)"

Piece = tuple[bytes, list[bytes]]  # a scene and its questions, as JSON


def synthesize(out: Path, *, workers: int | None = None, verbose: bool = True, **options: Unpack[Options]) -> Path:
    """Make a synthetic CLEVR set in `out` and return `out`; at once where it is there already.

    options: what is in the set, see `Arguments`; train and val must be given.
    workers: processes; None: one below FEW_SCENES scenes, else one a CPU. No byte depends on it.

    Raises ConfigError on a wrong argument; DataError where `out` holds a CLEVR set made otherwise,
    cannot be written to or is full. After an interruption or an error the same call continues.
    """
    arguments = Arguments(**options)
    arguments.check()
    if workers is not None and workers < 1:
        raise ConfigError(f"synthesize: expected workers to be 1 or more, or None; found {workers}.")
    splits = arguments.splits()
    if is_marked_complete(out, arguments) and all(_is_whole(out, arguments, split) for split in splits):
        return out
    drawing = arguments.images is not None
    with sole_user(out, "synthetic CLEVR set"), makers(workers, sum(splits.values()), drawing=drawing) as make_all:
        write_marker(out, arguments, complete=False)
        for leftover in out.glob("images/*/.*.part"):  # of a run that was killed
            leftover.unlink()
        try:
            for split in splits:
                if not _is_whole(out, arguments, split):
                    pieces = _pieces(out, arguments, split, make_all)
                    reported = progress(pieces, splits[split], f"synthesizing {split}", verbose, "scenes")
                    _write_split(out, split, reported, arguments)
        except ConfigError:
            _forget(out)
            raise
    write_marker(out, arguments, complete=True)
    return out


def _forget(out: Path) -> None:
    """Leave `out` free for another set, after one that cannot be made, unless something of it is there."""
    made = [path for name in ("images", "questions", "scenes") for path in ((out / name), *(out / name).rglob("*"))]
    if any(os.path.isfile(path) for path in made):
        return
    (out / MARKER).unlink()
    for folder in sorted(filter(os.path.isdir, made), reverse=True):
        folder.rmdir()


def _json_paths(out: Path, split: str) -> dict[str, Path]:
    """Paths of a split's JSON files, by the key of their list. The test split has no scenes."""
    scenes = {} if is_test(split) else {"scenes": scenes_file(out, split)}
    return {**scenes, "questions": questions_file(out, split)}


def _is_whole(out: Path, arguments: Arguments, split: str) -> bool:
    """Whether all files of a split are there."""
    gallery = gallery_of(out, arguments, split)
    return all(os.path.exists(path) for path in _json_paths(out, split).values()) and (
        gallery is None or gallery.whole()
    )


def _pieces(out: Path, arguments: Arguments, split: str, make_all: MakeAll) -> Iterator[Piece]:
    """The scenes of a split with their questions, in order; their pictures are in the gallery when the last is out."""
    gallery = gallery_of(out, arguments, split)
    starts = range(0, arguments.scenes(split), CHUNK)
    there = set(starts) if gallery is None else gallery.prepare()
    make = partial(_make, arguments, split, gallery, frozenset(there))
    for chunk in make_all(make, starts):
        if gallery is not None and chunk.start not in there:
            gallery.note(chunk.start)
        yield from zip(chunk.scenes, chunk.questions, strict=True)
    if gallery is not None:
        gallery.finish()


def _make(arguments: Arguments, split: str, gallery: Gallery | None, there: frozenset[int], start: int) -> Chunk:
    """Make a chunk and draw its pictures into `gallery`, those that are not there."""
    chunk = make_chunk(arguments, split, start)
    if gallery is not None and start not in there:
        _draw(arguments, gallery, chunk)
    chunk.contents, chunk.views = [], []  # spares sending them to the process that writes
    return chunk


def _draw(arguments: Arguments, gallery: Gallery, chunk: Chunk) -> None:
    """Draw the pictures of a chunk."""
    from rnlib.synthesis.pictures import draw  # loads numba, which a set without pictures can do without

    gallery.write(chunk.start, draw(chunk.contents, chunk.views, arguments.picture_size))


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
