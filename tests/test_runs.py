"""Headless runs: notebooks in order, all checked before the first starts, failing clearly, continuing afterwards."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import papermill
import pytest
from clevr_files import ClevrFiles

from rnlib.clevr.split import open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError, DataError, RnlibError, TimeUp
from rnlib.files import read_json
from rnlib.model.preset import load_preset
from rnlib.runs import RunFolder, paths, pipeline, require, run_profile, train_in, training_of, weights_files
from rnlib.runs.papermill_runner import execute, export_html
from rnlib.runs.stored_outputs import store_outputs, strip_volatile
from rnlib.training import Options, Saving
from rnlib.training.recipe import Recipe

RUN_LINE = 'run: str = "smoke"  # name of the run\n'
SETTINGS = RUN_LINE + "rate: float = 1.0  # learning rate\n"


class Project:
    """A project of tiny notebooks in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "notebooks").mkdir()
        (root / "params" / "demo").mkdir(parents=True)

    def notebook(self, name: str, *cells: str, parameters: str = SETTINGS, finish: bool = True) -> Path:
        code = [
            parameters,
            "from rnlib.runs import RunFolder, require, validate_parameters\n"
            f'parameters = validate_parameters("{name}", globals())\n'
            f'folder = RunFolder.open(run, "{name}")',
            *cells,
            *(["folder.finish(parameters)"] if finish else []),
        ]
        made = [nbformat.v4.new_markdown_cell("# Title"), *map(nbformat.v4.new_code_cell, code)]
        made[1].metadata["tags"] = ["parameters"]
        for number, cell in enumerate(made):
            cell.id = f"cell-{number}"
        path = self.root / "notebooks" / f"{name}.ipynb"
        kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
        return path

    def output(self, *parts: str) -> Path:
        return self.root.joinpath("outputs", *parts)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("RNLIB_ROOT", str(tmp_path))
    monkeypatch.delenv("RNLIB_OUTPUTS", raising=False)
    return Project(tmp_path)


def cells_of(path: Path) -> list[Any]:
    return nbformat.read(path, as_version=4).cells


# The folder of a notebook


def test_a_folder_takes_figures_tables_and_json(project: Project) -> None:
    project.notebook("01_first")
    folder = RunFolder.open("demo", "01_first")
    assert folder.root == project.output("demo")
    assert folder.path("weights/best").parent.is_dir()
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    for kind, begins in {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}.items():
        picture = RunFolder.open("demo", "01_first", kind).save_figure(figure, "curve")
        assert picture == project.output("demo", "01_first", f"curve.{kind}")
        assert picture.read_bytes().startswith(begins)
    plt.close(figure)
    with pytest.raises(ConfigError, match="expected as figures one of png, svg, pdf; found 'gif'"):
        RunFolder.open("demo", "01_first", "gif")
    table = pd.DataFrame({"type": ["count", "exist"], "accuracy": [0.5, 0.25]})
    assert folder.save_table(table, "types").read_text() == "type,accuracy\ncount,0.5\nexist,0.25\n"
    assert folder.save_table(table.set_index("type"), "types.csv").read_text().startswith("type,accuracy\ncount")
    pd.testing.assert_frame_equal(pd.read_parquet(folder.save_table(table, "types.parquet")), table)
    assert read_json(folder.save_json("metrics", {"accuracy": 0.5})) == {"accuracy": 0.5}


