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
from rnlib.training.fit import Options
from rnlib.training.recipe import FIELDS, Recipe, make_recipe, recipe_of
from rnlib.training.relation_training import train
from rnlib.training.run_folder import TrainingFolder
from rnlib.training.saving import Saving

__all__ = [
    "FIELDS",
    "Options",
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
