"""Notebooks 01, 04 and 05 on sets that lack scenes, programs, answers or pictures, cell by cell without a kernel."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from clevr_files import ClevrFiles, question

from rnlib.evaluation.breakdowns import question_traits
from rnlib.evaluation.model_set import open_questions
from rnlib.evaluation.predict import predict
from rnlib.files import read_json
from rnlib.model import load_weights
from rnlib.runs.paths import notebook_name, notebook_path, read_notebook
from rnlib.synthesis import synthesize

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.delenv("RNLIB_ROOT", raising=False)


def run_cells(number: str, **parameters: Any) -> dict[str, Any]:
    """Execute the code cells of a notebook with these parameters, in one namespace, which is returned."""
    namespace: dict[str, Any] = {}
    for cell in read_notebook(notebook_path(number))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{number}", "exec"), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(run="missing", **parameters)
            plt.close("all")
    return namespace


@pytest.mark.parametrize(("case", "line"), [("no_programs", "no programs"), ("no_scenes", "no scenes")])
@pytest.mark.parametrize("number", ["01", "04", "05"])
def test_what_a_set_lacks_leaves_out_what_needs_it_with_one_line(
    clevr_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str, case: str, line: str
) -> None:
    parameters: dict[str, Any] = {"clevr": str(clevr_cases / case), "cache": str(tmp_path / "cache")}
    if number != "01":
        parameters["weights"] = ["detect-fp" if case == "no_scenes" else "medium-sd"]
    run_cells(number, **parameters)
    assert f"'val' has {line}: what needs them is left out." in capsys.readouterr().out.splitlines()
    done = tmp_path / "outputs" / "missing" / notebook_name(number) / "done.json"
    assert read_json(done)["parameters"]["clevr"] == parameters["clevr"]


def test_a_test_split_and_a_set_without_pictures_are_explored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = synthesize(tmp_path / "set", train=12, val=4, test=4, images=None, verbose=False)
    run_cells("01", clevr=str(made), cache=str(tmp_path / "cache"), split="test")
    assert "'test' has no scenes, no programs, no answers, no pictures" in capsys.readouterr().out
    run_cells("01", clevr=str(made), cache=str(tmp_path / "cache"))
    assert "'val' has no pictures: what needs them is left out; grey fields" in capsys.readouterr().out


def test_what_is_left_out_for_its_words_shifts_no_other_question(tmp_path: Path) -> None:
    """Traits are read from the file's programs: the questions that stay must keep theirs."""
    files = ClevrFiles(tmp_path / "set")
    files.questions.insert(0, question(1, "How many elephants are there?", "0", "count"))
    files.write()
    models = {"states": load_weights("medium-sd")}
    split = open_questions(models, files.root, "val", unknown_words="skip", cache=tmp_path / "cache")
    assert split.label == "val, 1 question with unknown words left out"
    wanted = [json.dumps(entry["question"]) for entry in files.questions[1:]]
    assert [json.dumps(split.question_text(number)) for number in range(4)] == wanted
    assert question_traits(split)["count objects"].tolist() == [True, False, False, False]
    assert predict(models["states"], split, verbose=False)["question_index"].tolist() == [1, 2, 3, 4]
