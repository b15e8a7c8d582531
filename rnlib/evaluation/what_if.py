"""Networks asked about scenes in memory: pictures are drawn for those that read pixels, the others read the scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnlib.clevr.arrays import scene_arrays
from rnlib.clevr.schema import Scene
from rnlib.model.asking import encode_question
from rnlib.model.checkpoint import Weights
from rnlib.model.preset import Preset
from rnlib.synthesis.camera import View

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
