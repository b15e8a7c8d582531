"""Symmetries of CLEVR on state descriptions: a question stays true when its world is renamed or seen in a mirror.

Colours, materials, shapes and sizes are names: where every red object turns green and every green one red, in the
scene, in the question and in the answer, nothing else changes. Each attribute's values are permuted so, and half the
scenes are mirrored, with "left" and "right" exchanged. CLEVR draws all values alike, so a
question under a random symmetry is a new question of the same distribution, and cannot be memorised.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor

from rnlib.clevr.constants import ATTRIBUTES, DIRECTIONS, RADII, SIZES, SYNONYMS
from rnlib.clevr.vocabulary import Vocabulary, number_type
from rnlib.errors import ConfigError
from rnlib.model.inputs import NetworkInputs

_STARTS = np.cumsum([0, *map(len, ATTRIBUTES.values())])  # where each attribute's values begin in a row of all 15
VALUES = tuple(value for values in ATTRIBUTES.values() for value in values)
_WORDS = 3  # a value has at most so many words
_RIGHT = np.array(DIRECTIONS["right"][:2])
_MIRROR = np.eye(2) - 2 * np.outer(_RIGHT, _RIGHT)
_RADII = np.array([1.0, *(RADII[size] for size in SIZES)])  # by the code of a size; an object's centre is as high


@dataclass(frozen=True)
class Drawn:
    """A symmetry for each of some questions, or scenes.

    values: what each of the 15 VALUES becomes, as a position in VALUES, always of the same attribute
    mirrored: whether left and right are exchanged
    words: which of a value's words is at each place of a question, in [0, 1)
    """

    values: UInt8[np.ndarray, "rows 15"]
    mirrored: Bool[np.ndarray, " rows"]
    words: Float[np.ndarray, "rows longest"]

    def of(self, rows: np.ndarray | slice) -> "Drawn":
        """The symmetries of these rows."""
        return Drawn(self.values[rows], self.mirrored[rows], self.words[rows])


def draw_symmetries(seed: int, epoch: int, step: int, rows: int, longest: int) -> Drawn:
    """Symmetries for the questions of a step, drawn from (seed, epoch, step)."""
    generator = np.random.default_rng([seed, epoch, 3, step])
    ranks = generator.random((rows, len(VALUES)), np.float32)
    values = np.empty(ranks.shape, np.uint8)
    for begin, end in pairwise(_STARTS):
        values[:, begin:end] = begin + ranks[:, begin:end].argsort(axis=1)
    return Drawn(values, generator.random(rows) < 0.5, generator.random((rows, longest), np.float32))


def move_scenes(
    coordinates: Float[np.ndarray, "rows most 3"], codes: UInt8[np.ndarray, "rows most 4"], drawn: Drawn
) -> tuple[Float[np.ndarray, "rows most 3"], UInt8[np.ndarray, "rows most 4"]]:
    """Scenes under their symmetries, as `rnlib.model.objects.states.state_rows` reads them. Padding stays 0."""
    moved = np.zeros_like(codes)
    for column, begin in enumerate(_STARTS[:-1]):
        positions = begin + np.maximum(codes[:, :, column], 1).astype(np.intp) - 1
        moved[:, :, column] = np.take_along_axis(drawn.values, positions, axis=1) - begin + 1
    moved *= codes != 0
    places = coordinates.copy()
    places[drawn.mirrored, :, :2] = coordinates[drawn.mirrored, :, :2] @ _MIRROR.astype(coordinates.dtype)
    places[:, :, 2] *= (_RADII[moved[:, :, 3]] / _RADII[codes[:, :, 3]]).astype(coordinates.dtype)
    return places, moved


class Wording:
    """What symmetries do to questions and answers as a vocabulary numbers them.

    Raises ConfigError for a vocabulary that lacks a value's words or its answer, or one of left and right.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        number, numbers = vocabulary.number_of_word, number_type(len(vocabulary.words))
        self.value = np.full(len(vocabulary.words) + 1, len(VALUES))  # of each word; 15: none
        self.plural = np.zeros(len(vocabulary.words) + 1, np.intp)
        self.count = np.zeros((len(VALUES), 2), np.intp)
        self.words = np.zeros((len(VALUES), 2, _WORDS), numbers)
        self.other_side = np.arange(len(vocabulary.words) + 1, dtype=numbers)
        self.value_of_answer = np.full(len(vocabulary.answers) + 1, len(VALUES))
        self.answer = np.zeros(len(VALUES), np.uint8)
        for position, value in enumerate(VALUES):
            for plural, ending in enumerate(("", "s")):
                known = [word + ending for word in SYNONYMS.get(value, (value,)) if word + ending in number]
                self.count[position, plural] = len(known)
                for rank, word in enumerate(known):
                    self.value[number[word]], self.plural[number[word]] = position, plural
                    self.words[position, plural, rank] = number[word]
            if not self.count[position, 0] or value not in vocabulary.number_of_answer:
                raise _lacks(value)
            self.answer[position] = vocabulary.number_of_answer[value]
            self.value_of_answer[vocabulary.number_of_answer[value]] = position
        for word, other in (("left", "right"), ("right", "left")):
            if other not in number:
                raise _lacks(other)
            self.other_side[number[word]] = number[other]

    def reached(self, asked: Bool[np.ndarray, " words"]) -> Bool[np.ndarray, " words"]:
        """Which words questions have under all symmetries, from those they have as they are; by number, from 0."""
        attribute = np.searchsorted(_STARTS, self.value, side="right") * 2 + self.plural
        named = self.value < len(VALUES)
        return asked | asked[self.other_side] | (named & np.isin(attribute, attribute[named & asked]))

    def questions(self, tokens: Integer[np.ndarray, "rows words"], drawn: Drawn) -> Integer[np.ndarray, "rows words"]:
        """Questions under their symmetries; a value is named by any of its words."""
        asked = np.where(drawn.mirrored[:, None], self.other_side[tokens], tokens)
        row, place = np.nonzero(self.value[tokens] < len(VALUES))
        words = tokens[row, place]
        becomes, plural = drawn.values[row, self.value[words]], self.plural[words]
        chosen = (drawn.words[row, place] * self.count[becomes, plural]).astype(np.intp)
        asked[row, place] = self.words[becomes, plural, chosen]
        return asked

    def answers(self, answers: UInt8[np.ndarray, " rows"], drawn: Drawn) -> UInt8[np.ndarray, " rows"]:
        """Answers under their questions' symmetries."""
        value = self.value_of_answer[answers]
        named = value < len(VALUES)
        moved = answers.copy()
        moved[named] = self.answer[drawn.values[np.flatnonzero(named), value[named]]]
        return moved


