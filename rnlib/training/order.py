"""The order in which an epoch asks its questions."""

import numpy as np

from rnlib.errors import DataError
from rnlib.training.recipe import Recipe


def epoch_order(recipe: Recipe, epoch: int, image_of_question: np.ndarray) -> np.ndarray:
    """The questions of an epoch in their order, drawn from (seed, epoch).

    With `group_questions` the pictures are shuffled and each one's questions stay together.
    """
    chosen = np.arange(len(image_of_question))
    if recipe.train_questions:
        if recipe.train_questions > len(chosen):
            raise DataError(f"expected at least {recipe.train_questions:,} training questions, found {len(chosen):,}.")
        chosen = np.sort(np.random.default_rng(recipe.seed).choice(len(chosen), recipe.train_questions, replace=False))
    generator = np.random.default_rng([recipe.seed, epoch, 0])
    if not recipe.group_questions:
        return generator.permutation(chosen)
    rank = generator.permutation(int(image_of_question.max()) + 1)
    return chosen[np.argsort(rank[image_of_question[chosen]], kind="stable")]
