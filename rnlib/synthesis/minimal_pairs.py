"""Minimal pairs: scenes that differ in one attribute or the place of one object, and a question that tells them apart.

Both scenes keep all of CLEVR's rules and are seen from the same place in the same light; the question is well-posed
on both and has another answer on each. As with Gardner et al.'s contrast sets (2020), who answers both by the way the
scene is has looked; who answers one only may have guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from rnlib.clevr.constants import ATTRIBUTES, HALF_WIDTH
from rnlib.clevr.schema import Program, QuestionRecord, Scene
from rnlib.errors import ConfigError, DataError
from rnlib.synthesis.camera import View
from rnlib.synthesis.editing import broken_rules, change_object
from rnlib.synthesis.families import Family
from rnlib.synthesis.programs import execute, node_values
from rnlib.synthesis.questions import ask
from rnlib.synthesis.scenes import sample_scene

CHANGES = (*ATTRIBUTES, "position")
QUESTIONS = 10  # of a scene, that are tried
PLACES = 20  # that are tried for each object
SCENES = 50  # that are tried for a change, before another change is tried


@dataclass(frozen=True, eq=False)
class MinimalPair:
    """Two scenes, their view, what differs (of CHANGES), and the question with its answer on each of them."""

    scenes: tuple[Scene, Scene]
    view: View
    change: str
    question: QuestionRecord
    answers: tuple[str, str]


def sample_pair(
    rng: np.random.Generator, families: Sequence[Family], objects: tuple[int, int], size: tuple[int, int]
) -> MinimalPair:
    """A minimal pair. What differs is drawn first, each of CHANGES as likely as the others, then scenes that allow it.

    Arguments as those of `sample_scene` and `ask`. Raises ConfigError where no scene allows any change, such as scenes
    of one object with questions that count.
    """
    for change in rng.permutation(CHANGES).tolist():
        for _ in range(SCENES):
            scene, view = sample_scene(rng, objects, size)
            plain = Random(int(rng.integers(2**63)))
            questions = ask(plain, scene, families, QUESTIONS)
            others = list(_changed(plain, scene, view, change, size))
            for question in questions:
                for other in others:
                    first = str(question.answer)
                    second = _other_answer(question.program or [], other, first)
                    if second and not broken_rules(other, view.camera):
                        return MinimalPair((scene, other), view, change, question, (first, second))
    raise ConfigError(
        f"expected minimal pairs on scenes of {objects[0]} to {objects[1]} objects with the families asked for, found "
        f"none on {SCENES} scenes for each of {', '.join(CHANGES)}. Allow more objects a scene, or more families."
    )


def _changed(rng: Random, scene: Scene, view: View, change: str, size: tuple[int, int]) -> Iterator[Scene]:
    """Scenes that differ from `scene` in what `change` names of one object, in random order."""
    numbers = range(len(scene.objects))
    if change == "position":
        for number in rng.sample(numbers, len(numbers)):
            for _ in range(PLACES):
                place = (rng.uniform(-HALF_WIDTH, HALF_WIDTH), rng.uniform(-HALF_WIDTH, HALF_WIDTH), 0.0)
                yield change_object(scene, view.camera, number, size, coordinates=place)
        return
    choices = [(i, value) for i in numbers for value in ATTRIBUTES[change]]
    for number, value in rng.sample(choices, len(choices)):
        if getattr(scene.objects[number], change) != value:
            yield change_object(scene, view.camera, number, size, **{change: value})


def _other_answer(program: Program, scene: Scene, answer: str) -> str:
    """The answer on `scene`; empty where it is `answer` too, or the question is ill-posed there."""
    try:
        found = execute(program, scene)
        return "" if found == answer or names_more_than_needed(program, scene) else found
    except DataError:  # what it speaks of is not there, or not unique
        return ""


def names_more_than_needed(program: Program, scene: Scene) -> bool:
    """Whether an object of the question would be the only one of its description without a relation that it names.

    CLEVR asks no such questions. Raises DataError as `execute`.
    """
    values = node_values(program, scene)
    everything = list(range(len(scene.objects)))
    for end, node in enumerate(program):
        if node.name != "unique":
            continue
        for step in _links(program, node.inputs[0]):
            without = node_values(program[:end], scene, [*values[:step], everything])
            if len(without[node.inputs[0]]) == 1:
                return True
    return False


def _links(program: Program, at: int) -> Iterator[int]:
    """The relations and sames that the set of step `at` comes from, other than through another object."""
    node = program[at]
    if node.name.startswith(("relate", "same")):
        yield at
    elif node.name != "unique":
        for source in node.inputs:
            yield from _links(program, source)
