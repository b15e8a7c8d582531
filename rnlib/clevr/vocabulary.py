"""Words and answers as numbers.

A word's number is its rank of first appearance in the training questions, counted from
1; 0 is padding. Answers are numbered likewise. The vocabulary of CLEVR v1.0 ships as
`vocabulary_v1.json` (82 words with ';' and '?', 28 answers). A vocabulary travels with
every set of weights, since weights mean nothing without it.
"""

import difflib
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Integer

from rnlib.errors import ConfigError, DataError
from rnlib.files import read_json, write_json

CLEVR_V1_FILE = Path(__file__).with_name("vocabulary_v1.json")
MOST_WORDS = 32_767
_TOKEN = re.compile(r"[.,;:!?()]|[^\s.,;:!?()]+")


def tokenize(question: str) -> list[str]:
    """Lower-case words of a question; each of ``. , ; : ! ? ( )`` is a token of its own."""
    return _TOKEN.findall(question.lower())


def detokenize(tokens: list[str]) -> str:
    """Tokens as a readable sentence: capital first letter, no blank before punctuation."""
    text = re.sub(r" ([.,;:!?)])", r"\1", " ".join(tokens))
    return text[:1].upper() + text[1:]


class Vocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Words and answers in the order that numbers them, from 1.

    At most 32,767 words and 255 answers, so that they fit in two bytes and in one.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        for kind, entries, most in (("words", self.words, MOST_WORDS), ("answers", self.answers, 255)):
            if len(entries) > most:
                raise DataError(
                    f"expected at most {most} {kind} (CLEVR has 82 words and 28 answers), found {len(entries)}. "
                    "Check that these are CLEVR questions."
                )
            if len(set(entries)) != len(entries):
                raise DataError(f"expected each of the {kind} once in a vocabulary, found repetitions.")

    @cached_property
    def number_of_word(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, 1)}

    @cached_property
    def number_of_answer(self) -> dict[str, int]:
        return {answer: number for number, answer in enumerate(self.answers, 1)}

    def encode(self, question: str) -> list[int]:
        """Numbers (from 1) of a question's tokens. An unknown word raises ConfigError with its nearest known words."""
        tokens = tokenize(question)
        if not tokens:
            raise ConfigError("expected a question, found no words. Type one, such as 'How many red cubes are there?'")
        for token in tokens:
            if token not in self.number_of_word:
                raise ConfigError(self.unknown_word(token))
        return [self.number_of_word[token] for token in tokens]

    def unknown_word(self, word: str) -> str:
        """The sentence that tells a person that `word` is unknown, with its nearest known words."""
        near = difflib.get_close_matches(word, self.words, n=3, cutoff=0.65)
        hint = f"nearest known words: {', '.join(near)}" if near else "no known word is near"
        return f"unknown word '{word}': it is not among the {len(self.words)} words of the vocabulary ({hint})."

    def decode(self, numbers: "np.ndarray | list[int]") -> str:
        """The sentence of a row of word numbers; zeros (padding) are passed over."""
        return detokenize([self.words[int(number) - 1] for number in numbers if number])

    def word_table_from(self, source: "Vocabulary") -> Integer[np.ndarray, " numbers"]:
        """A table t with t[number in `source`] = number here; 0 where this vocabulary lacks the word."""
        return _table(source.words, self.number_of_word)

    def answer_table_from(self, source: "Vocabulary") -> Integer[np.ndarray, " numbers"]:
        """The same for answers."""
        return _table(source.answers, self.number_of_answer)

    def save(self, path: Path | str) -> None:
        """Write as JSON: {"words": [...], "answers": [...]}."""
        write_json(path, msgspec.to_builtins(self))

    @classmethod
    def load(cls, path: Path | str) -> "Vocabulary":
        """Read what `save` wrote."""
        try:
            return msgspec.convert(read_json(path), cls)
        except msgspec.ValidationError as error:
            raise DataError(
                f"{path} is not a vocabulary: expected an object with the lists words and answers ({error})."
            ) from None


def number_type(largest: int) -> type[np.integer[Any]]:
    """The smallest type that holds the numbers 0 to `largest`: uint8, or int16, which torch reads too."""
    return np.uint8 if largest <= 255 else np.int16


def _table(source: tuple[str, ...], number_of: dict[str, int]) -> Integer[np.ndarray, " numbers"]:
    return np.array([0] + [number_of.get(entry, 0) for entry in source], number_type(len(number_of)))


def choose_vocabulary(which: str, of_training: Vocabulary) -> Vocabulary:
    """ "train" (that of the training questions), "clevr-v1.0", or the path of a vocabulary file (.json)."""
    if which == "train":
        return of_training
    if which == "clevr-v1.0":
        return clevr_v1()
    if not which.endswith(".json"):
        raise ConfigError(f"expected the vocabulary 'train', 'clevr-v1.0' or a .json file, found '{which}'.")
    return Vocabulary.load(which)


def clevr_v1() -> Vocabulary:
    """The vocabulary of CLEVR v1.0, in the order of first appearance in CLEVR_train_questions.json."""
    return Vocabulary.load(CLEVR_V1_FILE)
