"""Runs CLEVR's functional programs on scenes.

A program is a list of nodes (function, inputs, value_inputs); `inputs` are positions of
earlier nodes, and the last node's value is the answer. The functions are those of
CLEVR v1.0 (Johnson et al. 2017, supplementary material A). Nothing here knows how
questions are made, so re-running the programs checks any set of questions.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.schema import Program, Scene
from rnlib.errors import DataError


def execute(program: Program, scene: Scene) -> str:
    """The answer of `program` on `scene`, as CLEVR v1.0 writes it: "yes", "3", "cyan", ...

    Raises DataError on an unknown function and where `unique` does not meet exactly one object.
    """
    if not program:
        raise DataError("expected a program of at least one node, found an empty one. Check the questions file.")
    answer = node_values(program, scene)[-1]
    return {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else str(answer)


def answer_if_any(program: Program, scene: Scene) -> str | None:
    """As `execute`; None where `unique` does not meet exactly one object."""
    try:
        return execute(program, scene)
    except DataError:
        return None


def node_values(program: Program, scene: Scene, given: Sequence[Any] = ()) -> list[Any]:
    """What each node of `program` comes to on `scene`: lists of objects, an object, a value, a number or a bool.

    `given`: values of the first nodes, taken as they are instead of being worked out, so that one
    can ask what would follow if one of them were another. Raises DataError as `execute`.
    """
    values = list(given)
    for position in range(len(values), len(program)):
        node = program[position]
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise DataError(
                f"expected a CLEVR v1.0 function at node {position} of a program, found {node.name!r}. "
                f"Known: {', '.join(FUNCTIONS)}."
            )
        values.append(function(scene, *(values[i] for i in node.inputs), *node.value_inputs))
    return values


def _unique(scene: Scene, objects: list[int]) -> int:
    if len(objects) != 1:
        raise DataError(
            f"`unique` expected a set of exactly one object, found {len(objects)} in image "
            f"{scene.image_index}. The question does not fit its scene."
        )
    return objects[0]


def _filter(attribute: str) -> Callable[..., list[int]]:
    return lambda scene, objects, value: [i for i in objects if getattr(scene.objects[i], attribute) == value]


def _query(attribute: str) -> Callable[..., str]:
    return lambda scene, i: getattr(scene.objects[i], attribute)


def _same(attribute: str) -> Callable[..., list[int]]:
    return lambda scene, i: [
        j
        for j, other in enumerate(scene.objects)
        if j != i and getattr(other, attribute) == getattr(scene.objects[i], attribute)
    ]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "scene": lambda scene: list(range(len(scene.objects))),
    "unique": _unique,
    "relate": lambda scene, i, relation: scene.relationships[relation][i],
    "union": lambda scene, a, b: sorted(set(a) | set(b)),
    "intersect": lambda scene, a, b: sorted(set(a) & set(b)),
    "count": lambda scene, objects: len(objects),
    "exist": lambda scene, objects: len(objects) > 0,
    "equal_integer": lambda scene, a, b: a == b,
    "less_than": lambda scene, a, b: a < b,
    "greater_than": lambda scene, a, b: a > b,
    **{f"filter_{attribute}": _filter(attribute) for attribute in ATTRIBUTES},
    **{f"query_{attribute}": _query(attribute) for attribute in ATTRIBUTES},
    **{f"same_{attribute}": _same(attribute) for attribute in ATTRIBUTES},
    **{f"equal_{attribute}": lambda scene, a, b: a == b for attribute in ATTRIBUTES},
}
