"""A whole run: the notebooks of a profile, one after another, each only if it is not done yet.

`outputs/<run>/plan.json` holds the parameters of every notebook of the run, so that
`require`, inside a later notebook's kernel, executes a missing earlier one with the same.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnlib.clevr.layout import ClevrDirectory
from rnlib.errors import ConfigError, RnlibError
from rnlib.files import read_json, sole_user, write_json
from rnlib.model.pretrained import released
from rnlib.provenance import provenance
from rnlib.runs.folder import RunFolder
from rnlib.runs.papermill_runner import execute, executed_notebook, export_html
from rnlib.runs.parameters import accepted_fields, check_parameters, declared_parameters
from rnlib.runs.paths import check_run_name, notebook_name, notebook_names, notebook_path, outputs_root, project_root
from rnlib.runs.profiles import profile_parameters, profiles

# Parameters that may name a file or a folder, and when they do: a weights file may also be a released name.
PATHS: Mapping[str, Callable[[str], bool]] = {
    "clevr": os.path.exists,
    "weights": lambda path: os.path.exists(path) and path not in released(),
    **dict.fromkeys(("preset", "vocabulary", "init_question", "init_from", "init_conv"), os.path.isfile),
    "cache": bool,
}


def run_profile(
    profile: str,
    *,
    clevr: Path | None = None,
    only: Sequence[str] | None = None,
    run: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Run the notebooks of a profile into `outputs/<run>/`, and return that folder.

    `clevr`: a CLEVR directory, given to every notebook that has a parameter of that name.
    `only`: these notebooks (full names or the starts of them, "04"), else all.
    `run`: the run's name, else the profile's. `parameters`: values that override the
    profile's in every notebook that takes them. Notebooks done with the same code,
    parameters and inputs are left out; with `force` their folders are emptied and they
    begin anew.

    All parameters of all notebooks are checked before the first one starts. Raises
    ConfigError or DataError for wrong input, RnlibError where a notebook fails; what is
    done stays, and the same call continues.
    """
    run = check_run_name(profile if run is None else run)
    chosen = [notebook_name(name) for name in only] if only else notebook_names()
    plan = _plan(profile, run, clevr, dict(parameters or {}), chosen)
    root = outputs_root() / run
    with sole_user(root, f"run {run!r}"):
        write_json(root / "plan.json", plan)
        for notebook in sorted(set(chosen)):
            _run_notebook(run, notebook, plan[notebook], force)
        states = [state for state in (RunFolder(run, name).done() for name in notebook_names()) if state]
        completed = [{key: state[key] for key in ("notebook", "parameters", "seconds", "finished")} for state in states]
        write_json(root / "provenance.json", provenance(run=run, profile=profile, notebooks=completed))
    return root


def _run_notebook(run: str, notebook: str, parameters: dict[str, Any], force: bool) -> None:
    """Execute a notebook of a run, unless it is done."""
    folder = RunFolder(run, notebook)
    executed = executed_notebook(folder)
    if folder.is_done_with(parameters) and not force:
        # A run that was interrupted between a notebook's end and its HTML page catches up here.
        if executed.exists() and not executed.with_suffix(".html").exists():
            export_html(executed)
        print(f"{notebook}: done before, left as it is", flush=True)
        return
    print(f"{notebook}: running", flush=True)
    began = time.monotonic()
    if force:
        shutil.rmtree(folder.folder, ignore_errors=True)
    execute(notebook, run, parameters)
    print(f"{notebook}: done in {time.monotonic() - began:.0f} s", flush=True)


def require(run: str | RunFolder, notebook: str) -> RunFolder:
    """Inside a later notebook: the folder of an earlier notebook of this run, executed first if it is not done.

    Given the caller's own RunFolder instead of the run's name, it also remembers that the
    caller's results rest on the earlier ones: `run_profile` repeats the caller after
    them. The parameters are the run's plan, else those of a profile named like the run,
    else the defaults. Raises RnlibError where the earlier notebook fails.
    """
    caller = run if isinstance(run, RunFolder) else None
    earlier = RunFolder(caller.run if caller else str(run), notebook)
    if caller is not None and earlier.notebook >= caller.notebook:
        raise ConfigError(f"{caller.notebook} can require only notebooks that come before it, not {earlier.notebook}.")
    if earlier.done() is None:
        print(f"{earlier.notebook} is not done in the run {earlier.run!r}: executing it first", flush=True)
        _execute_in_another_process(earlier)
    if caller is not None:
        caller.note_read(earlier)
    return earlier


def planned_parameters(run: str, notebook: str) -> dict[str, Any]:
    """The parameters that `require` gives to a notebook: of the run's plan, a profile of that name, or none."""
    plan = outputs_root() / check_run_name(run) / "plan.json"
    if os.path.lexists(plan):
        values = read_json(plan, dict[str, dict[str, Any]]).get(notebook_name(notebook))
        if values is not None:
            return values
    return profile_parameters(run, notebook) if run in profiles() else {}


def _plan(
    profile: str, run: str, clevr: Path | None, parameters: dict[str, Any], chosen: list[str]
) -> dict[str, dict[str, Any]]:
    """Checked values of all parameters of all notebooks."""
    if not notebook_names():
        raise ConfigError(f"expected notebooks named like 01_name.ipynb in {project_root() / 'notebooks'}, found none.")
    if clevr is not None:
        parameters["clevr"] = str(ClevrDirectory.find(clevr).root)
    if "run" in parameters:
        raise ConfigError(f"expected the name of the run as --run NAME, found run={parameters['run']} as a parameter.")
    declared = {name: declared_parameters(notebook_path(name)) for name in notebook_names()}
    names = {name: {one.name for one in declared[name]} | set(accepted_fields(declared[name])) for name in declared}
    for name in parameters:
        if not any(name in names[notebook] for notebook in chosen):
            every = [one for notebook in chosen for one in declared[notebook]]
            check_parameters(every, {name: parameters[name]})  # raises, with the nearest name
    plan = {}
    for notebook in declared:
        if "run" not in names[notebook]:
            raise ConfigError(f"expected {notebook} to declare the parameter 'run: str', found none. Add it.")
        own = {name: value for name, value in parameters.items() if name in names[notebook]}
        given = {**_absolute({**profile_parameters(profile, notebook), **own}), "run": run}
        try:
            plan[notebook] = check_parameters(declared[notebook], given)
        except ConfigError as error:
            raise ConfigError(f"{notebook}, profile {profile!r}: {error}") from None
        if notebook in chosen and plan[notebook].get("clevr"):
            ClevrDirectory.find(plan[notebook]["clevr"])
    return plan


def _absolute(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters whose files and folders are named for the caller's folder, named for any: a kernel has another."""

    def there(value: Any, found: Callable[[str], bool]) -> Any:
        if not isinstance(value, str):
            return [there(one, found) for one in value] if isinstance(value, list | tuple) else value
        path = os.path.expanduser(value)
        file = path.partition("#")[0]
        return os.path.abspath(path) if value and found(file) else value

    return {name: there(value, PATHS[name]) if name in PATHS else value for name, value in parameters.items()}


def _execute_in_another_process(folder: RunFolder) -> None:
    """Execute a notebook by `python -m rnlib.runs`, passing on what it prints.

    A process of its own, for a kernel already runs an event loop and papermill wants to
    run one itself.
    """
    command = [sys.executable, "-m", "rnlib.runs", folder.run, folder.notebook]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        last = ""
        for line in child.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    if child.returncode != 0:
        raise RnlibError(f"the earlier notebook {folder.notebook}, which this one needs, failed: {last}")
