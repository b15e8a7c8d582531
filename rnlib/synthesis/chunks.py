"""A chunk: a fixed range of a split's scenes with their questions, as the lines of their JSON files.

Scene number i of a split, and its picture, depend on (seed, split, i) only: so no byte depends on the number of
processes. A chunk is the unit of work and of resumption.
"""

from dataclasses import dataclass
from random import Random

import msgspec
import numpy as np

from rnlib.clevr.schema import Scene
from rnlib.synthesis.camera import View
from rnlib.synthesis.questions import ask, select_families
from rnlib.synthesis.scenes import ANY_COLOR, COGENT_COLORS, sample_scene
from rnlib.synthesis.settings import ALL_SPLITS, CHUNK, Arguments, is_test


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
    families = select_families(arguments.families)
    colors_of = COGENT_COLORS[split[-1]] if arguments.cogent else ANY_COLOR
    encode = msgspec.json.encode
    for index in range(start, min(start + CHUNK, arguments.scenes(split))):
        rng = np.random.default_rng([arguments.seed, ALL_SPLITS.index(split), index])
        scene, view = sample_scene(rng, arguments.objects, arguments.coordinates_size, colors_of)
        scene.split, scene.image_index = split, index
        scene.image_filename = f"CLEVR_{split}_{index:06d}.png"
        # Python's generator, seeded by numpy's: it draws single numbers several times faster.
        found = ask(Random(int(rng.integers(2**63))), scene, families, arguments.questions_per_scene)
        if is_test(split):
            for one in found:
                one.answer = one.program = one.question_family_index = None
        chunk.scenes.append(encode(scene))
        chunk.questions.append([encode(one) for one in found])
        chunk.contents.append(scene)
        chunk.views.append(view)
    return chunk
