"""Runs: notebooks with checked parameters, executed headlessly, each leaving a folder of results.

paths             where the project, its notebooks and its outputs are
parameters        what a notebook declares, and the check of what it was given
profiles          params/<profile>/<notebook>.yaml
folder            outputs/<run>/<notebook>/: files, provenance, and whether it is done
kernel            the kernel of headless runs: this Python
papermill_runner  one notebook through papermill, with its HTML page
data              the CLEVR set of a run
trainings         a notebook's trainings, each in a folder of its own
pipeline          all notebooks of a profile in order, and `require` for what a later one needs
stored_outputs    `make notebooks`: the committed notebooks with the outputs of their defaults
"""

from typing import TYPE_CHECKING

from rnlib.lazy import names_of
from rnlib.runs.profiles import profiles  # not lazy: its module has the same name

if TYPE_CHECKING:
    from rnlib.runs.data import clevr_of_run
    from rnlib.runs.folder import RunFolder
    from rnlib.runs.parameters import parameters_table, validate_parameters
    from rnlib.runs.paths import notebook_names, project_root
    from rnlib.runs.pipeline import require, run_profile
    from rnlib.runs.profiles import profile_parameters
    from rnlib.runs.trainings import train_in, training_of, weights_files
else:
    __getattr__, __dir__, __all__ = names_of(__file__)
