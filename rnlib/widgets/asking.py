"""A question of one's own put to a network: about a picture of a split, or about a scene that only memory holds."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from rnlib.clevr.arrays import UNKNOWN, scene_arrays
from rnlib.clevr.layout import ClevrDirectory, SplitFiles
from rnlib.clevr.schema import Scene
from rnlib.clevr.split import SCENE_ARRAYS, SceneArrays, Split
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.evaluation.attribution import PairMap, pair_map
from rnlib.evaluation.examples import Answer
from rnlib.model.asking import encode_question, top_answers
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.synthesis.truth import Truth, judged


def ask_network(
    weights: Weights,
    inputs: NetworkInputs,
    row: int,
    text: str,
    truth: Truth,
    picture: UInt8[np.ndarray, "height width 3"],
) -> tuple[Answer, PairMap | None]:
    """What a network answers to a question about row `row` of its inputs, held against the truth, and what carried it.

    picture: what is shown of it. Raises ConfigError for an unknown word (it names the nearest known ones), and for an
    empty or too long question.
    """
    numbers = encode_question(weights, text)
    pairs = pair_map(weights, inputs, row, np.array(numbers), truth.answer or None)
    if pairs:
        log_probability = pairs.attribution.log_probability
    else:
        with torch.inference_mode():
            tokens = torch.tensor([numbers], device=inputs.device)
            log_probability = weights.network.eval()(inputs.visual(np.array([row])), tokens)[0].cpu().numpy()
    top = top_answers(weights.vocabulary, log_probability)
    outcome = judged(top[0][0], truth.answer) if truth.answer else ""
    question = weights.vocabulary.decode(numbers)
    return Answer(picture, question, truth.answer, truth.kind, outcome, top), pairs


def split_of(
    scene: Scene, picture: UInt8[np.ndarray, "3 size size"] | None, text: str, vocabulary: Vocabulary
) -> Split:
    """A split of one scene with one question, from memory. ConfigError for an unknown word, or none."""
    tokens = np.array([vocabulary.encode(text)], np.int16)
    arrays, filenames = scene_arrays([scene], Path("the scene"))
    return Split(
        directory=ClevrDirectory(Path("nowhere"), {"scene": SplitFiles()}),
        name="scene",
        vocabulary=vocabulary,
        image_indices=list(filenames),
        image_filenames=list(filenames.values()),
        fingerprint="",
        image_fingerprint="",
        tokens=tokens,
        lengths=np.array([tokens.shape[1]], np.uint8),
        answers=np.zeros(1, np.uint8),
        image_of_question=np.zeros(1, np.uint32),
        types=np.full(1, UNKNOWN, np.uint8),
        families=np.full(1, UNKNOWN, np.uint8),
        program_lengths=np.zeros(1, np.uint8),
        scenes=SceneArrays(**{name: arrays[name] for name in SCENE_ARRAYS}),
        images=None if picture is None else picture[None],
    )
