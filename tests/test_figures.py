"""`rnlib figures`: which figures it finds, and that they are slides."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from rnlib.__main__ import main
from rnlib.clevr import clevr_v1, open_split
from rnlib.clevr.constants import ANSWER_CLASSES
from rnlib.evaluation import predict
from rnlib.evaluation.predict import save_predictions
from rnlib.model import RelationNetwork, Weights, load_preset
from rnlib.style import LEGIBLE, SLIDE, as_slide


def test_a_figure_becomes_a_slide_with_texts_to_be_read() -> None:
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([0, 1], [0, 1], lw=1)
    axes.set_title("a title", fontsize=6)
    as_slide(figure)
    assert tuple(figure.get_size_inches()) == SLIDE
    sizes = [text.get_fontsize() for text in figure.findobj(Text)]
    assert len(sizes) > 10 and min(sizes) >= LEGIBLE
    assert axes.lines[0].get_linewidth() == pytest.approx(7.5 / 3)
    large = Figure(figsize=(20, 20))
    large.suptitle("much", fontsize=20)
    as_slide(large)
    assert large.get_suptitle() == "much" and tuple(large.get_size_inches()) == SLIDE


def test_the_figures_of_trainings_and_evaluations_are_written(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "02").mkdir(parents=True)
    (run / "02/run.json").write_text('{"preset": {"objects": "state"}}')
    losses, rates = [3.0, 2.0, 1.5], [0.2, 0.4, 0.5]
    classes = {f"val_accuracy_{name}": rates for name in ANSWER_CLASSES}
    history = {"epoch": [1, 2, 3], "questions": [1e5, 2e5, 3e5], "train_loss": losses, "val_loss": losses}
    pd.DataFrame({**history, "val_accuracy": rates, **classes}).to_csv(run / "02/history.csv", index=False)
    preset = load_preset("question-only", {"f_layers": [8, 8], "lstm_hidden": 8})
    weights = Weights(RelationNetwork(preset, clevr_v1()), preset, clevr_v1())
    table = predict(weights, open_split(tiny_clevr, "val", images=None, verbose=False), verbose=False)
    (run / "04/predictions").mkdir(parents=True)
    for name in ("one", "two"):
        save_predictions(table, run / "04/predictions" / f"{name}.parquet")
    assert main(["figures", str(run), "--out", str(tmp_path / "talk")]) == 0
    expected = {"02-learning_curve", "02-loss", "02-answer_classes", "04-by_type", "04-calibration"}
    expected |= {"04-classes_one", "04-classes_two"}
    written = {path.stem for path in (tmp_path / "talk").iterdir()}
    assert written == expected
    assert capsys.readouterr().out.startswith("7 figures as svg and pdf in ")
    for name in expected:
        drawn = (tmp_path / "talk" / f"{name}.svg").read_text()
        width, height = map(float, re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', drawn).groups())
        assert (width, height) == pytest.approx((960, 540), abs=0.1)
        assert (tmp_path / "talk" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert plt.get_fignums() == []


def test_a_folder_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", str(tmp_path), "--out", str(tmp_path / "talk")]) == 2
    error = capsys.readouterr().err
    assert "expected in" in error and "found neither. Give the folder of a run" in error
    assert not (tmp_path / "talk").exists()


def test_other_answers_than_clevrs_have_no_confusions_and_damaged_tables_are_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"correct": [True], "invalid": [False], "probability": [0.5], "loss": [0.7], "truth": ["11"]}
    texts = {"answer": ["11"], "type": ["count"], "group": ["count"], "answer_class": ["number"]}
    table = pd.DataFrame({**rows, **texts})
    command = ["figures", str(tmp_path / "eval"), "--out", str(tmp_path / "talk")]
    save_predictions(table, tmp_path / "eval/predictions.parquet")
    assert main(command) == 0
    assert "eval: no confusions, for there are answers that CLEVR does not have" in capsys.readouterr().out
    assert {path.stem for path in (tmp_path / "talk").iterdir()} == {"eval-by_type", "eval-calibration"}
    for change in ({"probability": [2.0]}, {"loss": ["x"]}, {"answer": [3]}, {"invalid": [None]}):
        save_predictions(table.assign(**change), tmp_path / "eval/predictions.parquet")
        assert main(command) == 2
        assert "is no table of predictions: expected one row per question" in capsys.readouterr().err
    (tmp_path / "eval/predictions.parquet").write_bytes(b"PAR1")
    assert main(command) == 2
    assert "is no table of predictions (" in capsys.readouterr().err
