"""A chunk: a fixed range of a split's scenes with their questions, as the lines of their JSON files.

Scene number i of a split, and its picture, depend on (seed, split, i) only: so no byte depends on the number of
processes. A chunk is the unit of work and of resumption.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random

import msgspec
import numpy as np

from rnlib.clevr.schema import QuestionRecord, Scene
from rnlib.process_pool import MakeAll, process_pool
from rnlib.synthesis.camera import View
from rnlib.synthesis.minimal_pairs import sample_pair
from rnlib.synthesis.questions import ask, select_families
from rnlib.synthesis.scenes import ANY_COLOR, COGENT_COLORS, sample_scene
from rnlib.synthesis.settings import ALL_SPLITS, CHUNK, PAIRS, Arguments, is_test


@dataclass
class Chunk:
    """Scenes start, start + 1, ... of a split, in four lists of an item a scene."""

    start: int
    scenes: list[bytes]  # JSON
    questions: list[list[bytes]]  # JSON, without question_index
    contents: list[Scene]  # what a picture of it shows, and from where
    views: list[View]


def make_chunk(arguments: Arguments, split: str, start: int) -> Chunk:
    """Draw the scenes of the chunk that begins with scene `start`, and their questions."""
    chunk = Chunk(start, [], [], [], [])
    numbers = range(start, min(start + CHUNK, arguments.scenes(split)))
    make = _pair if split == PAIRS else _scene
    for index in numbers[:: 2 if split == PAIRS else 1]:
        make(chunk, arguments, split, index)
    return chunk


def _scene(chunk: Chunk, arguments: Arguments, split: str, index: int) -> None:
    """Add scene number `index` of a split, and its questions."""
    families = select_families(arguments.families)
    colors_of = COGENT_COLORS[split[-1]] if arguments.cogent else ANY_COLOR
    rng = _random(arguments, split, index)
    scene, view = sample_scene(rng, arguments.objects, arguments.coordinates_size, colors_of)
    _name(scene, split, index)
    # Python's generator, seeded by numpy's: it draws single numbers several times faster.
    found = ask(Random(int(rng.integers(2**63))), scene, families, arguments.questions_per_scene, arguments.contrast)
    if is_test(split):
        for one in found:
            one.answer = one.program = one.question_family_index = None
    _add(chunk, scene, view, found)


def _pair(chunk: Chunk, arguments: Arguments, split: str, index: int) -> None:
    """Add scenes number `index` and `index` + 1, a minimal pair, and the question of each."""
    rng = _random(arguments, split, index)
    pair = sample_pair(rng, select_families(arguments.families), arguments.objects, arguments.coordinates_size)
    for side, scene in enumerate(pair.scenes):
        number = index + side
        _name(scene, split, number)
        question = msgspec.structs.replace(
            pair.question,
            split=split,
            image_index=number,
            image_filename=scene.image_filename,
            answer=pair.answers[side],
            partner=index + 1 - side,  # scenes have one question each, so their numbers are the questions' too
            change=pair.change,
        )
        _add(chunk, scene, pair.view, [question])


def _random(arguments: Arguments, split: str, index: int) -> np.random.Generator:
    return np.random.default_rng([arguments.seed, ALL_SPLITS.index(split), index])


def _name(scene: Scene, split: str, index: int) -> None:
    scene.split, scene.image_index = split, index
    scene.image_filename = f"CLEVR_{split}_{index:06d}.png"


def _add(chunk: Chunk, scene: Scene, view: View, questions: Sequence[QuestionRecord]) -> None:
    chunk.scenes.append(msgspec.json.encode(scene))
    chunk.questions.append([msgspec.json.encode(one) for one in questions])
    chunk.contents.append(scene)
    chunk.views.append(view)


FEW_SCENES = 200  # below this, starting processes takes longer than they save


def makers(workers: int | None, scenes: int, *, drawing: bool) -> AbstractContextManager[MakeAll]:
    """`processes` for so many scenes. workers: None means one below FEW_SCENES scenes, else one a CPU.

    drawing: whether they will draw pictures; on a machine that never drew, this process makes the machine code first,
    which each of them would make else.
    """
    count = min(workers or (1 if scenes < FEW_SCENES else os.cpu_count() or 1), scenes)
    if drawing and count > 1:
        from rnlib.synthesis.pictures import load

        load()
    return process_pool(count, "makes scenes")
