"""The committed notebooks: run again in place, without what changes from one run to the next."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rnlib.files import atomic_write
from rnlib.runs.papermill_runner import execute, without_widgets
from rnlib.runs.parameters import declared_parameters
from rnlib.runs.paths import notebook_name, notebook_names, notebook_path


def store_outputs(notebooks: Sequence[str] | None = None) -> None:
    """Execute notebooks (all, or those named) with their defaults and store the outputs in notebooks/.

    They run in a folder of their own, removed afterwards, so that no earlier run shows in
    them. A notebook that fails stays as it was; RnlibError says why.
    """
    with tempfile.TemporaryDirectory(prefix="rnlib-store-") as folder, _outputs_in(folder):
        _execute_and_store(notebooks)


@contextmanager
def _outputs_in(folder: str) -> Iterator[None]:
    before = os.environ.get("RNLIB_OUTPUTS")
    os.environ["RNLIB_OUTPUTS"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["RNLIB_OUTPUTS"]
        else:
            os.environ["RNLIB_OUTPUTS"] = before


def _execute_and_store(notebooks: Sequence[str] | None) -> None:
    import nbformat

    for name in sorted(notebook_name(name) for name in notebooks) if notebooks else notebook_names():
        path = notebook_path(name)
        [run] = [one.default for one in declared_parameters(path) if one.name == "run"]
        executed = nbformat.read(execute(name, run, {}), as_version=4)
        strip_volatile(executed)
        with atomic_write(path, "w") as file:
            nbformat.write(executed, file)
        print(f"{path.name}: outputs stored", flush=True)


def strip_volatile(notebook: Any) -> None:
    """Remove from a notebook, in place, what differs between two equal runs or serves only the machine.

    That is: execution times, papermill's metadata, the Python version, and widgets, whose state lives in a kernel:
    `without_widgets`.
    """
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):  # papermill adds an empty list
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = without_widgets(cell.outputs)
