"""What if the scene were another? For a question's program, and for networks that are asked about scenes in memory.

A program tells what decides its answer. A relation is decided by how far apart two objects are along its direction: the
ball that is left of the cube by a hair is easily taken for one that is not. But only some objects matter. So every
relation of the program is reversed, one object at a time, and the rest of the program is run again: a relation between
two objects *decides* where the answer changes, or no longer follows because a thing spoken of is no longer unique.

Networks that read pixels are given pictures drawn of the scenes; the others read the scenes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnlib.clevr.arrays import scene_arrays
from rnlib.clevr.constants import DIRECTIONS
from rnlib.clevr.schema import Program, Scene
from rnlib.errors import DataError
from rnlib.model.asking import encode_question
from rnlib.model.checkpoint import Weights
from rnlib.model.preset import Preset
from rnlib.synthesis.camera import View
from rnlib.synthesis.execution import node_values

BATCH = 64


@dataclass(frozen=True, eq=False)
class Case:
    """A question about a scene as it is seen in `view`."""

    scene: Scene
    view: View
    question: str


YesProbability = Callable[[Sequence[Case]], Float[np.ndarray, " cases"]]


def visual_inputs(preset: Preset, cases: Sequence[Case]) -> Float[Tensor, "cases ..."]:
    """What a network reads beside the questions: pictures in [0, 1], or state rows."""
    if preset.picture_size:
        from rnlib.synthesis.pictures import draw  # loads numba, which networks on states can do without

        side = (preset.picture_size, preset.picture_size)
        pictures = draw([case.scene for case in cases], [case.view for case in cases], side)
        return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
    # One by one: `scene_arrays` orders scenes by their image_index, which those of one scene share.
    arrays = [scene_arrays([case.scene], Path("scene"))[0] for case in cases]
    rows = [preset.kind.of_scenes(preset, one["coordinates"], one["codes"])[0] for one in arrays]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def question_inputs(weights: Weights, cases: Sequence[Case]) -> Tensor:
    """The questions as numbers, padded with zeros to the longest. ConfigError for unknown words or too many."""
    numbers = [torch.tensor(encode_question(weights, case.question)) for case in cases]
    return torch.nn.utils.rnn.pad_sequence(numbers, batch_first=True)


@torch.inference_mode()
def log_probabilities_of(weights: Weights, cases: Sequence[Case]) -> Float[np.ndarray, "cases answers"]:
    """A network's log-probabilities, a row a case, a column an answer of its vocabulary.

    Raises ConfigError for words that it does not know. The network is put into evaluation mode.
    """
    network = weights.network.eval()
    found = [np.empty((0, len(weights.vocabulary.answers)), np.float32)]
    for start in range(0, len(cases), BATCH):
        some = cases[start : start + BATCH]
        found.append(network(visual_inputs(weights.preset, some), question_inputs(weights, some)).float().numpy())
    return np.concatenate(found)


def yes_probability(weights: Weights) -> YesProbability:
    """A network as what it takes "yes" to be worth: of each case p(yes) / (p(yes) + p(no))."""
    yes, no = (weights.vocabulary.answers.index(answer) for answer in ("yes", "no"))

    def ask(cases: Sequence[Case]) -> Float[np.ndarray, " cases"]:
        values = log_probabilities_of(weights, cases)
        return 1 / (1 + np.exp(values[:, no].astype(float) - values[:, yes]))

    return ask


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
