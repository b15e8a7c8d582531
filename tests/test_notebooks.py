"""The notebooks keep their promises to readers: form, stored outputs, checked cells; and they run on real files."""

import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from rnlib.errors import DataError
from rnlib.files import read_json
from rnlib.model import preset_of
from rnlib.runs import notebook_names, profiles, run_profile
from rnlib.runs.parameters import check_parameters, declared_parameters
from rnlib.runs.paths import notebook_path
from rnlib.runs.profiles import profile_parameters
from rnlib.training import FIELDS, recipe_of

NAMES = notebook_names()
CHECKED = "nbval-check-output"  # the tag of cells whose stored output must come out again
ROOT = Path(__file__).resolve().parents[1]


def cells(name: str, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(notebook_path(name), as_version=4).cells if cell.cell_type == kind]


def code_lines(cell: nbformat.NotebookNode) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())


def test_the_seven_notebooks_are_there() -> None:
    assert NAMES == [
        "01_data_exploration",
        "02_train_state_descriptions",
        "03_train_from_pixels",
        "04_evaluation",
        "05_confusion_analysis",
        "06_retrieval",
        "07_what_if",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_mostly_prose(name: str) -> None:
    code, prose = cells(name, "code"), cells(name, "markdown")
    assert 20 <= len(code) + len(prose) <= 45
    assert len(prose) >= 0.4 * (len(code) + len(prose))
    assert statistics.median(map(code_lines, code)) <= 6
    assert max(map(code_lines, code)) <= 25


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_defines_no_class_and_hardly_a_function(name: str) -> None:
    trees = [ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M)) for cell in cells(name, "code")]
    defined = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert len(defined) <= 1 and not any(isinstance(node, ast.ClassDef) for node in defined)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_at_least_five_checked_cells_with_outputs(name: str) -> None:
    checked = [cell for cell in cells(name, "code") if CHECKED in cell.metadata.get("tags", [])]
    assert len(checked) >= 5
    assert all(cell.outputs for cell in checked)


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_whole_and_clean(name: str) -> None:
    code = cells(name, "code")
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    text = json.dumps([output for output in outputs if "image/png" not in output.get("data", {})])
    private = ("/home/", "/Users/", str(Path.home()), tempfile.gettempdir(), str(ROOT))
    assert not [path for path in private if path in text]
    assert notebook_path(name).stat().st_size < 3_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_fits_the_parameters_of_the_notebook(name: str) -> None:
    declared = declared_parameters(notebook_path(name))
    assert {"run", "clevr", "cache"} <= {parameter.name for parameter in declared}
    for profile in profiles():
        given = profile_parameters(profile, name)
        check_parameters(declared, given)
        if (ROOT / "params" / profile / f"{name}.yaml").is_file():
            assert given["run"] == profile
    assert {parameter.name: parameter.default for parameter in declared}["run"] == "demo"


@pytest.mark.parametrize("profile", ["demo", "synthetic", "gpu", "clevr", "mesnico-recipe"])
@pytest.mark.parametrize("name", ["02_train_state_descriptions", "03_train_from_pixels"])
def test_the_presets_and_recipes_of_the_profiles_are_valid(profile: str, name: str) -> None:
    values = check_parameters(declared_parameters(notebook_path(name)), profile_parameters(profile, name))
    preset = preset_of(values)
    assert preset.objects == ("state" if name.startswith("02") else "pixels")
    assert recipe_of(values).epochs == values["epochs"]


@pytest.mark.parametrize("profile", ["clevr", "mesnico-recipe"])
@pytest.mark.parametrize("only", [None, *NAMES])
def test_a_profile_for_the_real_data_asks_for_it(profile: str, only: str | None) -> None:
    """Whichever of its notebooks, those without a file too: none may fall back on a synthetic set."""
    with pytest.raises(DataError, match=r"give --clevr DIR"):
        run_profile(profile, only=[only] if only else None)


def test_a_profile_has_no_file_that_sets_nothing() -> None:
    for profile in profiles():
        files = sorted((ROOT / "params" / profile).glob("*.yaml"))
        idle = [path for path in files if set(profile_parameters(profile, path.stem)) <= {"run", "clevr"}]
        assert len(idle) == (1 if profile == "demo" else 0), idle  # git keeps no empty folder


@pytest.mark.parametrize("name", ["02_train_state_descriptions", "03_train_from_pixels"])
def test_no_variable_of_a_training_notebook_is_taken_for_a_field(name: str) -> None:
    """The cell that validates takes every variable with a field's name for one; so it can be run again."""
    declared = {parameter.name for parameter in declared_parameters(notebook_path(name))}
    nodes = [node for cell in cells(name, "code") for node in ast.walk(ast.parse(cell.source))]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    imports = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    names = stored | {alias.asname or alias.name for alias in imports}
    assert {"parameters", "recipe", "torch"} <= names
    assert not names & set(FIELDS) - declared


