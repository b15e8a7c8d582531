"""Open the splits that a training or an evaluation asks for, with the question words checked before any picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Required, TypedDict, Unpack

import numpy as np
from jaxtyping import Bool

from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import with_questions
from rnlib.clevr.vocabulary import Vocabulary, choose_vocabulary, clevr_v1
from rnlib.errors import ConfigError, require_one_of

UNKNOWN_WORDS = ("refuse", "skip")


class How(TypedDict, total=False):
    """What is passed on to `open_split`."""

    images: Required[int | None]
    cache: Path | str | None
    verbose: bool


def open_known(
    directory: Path | str,
    name: str,
    vocabularies: Sequence[Vocabulary],
    *,
    unknown_words: str = "refuse",
    **how: Unpack[How],
) -> Split:
    """A split as `open_split` opens it, whose questions have only words that all `vocabularies` have.

    unknown_words: "refuse" raises ConfigError where a question has another word, before pictures are decoded; "skip"
    leaves such questions out, which `Split.label` tells from then on.
    """
    require_one_of(unknown_words, UNKNOWN_WORDS, "unknown_words")
    tables: How = {**how, "images": None}
    split = open_split(directory, name, **tables)
    known = np.ones(split.n_questions, bool)
    for vocabulary in vocabularies:
        if unknown_words == "refuse":
            require_known_words(split, vocabulary)
        known &= ~_unknown(split, vocabulary).any(1)
    if how["images"] is not None:
        split = open_split(directory, name, **how)
    if known.all():
        return split
    if not known.any():
        require_known_words(split, vocabularies[0])
    left_out = replace(with_questions(split, np.flatnonzero(known)), left_out=int((~known).sum()))
    if how.get("verbose", True):
        print(f"{left_out.label}: {left_out.n_questions:,} questions remain", flush=True)
    return left_out


def open_training_splits(
    directory: Path | str,
    names: Sequence[str] = (),
    *,
    vocabulary: str | None = "train",
    unknown_words: str = "refuse",
    held_out: int = 0,
    **how: Unpack[How],
) -> tuple[Split, Split]:
    """The splits to train and to validate on, as `open_known` opens them.

    names: theirs; the set decides what is not named (`ClevrDirectory.training_splits`). vocabulary: as
    `choose_vocabulary` takes it; None: no word is checked. held_out: training scenes held out to validate on, with
    which one split is enough.
    Raises ConfigError where one and the same split would be trained and validated on.
    """
    if len(names) > 2:
        raise ConfigError(f"expected at most two splits, to train and to validate on, found {', '.join(names)}.")
    train, val = ClevrDirectory.find(directory).training_splits(*names)
    if train == val and not held_out:
        raise ConfigError(
            f"expected two splits, to train and to validate on, found '{train}' alone. Name both (--train-split NAME "
            f"--val-split NAME), or hold out the last scenes of '{train}' to validate on (--set held_out=N)."
        )
    tables: How = {**how, "images": None}
    words = [choose_vocabulary(vocabulary, open_split(directory, train, **tables).vocabulary)] if vocabulary else []
    first, second = (open_known(directory, name, words, unknown_words=unknown_words, **how) for name in (train, val))
    return first, second


def require_known_words(split: Split, vocabulary: Vocabulary) -> None:
    """Raise ConfigError where questions have words that the vocabulary lacks: how many, and the first."""
    unknown = _unknown(split, vocabulary)
    questions = np.flatnonzero(unknown.any(1))
    if not len(questions):
        return
    first, words = int(questions[0]), np.unique(split.tokens[unknown])
    word = split.vocabulary.words[int(split.tokens[first][unknown[first]][0]) - 1]
    helps = not _unknown(split, clevr_v1()).any()
    raise ConfigError(
        f"{len(questions):,} of {split.n_questions:,} questions in {split.directory.questions(split.name)} have words "
        f"that the vocabulary lacks (words unknown: {len(words):,}). The first is question number {first}, "
        f"'{split.question_text(first)}': {vocabulary.unknown_word(word)} Leave such questions out (--unknown-words "
        f"skip), or use weights trained with these words{' (train --vocabulary clevr-v1.0)' if helps else ''}."
    )


def _unknown(split: Split, vocabulary: Vocabulary) -> Bool[np.ndarray, "questions longest"]:
    """Which words of the questions the vocabulary lacks."""
    table = vocabulary.word_table_from(split.vocabulary)
    return (table == 0)[split.tokens] & (np.asarray(split.tokens) != 0)
