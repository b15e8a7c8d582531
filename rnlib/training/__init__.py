"""Training: the recipe, the loop, its folder, its curves."""

from rnlib.training.curves import (
    plot_accuracy,
    plot_against_reference,
    plot_losses,
    plot_monitor,
    plot_schedule,
    plot_steps,
    reference_curves,
)
from rnlib.training.loop import Saving, train
from rnlib.training.recipe import FIELDS, Recipe, make_recipe, recipe_of
from rnlib.training.run_folder import TrainingFolder

__all__ = [
    "FIELDS",
    "Recipe",
    "Saving",
    "TrainingFolder",
    "make_recipe",
    "plot_accuracy",
    "plot_against_reference",
    "plot_losses",
    "plot_monitor",
    "plot_schedule",
    "plot_steps",
    "recipe_of",
    "reference_curves",
    "train",
]