def test_a_shown_figure_has_an_alternative_text(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a notebook save_figure shows the figure once, with its titles and labels in words; the page has them."""
    project.notebook("01_first")
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a kernel")
    monkeypatch.setattr("IPython.display.display", lambda figure, metadata: shown.append(metadata))
    figure, axes = plt.subplots()
    axes.set(title="a & b", xlabel="step", ylabel="loss")
    figure.suptitle("Two things")
    RunFolder.open("demo", "01_first").save_figure(figure, "curve")
    assert shown == [{"image/png": {"alt": "Figure. Two things; a & b: loss by step"}}]
    assert not plt.fignum_exists(figure.number)
    output = nbformat.v4.new_output("display_data", {"image/png": "aGk="}, metadata=shown[0])
    plain = nbformat.v4.new_output("display_data", {"image/png": "aGk="})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[plain, output])])
    nbformat.write(notebook, tmp_path / "01_first.ipynb")
    page = export_html(tmp_path / "01_first.ipynb").read_text()
    assert re.findall(r'alt="([^"]*)" class="[^"]*" src="data:image/png;base64,aGk="', page) == [
        "No description has been provided for this image",
        "Figure. Two things; a &amp; b: loss by step",
    ]


def test_outputs_can_be_redirected(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project.notebook("01_first")
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path / "elsewhere"))
    assert RunFolder.open("demo", "01_first").folder == tmp_path / "elsewhere" / "demo" / "01_first"


@pytest.mark.parametrize("run", ["", ".", "..", "a/b", "../x", "a b", "ä", "a\n"])
def test_a_run_name_that_is_no_plain_name_is_refused(project: Project, run: str) -> None:
    project.notebook("01_first")
    with pytest.raises(ConfigError, match="expected the name of a run"):
        RunFolder.open(run, "01_first")


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "a/../../b", "..\\x"])
def test_a_file_outside_the_folder_is_refused(project: Project, name: str) -> None:
    project.notebook("01_first")
    with pytest.raises(ConfigError, match="inside the run's folder"):
        RunFolder.open("demo", "01_first").path(name)


def test_finish_marks_the_notebook_done_and_opening_it_again_undoes_that(project: Project) -> None:
    project.notebook("01_first")
    parameters = {"run": "demo", "rate": 0.1}
    folder = RunFolder.open("demo", "01_first")
    assert folder.done() is None
    assert not folder.is_done_with(parameters)
    folder.finish(parameters, {"model": 1}, "abc", questions=7)
    assert folder.is_done_with(parameters)
    assert not folder.is_done_with({**parameters, "rate": 0.2})
    made = read_json(folder.path("provenance.json"))
    assert made["parameters"] == parameters
    assert made["seeds"] == {"model": 1}
    assert made["data_fingerprint"] == "abc"
    assert made["questions"] == 7
    assert made["wall_seconds"] >= 0
    assert not RunFolder.open("demo", "01_first").is_done_with(parameters)


def test_finish_wants_all_parameters(project: Project) -> None:
    project.notebook("01_first")
    with pytest.raises(ConfigError, match=r"expected the parameters of 01_first \(rate, run\), found run"):
        RunFolder.open("demo", "01_first").finish({"run": "demo"})


def test_done_depends_on_code_and_on_what_was_read_but_not_on_prose_and_outputs(project: Project) -> None:
    path = project.notebook("01_first")
    project.notebook("02_second")
    parameters = {"run": "demo", "rate": 0.1}
    RunFolder.open("demo", "01_first").finish(parameters)
    second = RunFolder.open("demo", "02_second")
    require(second, "01_first")
    second.finish(parameters)
    assert RunFolder("demo", "02_second").is_done_with(parameters)

    content = nbformat.read(path, as_version=4)
    content.cells[0].source = "# Better title"
    content.cells[1].execution_count = 5
    nbformat.write(content, path)
    assert RunFolder("demo", "01_first").is_done_with(parameters)
    content.cells[2].source += "\n1 + 1"
    nbformat.write(content, path)
    assert not RunFolder("demo", "01_first").is_done_with(parameters)

    RunFolder.open("demo", "01_first").finish(parameters)  # run again: what rests on it is not valid any more
    assert RunFolder("demo", "01_first").is_done_with(parameters)
    assert not RunFolder("demo", "02_second").is_done_with(parameters)


def test_done_depends_on_rnlib_and_on_the_data(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    package = tmp_path_factory.mktemp("package")
    (package / "model.py").write_text("x = 1\n")
    monkeypatch.setattr(paths, "PACKAGE", package)
    files = ClevrFiles(tmp_path_factory.mktemp("clevr"))
    project.notebook("01_first", parameters=RUN_LINE + 'clevr: str = ""  # data\n')
    parameters = {"run": "demo", "clevr": str(files.root)}
    RunFolder.open("demo", "01_first").finish(parameters)
    assert RunFolder("demo", "01_first").is_done_with(parameters)
    (package / "model.py").write_text("x = 2\n")
    assert not RunFolder("demo", "01_first").is_done_with(parameters)
    (package / "model.py").write_text("x = 1\n")
    assert RunFolder("demo", "01_first").is_done_with(parameters)
    questions = next((files.root / "questions").iterdir())
    questions.write_text(questions.read_text() + " ")
    assert not RunFolder("demo", "01_first").is_done_with(parameters)


def test_done_depends_on_pictures_and_on_files_that_parameters_name(project: Project, tmp_path: Path) -> None:
    files = ClevrFiles(tmp_path / "set")
    project.notebook("01_first", parameters=RUN_LINE + 'clevr: str = ""  # data\nweights: list[str] = []  # networks\n')
    run, single = tmp_path / "trained", tmp_path / "one.safetensors"
    best = run / "weights" / "best.safetensors"
    best.parent.mkdir(parents=True)
    parameters = {"run": "demo", "clevr": str(files.root), "weights": [str(run), str(single), "medium-sd"]}
    for path in (best, single, next((files.root / "images" / "val").iterdir()).with_name("CLEVR_val_000009.png")):
        best.write_bytes(b"1")
        single.write_bytes(b"1")
        RunFolder.open("demo", "01_first").finish(parameters)
        assert RunFolder("demo", "01_first").is_done_with(parameters)
        path.write_bytes(b"22")
        assert not RunFolder("demo", "01_first").is_done_with(parameters)


def test_done_does_not_depend_on_the_folder_a_process_is_in(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = 'weights: list[str] = []  # networks\npreset: str = "small-sd"  # network\n'
    project.notebook("01_first", parameters=RUN_LINE + lines)
    parameters = {"run": "small-sd", "weights": ["medium-sd"], "preset": "small-sd"}
    RunFolder.open("small-sd", "01_first").finish(parameters)
    for folder in (tmp_path / "here" / "medium-sd", project.output("small-sd", "03_later", "training")):
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "best.safetensors").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert RunFolder("small-sd", "01_first").is_done_with(parameters)


def test_tables_of_networks_that_an_earlier_execution_had_are_removed(project: Project) -> None:
    project.notebook("01_first")
    for name in ("a", "b"):
        folder = RunFolder.open("demo", "01_first")
        folder.save_table(pd.DataFrame({"x": [1]}), f"predictions/{name}.parquet")
        folder.save_json("metrics", {})
        folder.path("note.json").write_text("{}")
        folder.finish({"run": "demo", "rate": 0.1})
    assert [path.name for path in folder.path("predictions/b.parquet").parent.iterdir()] == ["b.parquet"]
    assert folder.path("note.json").exists()


def test_files_are_named_for_the_callers_folder(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = 'clevr: str = ""  # data\nweights: list[str] = []  # networks\npreset: str = "a"  # network\n'
    project.notebook("01_first", parameters=RUN_LINE + line + 'cache: str = ""  # where\n')
    (project.root / "params" / "demo").mkdir(parents=True, exist_ok=True)
    ClevrFiles(tmp_path / "here" / "set")
    (tmp_path / "here" / "own.safetensors").touch()
    for name in ("medium-sd", "detect-fp"):
        (tmp_path / "here" / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = {
        "clevr": "set",
        "weights": ["own.safetensors", "some-run", "detect-fp"],
        "preset": "medium-sd",
        "cache": "new",
    }
    plan = pipeline._plan("demo", "demo", None, given, ["01_first"])["01_first"]
    here = tmp_path / "here"
    assert plan["clevr"] == str(here / "set") and plan["cache"] == str(here / "new")
    assert list(plan["weights"]) == [str(here / "own.safetensors"), "some-run", "detect-fp"]
    assert plan["preset"] == "medium-sd"


def test_only_earlier_notebooks_can_be_required(project: Project) -> None:
    project.notebook("01_first")
    project.notebook("02_second")
    for later in ("01_first", "02_second"):
        with pytest.raises(ConfigError, match="only notebooks that come before it"):
            require(RunFolder.open("demo", "01_first"), later)


# Whole runs


@pytest.mark.slow
def test_a_profile_runs_all_notebooks_and_a_second_time_none(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernel must be this Python, whatever the user's own "python3" kernel is; and prints must come through.
    other = project.root / "jupyter" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    other.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "Another", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(project.root / "jupyter"))
    project.notebook("01_first", "import sys\nprint('python is', sys.executable)", "folder.save_json('rate', rate);")
    project.notebook(
        "02_second",
        "earlier = require(folder, '01_first')",
        "import json\nprint('rate was', json.loads(earlier.path('rate.json').read_text()), clevr)",
        parameters=RUN_LINE + "clevr: str | None = None  # CLEVR directory\n",
    )
    (project.root / "params" / "demo" / "01_first.yaml").write_text("run: demo\nrate: 1e-4\n")  # a string, in YAML
    data = project.root / "CLEVR"
    ClevrFiles(data)

    root = run_profile("demo", clevr=data)
    printed = capfd.readouterr().out
    assert root == project.output("demo")
    assert f"python is {sys.executable}\n" in printed
    assert f"rate was 0.0001 {data}\n" in printed
    assert "01_first: done in " in printed
    for name in ("01_first", "02_second"):
        assert "</html>" in (root / f"{name}.html").read_text()
        assert (root / name / "done.json").exists()
    injected = [cell for cell in cells_of(root / "01_first.ipynb") if "injected-parameters" in cell.metadata.tags]
    assert injected[0].source == '# Parameters\nrun = "demo"\nrate = 0.0001\n'
    made = read_json(root / "provenance.json")
    assert [entry["notebook"] for entry in made["notebooks"]] == ["01_first", "02_second"]
    assert made["notebooks"][1]["parameters"] == {"run": "demo", "clevr": "…/CLEVR"}
    for file in root.rglob("provenance.json"):
        assert str(project.root) not in file.read_text()
        assert str(Path.home()) + "/" not in file.read_text()

    before = (root / "01_first.ipynb").stat().st_mtime_ns
    (root / "02_second.html").unlink()  # as if interrupted just before the export
    run_profile("demo", clevr=data)
    printed = capfd.readouterr().out
    assert printed.splitlines() == [f"{name}: done before, left as it is" for name in ("01_first", "02_second")]
    assert (root / "01_first.ipynb").stat().st_mtime_ns == before
    assert (root / "02_second.html").exists()


@pytest.mark.slow
def test_a_failing_cell_leaves_everything_and_the_next_run_continues(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    switch = project.root / "broken"
    switch.touch()
    project.notebook("01_first")
    project.notebook(
        "02_second",
        "folder.save_json('partial', 1);",
        f"from pathlib import Path\nif Path({str(switch)!r}).exists():\n    raise ValueError('no such\\nluck')",
    )
    project.notebook("03_third")
    with pytest.raises(RnlibError, match=r"02_second failed in cell In \[5\]: ValueError: no such luck") as error:
        run_profile("demo")
    root = project.output("demo")
    assert str(root / "02_second.ipynb") in str(error.value)
    assert (root / "01_first" / "done.json").exists()
    assert (root / "02_second" / "partial.json").exists()
    assert not (root / "02_second" / "done.json").exists()
    assert not (root / "03_third.ipynb").exists()
    outputs = [output for cell in cells_of(root / "02_second.ipynb") for output in cell.get("outputs", [])]
    assert [output.ename for output in outputs if output.output_type == "error"] == ["ValueError"]
    assert "no such" in (root / "02_second.html").read_text()

    switch.unlink()
    capfd.readouterr()
    run_profile("demo", only=["02", "01"])
    printed = capfd.readouterr().out
    assert "01_first: done before" in printed
    assert "02_second: done in " in printed
    assert "03_third" not in printed


def test_a_dead_kernel_is_reported_and_shown_in_its_cell(project: Project) -> None:
    project.notebook("01_first", "1 + 1", "import os\nos.kill(os.getpid(), 9)", "2 + 2")
    with pytest.raises(RnlibError, match=r"01_first failed in cell In \[5\]: the kernel died"):
        run_profile("demo")
    executed = project.output("demo", "01_first.ipynb")
    [dead] = [cell for cell in cells_of(executed) if "os.kill" in cell.source]
    assert dead.outputs[-1].ename == "DeadKernelError"
    assert dead.metadata.papermill.status == "failed"
    assert "The kernel died" in executed.with_suffix(".html").read_text()


def test_a_notebook_that_never_finishes_is_refused(project: Project) -> None:
    project.notebook("01_first", finish=False)
    with pytest.raises(ConfigError, match=r"01_first ran to its end without calling finish\(\)"):
        execute("01_first", "demo", {})


@pytest.mark.slow
def test_require_executes_the_missing_notebook_as_the_run_planned_it(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.notebook("01_first", "print('training at', rate)", "folder.save_json('rate', rate);")
    project.notebook("02_second", "earlier = require(run, '01_first')\nprint(earlier.path('rate.json').read_text())")
    run_profile("demo", only=["02_second"], parameters={"rate": "0.25"})
    printed = capfd.readouterr().out
    assert "01_first is not done in the run 'demo': executing it first\ntraining at 0.25\n" in printed
    assert read_json(project.output("demo", "01_first", "rate.json")) == 0.25
    assert project.output("demo", "01_first.html").exists()


def test_require_reports_why_the_earlier_notebook_failed(project: Project) -> None:
    project.notebook("01_first", parameters=RUN_LINE)
    (project.root / "params" / "demo" / "01_first.yaml").write_text("rate: 1\n")
    with pytest.raises(RnlibError, match=r"01_first, which this one needs, failed: .* found 'rate'"):
        require("demo", "01_first")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"parameters": {"rat": 1}}, ConfigError, "found 'rat'. Did you mean 'rate'?"),
        ({"parameters": {"rate": "fast"}}, ConfigError, "parameter 'rate': expected float"),
        ({"only": ["07"]}, ConfigError, "found '07', which fits none"),
        ({"run": "a/b"}, ConfigError, "expected the name of a run"),
        ({"clevr": Path("no-such-folder")}, DataError, "expected a CLEVR directory"),
        ({"clevr": Path(".")}, DataError, "is not a CLEVR directory"),
        ({"parameters": {"clevr": "x"}}, ConfigError, "found 'clevr'"),  # no notebook has such a parameter
    ],
)
def test_wrong_input_is_refused_before_anything_runs(
    project: Project, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    project.notebook("01_first", parameters=RUN_LINE)
    project.notebook("02_second")
    with pytest.raises(error) as raised:
        run_profile("demo", **arguments)
    assert text in str(raised.value)
    assert not project.output().exists()


def test_a_fault_in_a_later_notebook_s_profile_is_found_before_the_first_runs(project: Project) -> None:
    project.notebook("01_first")
    project.notebook("02_second")
    (project.root / "params" / "demo" / "02_second.yaml").write_text("rate: slow\n")
    with pytest.raises(ConfigError, match="02_second, profile 'demo': parameter 'rate': expected float"):
        run_profile("demo")
    assert not project.output().exists()


def test_every_notebook_must_declare_the_run(project: Project) -> None:
    project.notebook("01_first", parameters="rate: float = 1.0  # learning rate\n")
    with pytest.raises(ConfigError, match="expected 01_first to declare the parameter 'run: str'"):
        run_profile("demo")


@pytest.mark.slow
def test_plain_papermill_works_and_its_undeclared_names_are_refused(project: Project) -> None:
    source = project.notebook("01_first", "print(type(rate), rate)")
    (project.root / "rate.yaml").write_text("rate: 1e-4\n")
    project.output("demo").mkdir(parents=True)
    executed = project.output("demo", "01_first.ipynb")

    arguments = ["--cwd", "notebooks", "-f", "rate.yaml", "-p", "run", "demo", str(source), str(executed)]
    command = [sys.executable, "-m", "papermill", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project.root)
    assert done.returncode == 0, done.stderr
    assert "<class 'float'> 0.0001" in executed.read_text()
    assert RunFolder("demo", "01_first").is_done_with({"run": "demo", "rate": 1e-4})

    # In the caller's folder, which must not matter.
    with pytest.raises(papermill.PapermillExecutionError, match=r"found 'rat'. Did you mean 'rate'\?"):
        papermill.execute_notebook(source, executed, parameters={"rat": 1}, progress_bar=False)


TRAINS = RUN_LINE + 'preset: str = "small-sd"  # architecture\nepochs: int = 2  # passes\n'
SHOW = "print({name: parameters[name] for name in ('epochs', 'ema', 'g_layers', 'lr_schedule') if name in parameters})"


@pytest.mark.slow
def test_a_training_notebook_takes_fields_without_a_line(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.notebook("01_first", SHOW, parameters=TRAINS)
    project.notebook("02_second")
    (project.root / "params" / "demo" / "01_first.yaml").write_text("lr_schedule: cosine\ng_layers: [8, 8]\n")
    fields = {"ema": "1e-1", "g_layers": (4, 4)}
    root = run_profile("demo", parameters=fields)
    printed = capfd.readouterr()
    shown = {"epochs": 2, "ema": 0.1, "g_layers": [4, 4], "lr_schedule": "cosine"}
    assert f"{shown}\n" in printed.out
    assert "unknown parameter" not in (printed.out + printed.err).lower()
    assert read_json(root / "01_first" / "done.json")["parameters"].items() >= shown.items()
    run_profile("demo", parameters=fields)
    assert "01_first: done before" in capfd.readouterr().out
    run_profile("demo", parameters={"ema": 0.2}, only=["01"])
    assert "01_first: done in" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"lr_schedul": "cosine"}, "found 'lr_schedul'. Did you mean 'lr_schedule'?"),
        ({"lr_schedule": "cosinus"}, "parameter 'lr_schedule': expected step or cosine, found 'cosinus' (str)"),
        ({"epochs": 0}, "parameter 'epochs': expected int, found 0 (int): Expected `int` >= 1"),
        ({"f_layers": [8, 8, 8]}, "parameter 'f_layers': expected list of 2 int"),
        ({"lr": 1.0}, "recipe: with lr_gamma = 2.0 expected a start of at most lr_max"),
        ({"objects": "state"}, "found 'objects'"),
    ],
)
def test_a_wrong_field_is_refused_before_anything_runs(project: Project, parameters: dict[str, Any], text: str) -> None:
    project.notebook("01_first", parameters=TRAINS)
    with pytest.raises(ConfigError) as raised:
        run_profile("demo", parameters=parameters)
    assert text in str(raised.value)
    assert not project.output().exists()


@pytest.mark.slow
def test_fields_reach_a_notebook_by_plain_papermill(project: Project) -> None:
    source = project.notebook("01_first", SHOW, parameters=TRAINS)
    project.output("demo").mkdir(parents=True)
    executed = project.output("demo", "01_first.ipynb")
    given = {"run": "demo", "ema": "5e-1"}
    papermill.execute_notebook(source, executed, parameters=given, progress_bar=False)
    assert "{'epochs': 2, 'ema': 0.5}" in executed.read_text()
    with pytest.raises(papermill.PapermillExecutionError, match=r"found 'emma'. Did you mean 'ema'\?"):
        papermill.execute_notebook(source, executed, parameters={"emma": 1}, progress_bar=False)


# The committed notebooks


@pytest.mark.slow
def test_committed_notebooks_get_outputs_without_what_changes_from_run_to_run(project: Project) -> None:
    path = project.notebook("01_first", "print('one')\nprint('two')", "1 + 1")
    store_outputs()
    first = path.read_bytes()
    cells = cells_of(path)
    assert cells[3].outputs[0].text == "one\ntwo\n"
    assert cells[4].outputs[0].data["text/plain"] == "2"
    assert cells[1].metadata == {"tags": ["parameters"]}, "the parameters cell keeps its tag, and nothing is injected"
    assert [cell.execution_count for cell in cells[1:]] == [1, 2, 3, 4, 5]
    assert str(project.root) not in first.decode()
    assert not project.output("smoke").exists(), "it ran in a folder of its own"
    store_outputs(["01"])
    assert path.read_bytes() == first


def test_of_widgets_only_cards_stay_in_committed_notebooks() -> None:
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox()"}
    cell = nbformat.v4.new_code_cell(
        "show()",
        metadata={"execution": {"iopub.status.busy": "2020"}, "tags": [], "jupyter": {"source_hidden": True}},
        outputs=[
            nbformat.v4.new_output("display_data", view),
            nbformat.v4.new_output("display_data", {"image/png": "…"}),
            nbformat.v4.new_output("display_data", {**view, "text/html": "<p>its card</p>"}),
        ],
    )
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"x": 1}, "papermill": {}})
    strip_volatile(notebook)
    assert [list(output.data) for output in cell.outputs] == [["image/png"], ["text/html", "text/plain"]]
    assert cell.outputs[1].data["text/html"] == "<p>its card</p>"
    assert cell.metadata == {"jupyter": {"source_hidden": True}}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert json.dumps(notebook.metadata.kernelspec) != "{}"


def test_a_time_limit_ends_a_notebooks_training_with_an_error_and_it_goes_on(
    tiny_clevr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path / "outputs"))
    train_split, val_split = (open_split(tiny_clevr, name, images=None, verbose=False) for name in ("train", "val"))
    preset = load_preset("small-sd", {"g_layers": [8, 8], "f_layers": [8, 8], "lstm_hidden": 8})
    recipe = Recipe(epochs=1, batch_size=120, lr=1e-3, lr_gamma=1)  # two steps
    folder = RunFolder("demo", "02_train_state_descriptions")

    def train(time_limit: float) -> Path:
        options = Options(vocabulary=clevr_v1(), saving=Saving(time_limit=time_limit), verbose=False)
        return train_in(folder, "state", preset, recipe, (train_split, val_split), options).root

    with pytest.raises(TimeUp, match="expected all 1 epochs of 'state', found 0"):
        train(1e-9)
    assert not folder.path("trainings.json").exists()
    assert train(0.0).name == read_json(folder.path("trainings.json"))["state"]
    assert training_of(folder, "state").history()["questions"].tolist() == [240]


def test_weights_are_named_by_file_training_or_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path / "outputs"))
    notebook = tmp_path / "outputs" / "demo" / "02_train_state_descriptions"
    for name in ("state-0a1b2c3d", "question_only-11111111", "state-older000"):
        (notebook / name / "weights").mkdir(parents=True)
        (notebook / name / "run.json").write_text("{}")
    names = {"state": "state-0a1b2c3d", "question_only": "question_only-11111111"}
    (notebook / "trainings.json").write_text(json.dumps(names))
    best = [notebook / name / "weights" / "best.safetensors" for name in names.values()]
    assert weights_files(["demo"]) == weights_files([str(tmp_path / "outputs" / "demo")]) == best
    older = notebook / "state-older000"
    assert weights_files([str(older), "some/file.pth"]) == [older / "weights/best.safetensors", Path("some/file.pth")]
    with pytest.raises(DataError, match=r"found a folder without trainings\.json"):
        weights_files([str(older / "weights")])
