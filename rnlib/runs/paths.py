"""Where things are: the project's folder, its notebooks, and the folder of outputs.

papermill runs a notebook in the caller's folder, nbval and JupyterLab in the notebook's
own; so every path starts from rnlib, never from the working directory.
"""

import hashlib
import json
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

import rnlib
from rnlib.errors import ConfigError, DataError, reason
from rnlib.files import check_plain_name, read_json

PACKAGE = Path(rnlib.__file__).parent


def project_root() -> Path:
    """The folder that holds `notebooks/` and `params/`: two levels above this file, or $RNLIB_ROOT.

    Raises ConfigError where there is none (rnlib installed without its notebooks).
    """
    given = os.environ.get("RNLIB_ROOT")
    root = Path(os.path.expanduser(given or Path(rnlib.__file__).parents[1])).resolve()
    missing = [name for name in ("notebooks", "params") if not (root / name).is_dir()]
    if missing:
        source = "$RNLIB_ROOT" if given else "the folder of the rnlib package"
        raise ConfigError(
            f"expected the folders notebooks/ and params/ in {root} ({source}), found no {' and no '.join(missing)}. "
            "Set the environment variable RNLIB_ROOT to a checkout of the project."
        )
    return root


def outputs_root() -> Path:
    """`outputs/` of the project, or $RNLIB_OUTPUTS (relative to the project's folder). It may not exist yet."""
    return project_root() / Path(os.path.expanduser(os.environ.get("RNLIB_OUTPUTS") or "outputs"))


def notebook_names() -> list[str]:
    """The notebooks in the order they run: `notebooks/[0-9][0-9]_*.ipynb` without the ending."""
    return sorted(path.stem for path in (project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def notebook_path(notebook: str) -> Path:
    """The file of a notebook given by its full name or the start of it ("04", "04_evaluation").

    Raises ConfigError for a name that fits none or several.
    """
    names = notebook_names()
    fitting = [notebook] if notebook in names else [name for name in names if notebook and name.startswith(notebook)]
    if len(fitting) != 1:
        hint = "".join(f" Did you mean {name!r}?" for name in get_close_matches(notebook, names, 1))
        raise ConfigError(
            f"expected the name of one notebook or the start of it, found {notebook!r}, which fits "
            f"{' and '.join(fitting) or 'none'}.{hint} The notebooks are: {', '.join(names) or '(none)'}."
        )
    return project_root() / "notebooks" / f"{fitting[0]}.ipynb"


def notebook_name(notebook: str) -> str:
    """The full name of a notebook given by its name or the start of it; ConfigError as `notebook_path`."""
    return notebook_path(notebook).stem


def code_fingerprint(notebook: str) -> str:
    """sha256 of a notebook's code cells and of rnlib's files. Outputs and prose do not count: they change no result."""
    cells = read_notebook(notebook_path(notebook))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    found = hashlib.sha256(json.dumps(code).encode())
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".json", ".csv"):  # the JSON files of weights hold the sha256 of their numbers
            found.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return found.hexdigest()


def read_notebook(path: Path) -> dict:
    """The JSON of a notebook file. Raises ConfigError where it is not a notebook of format 4."""
    try:
        content = read_json(path, dict[str, Any])
        msgspec.convert(content, _Notebook)
    except (DataError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"expected {path} to be a Jupyter notebook of format 4, but {reason(error)} "
            "Restore the file, for example with git."
        ) from None
    return content


class _Cell(msgspec.Struct):
    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any]


class _Notebook(msgspec.Struct):
    nbformat: Literal[4]
    cells: list[_Cell]


def check_run_name(run: str) -> str:
    """`run` itself, where it is a plain name; else ConfigError."""
    return check_plain_name(run, "run")
