"""The order in which an epoch asks its questions."""

from collections.abc import Sequence

import numpy as np

from rnlib.errors import DataError
from rnlib.training.recipe import Recipe


def epoch_order(
    recipe: Recipe,
    epoch: int,
    image_of_question: np.ndarray,
    questions: np.ndarray | None = None,
    earlier: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """The questions of an epoch in their order, drawn from (seed, epoch).

    image_of_question: the picture of every question. questions: those of the stage (default: all); earlier: those of
    the stages before, of which so many are mixed in that they make up the fraction `replay` of the epoch. With
    `group_questions` the pictures are shuffled and each one's questions stay together.
    """
    chosen = np.arange(len(image_of_question)) if questions is None else questions
    if recipe.replay and earlier:
        chosen = np.concatenate([chosen, _replayed(recipe, epoch, image_of_question, len(chosen), earlier)])
    generator = np.random.default_rng([recipe.seed, epoch, 0])
    if not recipe.group_questions:
        return generator.permutation(chosen)
    rank = generator.permutation(int(image_of_question.max()) + 1)
    return chosen[np.argsort(rank[image_of_question[chosen]], kind="stable")]


def chosen_questions(recipe: Recipe, questions: np.ndarray, image_of_question: np.ndarray) -> np.ndarray:
    """Those that the recipe trains on: all, or those about `train_pictures`, or `train_questions` of these, drawn once.

    DataError for too few.
    """
    if recipe.train_pictures:
        pictures = np.unique(image_of_question[questions])
        count = recipe.pictures_of(len(pictures))
        if count > len(pictures):
            raise DataError(f"expected at least {count:,} training pictures with questions, found {len(pictures):,}.")
        drawn = np.random.default_rng([recipe.seed, 5]).choice(pictures, count, replace=False)
        questions = questions[np.isin(image_of_question[questions], drawn)]
    if not recipe.train_questions:
        return questions
    if recipe.train_questions > len(questions):
        raise DataError(f"expected at least {recipe.train_questions:,} training questions, found {len(questions):,}.")
    drawn = np.random.default_rng(recipe.seed).choice(len(questions), recipe.train_questions, replace=False)
    return questions[np.sort(drawn)]


def _replayed(
    recipe: Recipe, epoch: int, image_of_question: np.ndarray, own: int, earlier: Sequence[np.ndarray]
) -> np.ndarray:
    """Questions of earlier stages, drawn anew for each epoch; with `group_questions` all of a picture's together."""
    known = np.unique(np.concatenate(earlier))
    count = min(round(own * recipe.replay / (1 - recipe.replay)), len(known))
    generator = np.random.default_rng([recipe.seed, epoch, 4])
    if not recipe.group_questions:
        return generator.choice(known, count, replace=False)
    rank = generator.permutation(int(image_of_question.max()) + 1)
    return known[np.argsort(rank[image_of_question[known]], kind="stable")][:count]