def _lacks(word: str) -> ConfigError:
    return ConfigError(
        f"recipe: expected a vocabulary with every value of CLEVR and both sides for symmetries, '{word}' is missing. "
        "Use the vocabulary clevr-v1.0, or train without symmetries."
    )


def moved_inputs(
    inputs: NetworkInputs,
    wording: Wording,
    pictures: np.ndarray,
    questions: np.ndarray,
    drawn: Drawn,
    which: np.ndarray,
) -> tuple[Float[Tensor, "scenes ..."], Integer[Tensor, "batch longest"], Integer[Tensor, " batch"]]:
    """State rows (of a preset that reads them), word numbers and output units of a step under symmetries.

    All on the device of `inputs`. drawn: of each of the `pictures`; which: the row in `pictures` that each
    of the `questions` is about.
    """
    split, device = inputs.split, inputs.device
    preset = inputs.preset
    rows = preset.kind.of_scenes(preset, *move_scenes(split.coordinates[pictures], split.codes[pictures], drawn))
    longest = int(split.lengths[questions].max(initial=1))
    of_question = drawn.of(which)
    asked = wording.questions(inputs.tokens[questions, :longest], of_question)
    answers = wording.answers(inputs.answers[questions], of_question).astype(np.int64) - 1
    return rows.to(device), torch.from_numpy(asked).to(device), torch.from_numpy(answers).to(device)
