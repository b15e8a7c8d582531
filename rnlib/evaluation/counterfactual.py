"""What decides a question, found by running its program on its scene again: the objects asked about, the margin.

A relation is decided by how far apart two objects are along its direction: the ball that is
left of the cube by a hair is easily taken for one that is not. But only some objects matter. So
every relation of the program is reversed, one object at a time, and the rest of the program is
run again: a relation between two objects *decides* where the answer changes, or no longer follows
because a thing spoken of is no longer unique.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnlib.clevr.constants import DIRECTIONS
from rnlib.clevr.schema import Program, Scene
from rnlib.errors import DataError
from rnlib.synthesis.programs import node_values


def asked_objects(program: Program, values: list[Any]) -> set[int]:
    """The objects whose attribute is asked for, that are counted, or whose existence is in question.

    Of a comparison those of both sides. `values`: `node_values` of the program.
    """
    found: set[int] = set()
    for node in program:
        if node.name in ("count", "exist") or node.name.startswith("query_"):
            value = values[node.inputs[0]]
            found |= {value} if isinstance(value, int) else set(value)
    return found


def counterfactual_margin(program: Program, scene: Scene, values: list[Any]) -> float:
    """Of the relations that decide the answer (see above): the least separation of the two objects, in world units.

    The separation is measured along the relation's direction; CLEVR's scenes have at least 0.4. NaN where
    no relation decides: the program has none, or no single one matters. `values`: `node_values`.
    """
    places = np.array([item.coordinates for item in scene.objects])
    margin = float("nan")
    for step, anchor, relation, other in _relations(program, scene, values):
        apart = abs(float((places[other] - places[anchor]) @ DIRECTIONS[relation]))
        if not apart >= margin and _changes_answer(program, scene, values, step, other):
            margin = apart
    return margin


def _relations(program: Program, scene: Scene, values: list[Any]) -> Iterator[tuple[int, int, str, int]]:
    """Every relation that the program looks at: its step, the object it starts from, its name, another object."""
    for step, node in enumerate(program):
        if node.name == "relate":
            anchor = values[node.inputs[0]]
            for other in range(len(scene.objects)):
                if other != anchor:
                    yield step, anchor, node.value_inputs[0], other


def _changes_answer(program: Program, scene: Scene, values: list[Any], step: int, other: int) -> bool:
    """Whether the answer is another, or none, when `other` is taken into the set of `step`, or out of it."""
    turned = sorted(set(values[step]) ^ {other})
    try:
        return bool(node_values(program, scene, [*values[:step], turned])[-1] != values[-1])
    except DataError:  # something spoken of is not unique any more
        return True
