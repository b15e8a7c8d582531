"""Splits made out of splits: some of the pictures, some of the questions, or several splits as one."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Integer

from rnlib.clevr.picture_array import JoinedPictures
from rnlib.clevr.split import QUESTION_ARRAYS, SCENE_ARRAYS, SceneArrays, Split
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError


def part_of(split: Split, begin: int, end: int) -> Split:
    """The pictures number `begin` to `end` (not included) of a split, with their questions. Pictures are not copied.

    Raises ConfigError for a part that is empty or not within the split.
    """
    if not 0 <= begin < end <= split.n_images:
        raise ConfigError(
            f"expected a part of the {split.n_images:,} pictures of {split.name}, found {begin} to {end}."
        )
    assert not isinstance(split.images, JoinedPictures)
    asked = (split.image_of_question >= begin) & (split.image_of_question < end)
    arrays = {name: getattr(split, name)[asked] for name in QUESTION_ARRAYS}
    arrays["image_of_question"] = arrays["image_of_question"] - np.array(begin, split.image_of_question.dtype)
    scenes = split.scenes
    if scenes is not None:
        scenes = SceneArrays(**{name: getattr(scenes, name)[begin:end] for name in SCENE_ARRAYS})
    return replace(
        split,
        image_indices=split.image_indices[begin:end],
        image_filenames=split.image_filenames[begin:end],
        fingerprint=f"{split.fingerprint}[{begin}:{end}]",
        image_fingerprint=f"{split.image_fingerprint}[{begin}:{end}]" if split.image_fingerprint else "",
        **arrays,
        numbers=split.question_numbers[asked],
        scenes=scenes,
        images=None if split.images is None else split.images[begin:end],
    )


def hold_out(scenes: int, train: Split, val: Split) -> tuple[Split, Split]:
    """What to train and to validate on: the two splits, or two parts of `train`, the last of so many scenes.

    Raises ConfigError where that leaves none to train on.
    """
    if not scenes:
        return train, val
    trained_on = train.n_images - scenes
    if trained_on < 1:
        raise ConfigError(
            f"expected to hold out less than all {train.n_images:,} scenes, found {scenes:,}. Hold out fewer "
            "(--set held_out=N)."
        )
    return part_of(train, 0, trained_on), part_of(train, trained_on, train.n_images)


def with_questions(split: Split, questions: Integer[np.ndarray, " chosen"]) -> Split:
    """The split with these of its questions only, in this order; all pictures stay."""
    arrays = {name: getattr(split, name)[questions] for name in QUESTION_ARRAYS}
    chosen = hashlib.blake2b(np.ascontiguousarray(questions, np.int64).data, digest_size=8).hexdigest()
    return replace(
        split, fingerprint=f"{split.fingerprint}({chosen})", numbers=split.question_numbers[questions], **arrays
    )


def join(splits: Sequence[Split], vocabulary: Vocabulary) -> Split:
    """Splits one after another as one, numbered by `vocabulary`; its name and directory are those of the first.

    Scenes that not all of them have are left out. Raises DataError for pictures of different sizes.
    """
    if len(splits) == 1:
        return splits[0]
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in QUESTION_ARRAYS}
    begin = 0
    for split in splits:
        words, answers = vocabulary.word_table_from(split.vocabulary), vocabulary.answer_table_from(split.vocabulary)
        own = {name: getattr(split, name) for name in QUESTION_ARRAYS}
        own["tokens"] = words[split.tokens]
        own["answers"] = answers[split.answers]
        own["image_of_question"] = split.image_of_question.astype(np.int64) + begin
        for name, values in own.items():
            arrays[name].append(values)
        begin += split.n_images
    of_scenes = [split.scenes for split in splits if split.scenes is not None]
    scenes = None
    if len(of_scenes) == len(splits):
        scenes = SceneArrays(**{name: _padded([getattr(one, name) for one in of_scenes]) for name in SCENE_ARRAYS})
    joined: dict[str, Any] = {name: _padded(parts) for name, parts in arrays.items()}
    pictures = [split.images for split in splits if split.images is not None]
    if len({array.shape[1:] for array in pictures}) > 1 or len(pictures) not in (0, len(splits)):
        raise DataError("expected pictures of one size in all sets of a training, found several. Make them alike.")
    return replace(
        splits[0],
        vocabulary=vocabulary,
        image_indices=list(range(begin)),
        image_filenames=[name for split in splits for name in split.image_filenames],
        fingerprint="+".join(split.fingerprint for split in splits),
        image_fingerprint="+".join(split.image_fingerprint for split in splits) if pictures else "",
        **joined,
        numbers=None,  # of several files
        scenes=scenes,
        images=JoinedPictures([np.asarray(array) for array in pictures]) if pictures else None,
    )


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays one after another, each padded with zeros to the longest questions and the most objects of them."""
    shape = np.max([part.shape[1:] for part in parts], axis=0).astype(int).tolist()
    whole = np.zeros((sum(map(len, parts)), *shape), np.result_type(*parts))
    begin = 0
    for part in parts:
        whole[(slice(begin, begin + len(part)), *map(slice, part.shape[1:]))] = part
        begin += len(part)
    return whole
