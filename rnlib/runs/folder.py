"""The folder of one notebook in one run: outputs/<run>/<notebook>/.

A notebook opens its folder at the top, writes its files there, and calls `finish` in its
last cell. `finish` alone writes done.json, so a notebook counts as completed however it
was run: by hand in JupyterLab, by papermill, by nbval or by `rnlib run`.
"""

import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import matplotlib.pyplot as plt
import msgspec
import pandas as pd
from matplotlib.figure import Figure

from rnlib.clevr.layout import ClevrDirectory
from rnlib.errors import ConfigError, require_one_of
from rnlib.files import atomic_write, make_folder, read_json, write_json
from rnlib.provenance import provenance
from rnlib.runs.parameters import accepted_fields, declared_parameters
from rnlib.runs.paths import check_run_name, code_fingerprint, notebook_name, notebook_path, outputs_root
from rnlib.style import alt_text

FIGURES = ("png", "svg", "pdf")


class RunFolder:
    """Files of `notebook` in `run`. Making the object touches no file; see `open`."""

    def __init__(self, run: str, notebook: str, figures: str = "png") -> None:
        require_one_of(figures, FIGURES, "figures")
        self.figures = figures
        self.run = check_run_name(run)
        self.notebook = notebook_name(notebook)
        self.root = outputs_root() / self.run
        self.folder = self.root / self.notebook
        self._began = time.monotonic()
        self._code = code_fingerprint(self.notebook)
        self._read: dict[str, str] = {}
        self._saved: set[Path] = set()

    @classmethod
    def open(cls, run: str, notebook: str, figures: str = "png") -> "RunFolder":
        """Begin the work of a notebook: its folder exists, it no longer counts as completed, the clock runs.

        figures: how they are saved, "png", "svg" or "pdf". Raises ConfigError for a bad run name or an unknown
        notebook, DataError where the folder cannot be written.
        """
        folder = cls(run, notebook, figures)
        make_folder(folder.folder, f"the run {run!r}")
        (folder.folder / "done.json").unlink(missing_ok=True)
        return folder

    def path(self, name: str) -> Path:
        """The path of a file in the folder; its parent exists. `name` may have subfolders ("weights/best")."""
        parts = PurePosixPath(name)
        if not parts.parts or parts.is_absolute() or ".." in parts.parts or "\\" in name:
            raise ConfigError(f"expected the name of a file inside the run's folder, found {name!r}. Use a plain name.")
        path = self.folder / parts
        make_folder(path.parent, f"the run {self.run!r}")
        return path

    def save_json(self, name: str, value: Any) -> Path:
        """Write `value` as `<name>.json`."""
        path = self.path(_with_ending(name, ".json"))
        write_json(path, value)
        self._saved.add(path)
        return path

    def save_figure(self, figure: Figure, name: str, show: bool = True) -> Path:
        """Write a figure as `<name>.png` (150 dots per inch), `.svg` or `.pdf`, margins cut.

        In a notebook it is shown too (unless `show` is false), with an alternative text for readers who do not see it.
        """
        path = self.path(_with_ending(name, f".{self.figures}"))
        with atomic_write(path) as file:
            figure.savefig(file, format=self.figures, dpi=150, bbox_inches="tight")
        ipython: Any = sys.modules.get("IPython")
        if ipython and ipython.get_ipython():
            if show:
                ipython.display.display(figure, metadata={"image/png": {"alt": alt_text(figure)}})
            plt.close(figure)  # else it would be shown again at the end of the cell
        return path

    def save_table(self, table: pd.DataFrame, name: str) -> Path:
        """Write a table as `<name>.csv`, or as parquet where the name ends so. An index 0, 1, 2, … is left out."""
        path = self.path(name if name.endswith(".parquet") else _with_ending(name, ".csv"))
        with_index = not isinstance(table.index, pd.RangeIndex) or table.index.name is not None
        with atomic_write(path) as file:
            if path.suffix == ".parquet":
                table.to_parquet(file, index=with_index)
            else:
                table.to_csv(file, index=with_index, lineterminator="\n")
        self._saved.add(path)
        return path

    def note_read(self, earlier: "RunFolder") -> None:
        """Remember that this notebook's results rest on those of `earlier` (`require` calls this)."""
        done = earlier.done()
        if done is not None:
            self._read[earlier.notebook] = done["finished"]

    def finish(
        self,
        parameters: Mapping[str, Any],
        seeds: Mapping[str, int] | None = None,
        data_fingerprint: str | None = None,
        **extra: Any,
    ) -> None:
        """Write provenance.json, then done.json: the notebook is completed. To be called in its last cell.

        Where tables or JSON were saved in a subfolder, others of their kind are those of an earlier execution and go.
        `parameters` is what `validate_parameters` returned; `data_fingerprint` is
        `Split.fingerprint` of the data; `extra` goes into the provenance.
        """
        declared = declared_parameters(notebook_path(self.notebook))
        names = {parameter.name for parameter in declared}
        if not names <= set(parameters) <= names | set(accepted_fields(declared)):
            raise ConfigError(
                f"expected the parameters of {self.notebook} ({', '.join(sorted(names))}), "
                f"found {', '.join(sorted(parameters)) or 'none'}. Give finish() what validate_parameters() returned."
            )
        self._remove_earlier()
        seconds = round(time.monotonic() - self._began, 3)
        self.save_json(
            "provenance",
            provenance(
                seeds,
                notebook=self.notebook,
                run=self.run,
                parameters=dict(parameters),
                data_fingerprint=data_fingerprint,
                wall_seconds=seconds,
                **extra,
            ),
        )
        done = {
            "notebook": self.notebook,
            "parameters": dict(parameters),
            "code": self._code,
            "data": _signatures(parameters),
            "read": self._read,
            "seconds": seconds,
            "finished": datetime.now(UTC).isoformat(),
        }
        self.save_json("done", done)

    def _remove_earlier(self) -> None:
        for folder, suffix in {(path.parent, path.suffix) for path in self._saved if path.parent != self.folder}:
            for path in set(folder.glob(f"*{suffix}")) - self._saved:
                path.unlink()

    def done(self) -> dict[str, Any] | None:
        """What done.json says; None where the notebook has not been completed in this run."""
        return _read_done(self.folder)

    def is_done_with(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the notebook was completed with these parameters, this rnlib, and inputs that are still valid.

        They are while the CLEVR set, weights and other files that its parameters name have not changed, and no earlier
        notebook that it read was run again since.
        """
        done = self.done()
        if done is None or done["parameters"] != dict(parameters) or done["code"] != self._code:
            return False
        if done.get("data") != _signatures(parameters):
            return False
        for name, finished in done["read"].items():
            earlier = _read_done(self.root / name)
            if earlier is None or earlier["finished"] != finished:
                return False
        return True


def _signatures(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes and change times of the files that a notebook's parameters name: its CLEVR set, weights, presets.

    Of pictures only those of arrays and folders, so pictures that come or go are seen. A relative path, which every
    process would look up elsewhere, counts as a name; `run_profile` leaves none that is there.
    """
    found: dict[str, Any] = {}
    for name in ("weights", "preset", "vocabulary", "init_question", "init_from", "init_conv"):
        values = parameters.get(name) or []
        for entry in [values] if isinstance(values, str) else values:
            path = Path(entry.partition("#")[0])
            if not path.is_absolute():
                if name != "weights":
                    continue
                path = outputs_root() / path  # the name of a run
            files = path.glob("**/weights/best.safetensors") if path.is_dir() else [path] if path.is_file() else []
            found |= {str(file): _signature(file) for file in sorted(files)}
    if parameters.get("clevr"):
        directory = ClevrDirectory.find(parameters["clevr"])
        for split, files_of_split in directory.files.items():
            pictures = [*files_of_split.arrays.values(), *([files_of_split.images] if files_of_split.images else [])]
            seen = {path.name: _signature(path) for path in pictures}
            found[split] = {**directory.signature(split), **seen}
    return found


def _signature(path: Path) -> list[int]:
    return [path.stat().st_size, path.stat().st_mtime_ns]


class _Done(msgspec.Struct):
    """What done.json says."""

    notebook: str
    parameters: dict[str, Any]
    code: str
    read: dict[str, str]
    seconds: float
    finished: str
    data: dict[str, Any] | None = None


def _read_done(folder: Path) -> dict[str, Any] | None:
    path = folder / "done.json"
    return msgspec.to_builtins(read_json(path, _Done)) if os.path.lexists(path) else None


def _with_ending(name: str, ending: str) -> str:
    return name if name.endswith(ending) else name + ending
