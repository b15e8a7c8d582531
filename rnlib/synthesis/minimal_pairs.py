"""Minimal pairs: scenes that differ in one attribute or the place of one object, and a question that tells them apart.

Both scenes keep all of CLEVR's rules and are seen from the same place in the same light; CLEVR could ask the question
about either, and it has another answer on each. As with Gardner et al.'s contrast sets (2020), who answers both
correctly has looked; who answers one only may have guessed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from rnlib.clevr.constants import ATTRIBUTES, HALF_WIDTH
from rnlib.clevr.schema import Program, QuestionRecord, Scene
from rnlib.errors import ConfigError, DataError
from rnlib.synthesis.camera import View
from rnlib.synthesis.editing import broken_rules, change_object
from rnlib.synthesis.execution import execute, node_values
from rnlib.synthesis.families import Family
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
        return "" if found == answer or degenerate(program, scene) else found
    except DataError:  # what it speaks of is not there, or not unique
        return ""


def degenerate(program: Program, scene: Scene) -> bool:
    """Whether CLEVR would not ask this question about this scene, although it has an answer there.

    A relation or a "same" could be left out (but for the last one before a count or exist that finds something); a part
    of an "or" that is related to something is empty, or both parts are; an object is named twice on one way, or is
    compared with itself. Raises DataError as `execute`. Source: Johnson et al. 2017, section 3 (degenerate questions).
    """
    values = node_values(program, scene)
    last = program[-1]
    unions = [node for node in program if node.name == "union"]
    ways = [_named(program, values, at) for node in unions or [last] for at in node.inputs]
    if any(len(set(way)) < len(way) for way in ways):
        return True
    if last.name.startswith("equal_") and last.name != "equal_integer" and ways[0][0] == ways[1][0]:
        return True
    for node in unions:
        parts = [(bool(values[at]), bool(_links(program, at))) for at in node.inputs]
        if not any(found for found, _ in parts) or any(related and not found for found, related in parts):
            return True
    asked = list(_asked(program, len(program) - 1))
    return any(_idle(program, scene, values, step, asked) for step in range(len(program)))


def _idle(program: Program, scene: Scene, values: list[Any], step: int, asked: list[int]) -> bool:
    """Whether the sets of the steps `asked` stay the same if `step`, a relation or "same", is left out."""
    node = program[step]
    if not node.name.startswith(("relate", "same")):
        return False
    others = list(range(len(scene.objects)))
    if (
        program[-1].name in ("count", "exist")
        and step in _links(program, asked[0])
        and len(_links(program, asked[0])) == 1
    ):
        if node.name != "relate" or values[asked[0]]:
            return False
        others = [i for i in others if i not in _named(program, values, step)]  # nothing there, but something elsewhere
    try:
        without = node_values(program, scene, [*values[:step], others])
    except DataError:  # it makes an object the only one
        return False
    return all(without[at] == values[at] for at in asked)


def _asked(program: Program, at: int) -> Iterator[int]:
    """The steps of the sets that are counted, looked for or looked at in the end."""
    node = program[at]
    if node.name.startswith(("unique", "count", "exist", "query", "equal", "less", "greater")):
        for source in node.inputs:
            yield from _asked(program, source)
    else:
        yield at


def _links(program: Program, at: int) -> list[int]:
    """The relations and sames that the set of step `at` comes from, other than through another object."""
    node = program[at]
    if node.name.startswith(("relate", "same")):
        return [at]
    return [] if node.name in ("unique", "union") else [link for one in node.inputs for link in _links(program, one)]


def _named(program: Program, values: list[Any], at: int) -> list[int]:
    """The objects that are named on the way to step `at`."""
    node = program[at]
    return [values[at]] * (node.name == "unique") + [i for one in node.inputs for i in _named(program, values, one)]