def test_the_profiles_are_there() -> None:
    assert {"demo", "synthetic", "gpu", "clevr", "mesnico-recipe"} == set(profiles())


def nbval(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600"]
    command += ["--nbval-sanitize-with", str(ROOT / "tests/nbval_sanitize.cfg"), "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "RNLIB_ROOT": str(folder), "RNLIB_OUTPUTS": str(folder / "outputs")}
    target = folder / "notebooks" / f"{name}.ipynb"
    return subprocess.run(
        [*command, str(target)], capture_output=True, text=True, env=environment, cwd=folder, check=False
    )


@pytest.mark.slow
def test_a_tampered_stored_output_fails_nbval(tmp_path: Path) -> None:
    """Up to its first checked number the notebook passes as committed; with one digit of that changed it does not."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copytree(ROOT / "params", tmp_path / "params")
    name = "01_data_exploration"
    file = tmp_path / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(file, as_version=4)
    place, tamper_with = next(
        (place, output)
        for place, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and CHECKED in cell.metadata.get("tags", [])
        for output in cell.outputs
        if re.search(r"\d", output_text(output))
    )
    del notebook.cells[place + 1 :]
    nbformat.write(notebook, file)
    untouched = nbval(tmp_path, name)
    assert untouched.returncode == 0, untouched.stdout[-3000:]
    change_a_digit(tamper_with)
    nbformat.write(notebook, file)
    tampered = nbval(tmp_path, name)
    assert tampered.returncode == 1 and "1 failed" in tampered.stdout, tampered.stdout[-3000:]


def output_text(output: nbformat.NotebookNode) -> str:
    return output.text if output.output_type == "stream" else output.data["text/plain"]


def change_a_digit(output: nbformat.NotebookNode) -> None:
    holder, key = (output, "text") if output.output_type == "stream" else (output.data, "text/plain")
    holder[key] = re.sub(r"\d", lambda match: str((int(match[0]) + 1) % 10), holder[key], count=1)
    output.get("data", {}).pop("text/html", None)


@pytest.mark.slow
def test_profile_clevr_runs_on_a_directory_in_v1_form(
    tiny_clevr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of profile clevr by papermill, on a small directory in exact v1.0 form; only its sizes are reduced."""
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path))
    monkeypatch.delenv("RNLIB_ROOT", raising=False)
    trained: dict[str, Any] = {"epochs": 1}
    trained["vocabulary"] = "clevr-v1.0"  # 24 pictures' questions do not have all answers
    trained |= {"g_layers": [8, 8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}
    states = {
        **trained,
        "train_questions": 60,
        "curriculum": [{"objects": 10, "steps": 20, "epochs": 1}],
        "held_out": 4,
    }  # of 24 pictures
    retrieval = {"database": 12, "judged": 6, "neighbours": 3, "recall_at": [2, 5]}
    retrieval |= {"attribute_epochs": 1, "attribute_share": 1.0}
    run_profile("clevr", clevr=tiny_clevr, run="v1", parameters=states, only=["02"])
    others = [name for name in NAMES if not name.startswith("02")]
    run_profile("clevr", clevr=tiny_clevr, run="v1", parameters={**trained, **retrieval}, only=others)
    run = tmp_path / "v1"
    for name in NAMES:
        assert (run / f"{name}.ipynb").is_file() and (run / f"{name}.html").stat().st_size > 100_000
        assert read_json(run / name / "done.json")["parameters"]["clevr"] == str(tiny_clevr)
    metrics = read_json(run / "04_evaluation" / "metrics.json")
    assert metrics["n"] == 120 and set(metrics["by_answer_class"]["exist"]) == {"n", "accuracy", "invalid"}


@pytest.mark.slow
def test_notebook_04_gives_the_seeds_accuracies(
    clevr_official: Path, seed_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain papermill with a file of parameters: 918 and 945 of 1,000 official questions, to within two answers."""
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path))
    weights = [str(seed_weights / name) for name in ("original_fp_epoch_493.pth", "ir_fp_epoch_312.pth")]
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(json.dumps({"run": "seed", "clevr": str(clevr_official), "weights": weights}))
    command = [sys.executable, "-m", "papermill", "--cwd", str(ROOT / "notebooks"), "-f", str(parameters)]
    result = subprocess.run(
        [*command, str(notebook_path("04_evaluation")), str(tmp_path / "04.ipynb"), "--no-progress-bar"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    files = (tmp_path / "seed/04_evaluation/metrics").glob("*.json")
    found = {path.stem: read_json(path)["accuracy"] for path in files}
    assert len(found) == 2
    original, ir = (next(value for name, value in found.items() if name.startswith(start)) for start in ("orig", "ir"))
    assert abs(1000 * original - 918) <= 2 and abs(1000 * ir - 945) <= 2
