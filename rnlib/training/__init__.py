"""Training: recipe, trainer, tasks, folder, curves.

trainer            the loop, with what a task and a callback are
question_task      answering questions, as a task; relation_training makes it from preset, recipe and splits
cell_task          what each cell of a picture holds, as a task: a start for networks that read pixels
run_trainer        a trainer at work: the options of a training and its callbacks (saving, reporting, pausing, stopping)
recipe, curriculum, sampler, augment, symmetries    what decides the result
run_folder, resume_state, log                       what is written
memory_estimate, curves, plots                      what people look at
"""

from typing import TYPE_CHECKING

from rnlib.lazy import names_of

if TYPE_CHECKING:
    from rnlib.training.curves import (
        plot_accuracy,
        plot_against_reference,
        plot_losses,
        plot_monitor,
        plot_steps,
        reference_curves,
    )
    from rnlib.training.recipe import FIELDS, Recipe, make_recipe, recipe_of
    from rnlib.training.relation_training import train
    from rnlib.training.run_folder import TrainingFolder
    from rnlib.training.run_trainer import Options
    from rnlib.training.saving import Saving
else:
    __getattr__, __dir__, __all__ = names_of(__file__)
