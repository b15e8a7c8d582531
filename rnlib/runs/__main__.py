"""`python -m rnlib.runs RUN NOTEBOOK`: execute one notebook of a run. What `require` starts; people use `rnlib run`."""

import sys

from rnlib.errors import RnlibError
from rnlib.runs.papermill_runner import execute
from rnlib.runs.pipeline import planned_parameters

if __name__ == "__main__":
    _, run, notebook = sys.argv
    try:
        execute(notebook, run, planned_parameters(run, notebook))
    except RnlibError as error:
        sys.exit(str(error))
