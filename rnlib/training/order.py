"""The order in which an epoch asks its questions."""

import numpy as np

from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.training.recipe import Recipe


def order_of(recipe: Recipe, epoch: int, split: Split) -> np.ndarray:
    """The questions of a split in the order of an epoch. Raises DataError as `epoch_order`."""
    objects = steps = None
    if recipe.curriculum and split.has_scenes and split.program_lengths.any():
        objects = (split.codes[:, :, 0] != 0).sum(1)[split.image_of_question]
        steps = split.program_lengths
    return epoch_order(recipe, epoch, split.image_of_question, objects, steps)


def epoch_order(
    recipe: Recipe,
    epoch: int,
    image_of_question: np.ndarray,
    objects: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> np.ndarray:
    """The questions of an epoch in their order, drawn from (seed, epoch).

    With `group_questions` the pictures are shuffled and each one's questions stay together.
    For a curriculum: objects in the scene of each question, steps of its program. Raises DataError where
    these are not known, or no question fits a stage.
    """
    chosen = np.arange(len(image_of_question))
    if recipe.train_questions:
        if recipe.train_questions > len(chosen):
            raise DataError(f"expected at least {recipe.train_questions:,} training questions, found {len(chosen):,}.")
        chosen = np.sort(np.random.default_rng(recipe.seed).choice(len(chosen), recipe.train_questions, replace=False))
    stage = recipe.stage_at(epoch)
    if stage:
        if objects is None or steps is None:
            raise DataError("a curriculum needs scenes and programs, which this split lacks. Train without curriculum.")
        chosen = chosen[(objects[chosen] <= stage[0]) & (steps[chosen] <= stage[1])]
        if not len(chosen):
            raise DataError(
                f"expected questions on at most {stage[0]} objects with programs of at most {stage[1]} steps for the "
                f"curriculum's epoch {epoch}, found none. Change curriculum."
            )
    generator = np.random.default_rng([recipe.seed, epoch, 0])
    if not recipe.group_questions:
        return generator.permutation(chosen)
    rank = generator.permutation(int(image_of_question.max()) + 1)
    return chosen[np.argsort(rank[image_of_question[chosen]], kind="stable")]
