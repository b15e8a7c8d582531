"""One notebook, run headlessly by papermill: executed copy and HTML page in outputs/<run>/."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rnlib.errors import ConfigError, RnlibError
from rnlib.files import atomic_write, make_folder
from rnlib.runs.folder import RunFolder
from rnlib.runs.parameters import check_parameters, declared_parameters
from rnlib.runs.paths import notebook_path

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# papermill, nbclient, nbconvert and nbformat are imported where they are used: a notebook's
# own kernel imports this package too, and needs none of them.

NO_TEXT = "No description has been provided for this image"  # nbconvert's alternative text


def execute(notebook: str, run: str, parameters: Mapping[str, Any]) -> Path:
    """Run a notebook with `parameters` (unset ones: its defaults); returns the executed notebook.

    It goes to `outputs/<run>/<notebook>.ipynb` cell by cell, with an HTML page beside it;
    what its cells print appears on this process's console as it comes. Raises
    ConfigError for wrong parameters, and RnlibError, naming the cell and the executed
    notebook (which stays), where a cell fails or the kernel dies.
    """
    source = notebook_path(notebook)
    declared = declared_parameters(source)
    values = check_parameters(declared, {**parameters, "run": run})

    import papermill
    from nbclient.exceptions import DeadKernelError

    from rnlib.runs.kernel import ThisPython

    folder = RunFolder.open(run, source.stem)
    executed = executed_notebook(folder)
    executed.with_suffix(".html").unlink(missing_ok=True)  # a page of an earlier execution
    papermill.iorw.papermill_io.register(str(executed), _whole_files())
    # Only what differs from the defaults is injected, so a reader sees at a glance what was set.
    defaults = {one.name: one.default for one in declared}
    changed = {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}
    show_bar = sys.stderr.isatty()
    try:
        with _only_errors_from_papermill(), _Console(sys.stdout) as output, _Console(sys.stderr) as errors:
            papermill.execute_notebook(
                _literal(source),
                _literal(executed),
                parameters=changed,
                kernel_name="python3",
                language="python",
                cwd=source.parent,
                progress_bar={"desc": source.stem, "leave": False} if show_bar else False,
                stdout_file=output,
                stderr_file=errors,
                kernel_manager_class=ThisPython,
                coalesce_streams=True,
            )
    except papermill.PapermillExecutionError as error:
        export_html(executed)
        raise _failure(source.stem, error.exec_count, f"{error.ename}: {error.evalue}", executed) from None
    except DeadKernelError:
        count = _mark_dead_cell(executed)
        export_html(executed)
        what = "the kernel died (out of memory, or a crash in native code)"
        raise _failure(source.stem, count, what, executed) from None
    export_html(executed)
    if folder.done() is None:
        raise ConfigError(
            f"{source.stem} ran to its end without calling finish(), so it does not count as completed. "
            f'Begin it with `folder = RunFolder.open(run, "{source.stem}")`, end it with `folder.finish(parameters)`.'
        )
    return executed


def executed_notebook(folder: RunFolder) -> Path:
    """Where the executed copy of a notebook is: outputs/<run>/<notebook>.ipynb."""
    return make_folder(folder.root, f"the run {folder.run!r}") / f"{folder.notebook}.ipynb"


def export_html(executed: Path) -> Path:
    """Write `<notebook>.html` beside an executed notebook, whole or not at all; pictures are embedded.

    In place of widgets, which need a kernel, stand the cards that they leave.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = without_widgets(cell.outputs)
    resources = {"metadata": {"name": executed.stem, "path": str(notebook_path(executed.stem).parent)}}
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook, resources)
    # nbconvert knows of no alternative texts (RunFolder.save_figure notes them): one for each picture, in their order.
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = iter(
        [o.metadata.get("image/png", {}).get("alt", NO_TEXT) for o in outputs if "image/png" in o.get("data", {})]
    )
    page = re.sub(f'alt="{NO_TEXT}"', lambda _: f'alt="{escape(next(texts, NO_TEXT))}"', page)
    path = executed.with_suffix(".html")
    with atomic_write(path, "w") as file:
        file.write(page)
    return path


def without_widgets(outputs: list[Any]) -> list[Any]:
    """Outputs of a cell, of widgets only the card that they leave for readers (text/html), if any."""
    kept = []
    for output in outputs:
        data = output.get("data", {})
        if WIDGET_VIEW in data:
            if "text/html" not in data:
                continue
            output["data"] = {"text/html": data["text/html"], "text/plain": "a widget: run the cell to use it"}
        kept.append(output)
    return kept


class _Console:
    """Passes on what a notebook prints, line by line, above the progress bar where there is one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.rest = ""

    def write(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            tqdm.write(line.rsplit("\r", 1)[-1], file=self.stream)

    def flush(self) -> None:
        self.stream.flush()

    def __enter__(self) -> "_Console":
        return self

    def __exit__(self, *_: object) -> None:
        if self.rest:
            self.write("\n")
        self.flush()


def _whole_files() -> Any:
    """How papermill writes a notebook: whole or not at all, also where the disk is full or the process is killed."""
    from papermill.iorw import LocalHandler

    class Whole(LocalHandler):
        def write(self, buf: str, path: str) -> None:
            with atomic_write(path, "w") as file:
                file.write(buf)

    return Whole()


def _literal(path: Path) -> str:
    """A path for papermill, which takes braces in it for a template to fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextmanager
def _only_errors_from_papermill() -> Iterator[None]:
    """papermill cannot read types like `str | None` and warns of parameters without a line, all checked here."""
    logger = logging.getLogger("papermill")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _mark_dead_cell(executed: Path) -> int:
    """Write the death of the kernel into the cell that was running, and return the cell's number (`In [n]`).

    papermill marks that cell and all after it as completed, and shows no error.
    """
    import nbformat

    content = nbformat.read(executed, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code" and cell.source.strip()]
    count, running = max((n, cell) for n, cell in enumerate(cells, 1) if cell.metadata.papermill.start_time)
    running.execution_count = count
    running.metadata.papermill.update(status="failed", exception=True)
    text = "The kernel died while this cell ran."
    running.outputs.append(nbformat.v4.new_output("error", ename="DeadKernelError", evalue=text, traceback=[text]))
    content.metadata.papermill.exception = True
    with atomic_write(executed, "w") as file:
        nbformat.write(content, file)
    return count


def _failure(notebook: str, count: int | None, what: str, executed: Path) -> RnlibError:
    return RnlibError(
        f"{notebook} failed in cell In [{count}]: {' '.join(what.split())}. See {executed} (and the .html beside it); "
        "mend the cause and run the same command again: it continues with this notebook."
    )
