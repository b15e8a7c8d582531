"""Calibration agrees with scikit-learn; mistakes to look at and families are the ones they are said to be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.evaluation.breakdowns import GROUPS, accuracy_by_family, hardest_families
from rnlib.evaluation.calibration import (
    calibration_error,
    calibration_table,
    chance_calibration_error,
    reliability_table,
)
from rnlib.evaluation.error_analysis import hardest_mistakes, typical_mistakes
from rnlib.evaluation.plots.accuracy import plot_families
from rnlib.evaluation.plots.comparison import plot_calibration
from rnlib.evaluation.predict import predictions_table
from rnlib.model import RelationNetwork, Weights, load_preset
from rnlib.model.inputs import translate_answers


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(scope="module")
def probabilities(split: Split) -> np.ndarray:
    """Of nobody's network, but of all shades of certainty."""
    torch.manual_seed(0)
    logits = (
        torch.randn(split.n_questions, 28, dtype=torch.float64) * torch.linspace(0.5, 6, split.n_questions)[:, None]
    )
    return logits.softmax(dim=1).numpy()


@pytest.fixture(scope="module")
def predictions(split: Split, probabilities: np.ndarray) -> pd.DataFrame:
    preset = load_preset("question-only", {"f_layers": [8, 8], "lstm_hidden": 8})
    weights = Weights(RelationNetwork(preset, clevr_v1()), preset, clevr_v1())
    truths = translate_answers(split, clevr_v1())
    return predictions_table(np.log(probabilities).astype(np.float32), split, weights, np.asarray(truths))


def sure(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"probability": confidence, "correct": correct})


def test_brier_and_loss_are_scikit_learns(predictions: pd.DataFrame, probabilities: np.ndarray) -> None:
    names = list(clevr_v1().answers)
    order = np.argsort(names)  # scikit-learn wants its labels sorted
    labels = [names[number] for number in order]
    row = calibration_table({"one": predictions}).loc["one"]
    assert row["NLL"] == pytest.approx(log_loss(predictions["truth"], probabilities[:, order], labels=labels), rel=1e-4)
    expected = brier_score_loss(predictions["truth"], probabilities[:, order], labels=labels, scale_by_half=False)
    assert row["Brier"] == pytest.approx(expected, rel=1e-4)
    assert row["too sure by"] == pytest.approx(row["confidence %"] - row["accuracy %"])


def test_the_reliability_diagram_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.05, 1, 3000)
    correct = rng.random(3000) < confidence**2
    table = reliability_table(sure(confidence, correct))
    right, stated = calibration_curve(correct, confidence, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(table["accuracy"], 100 * right)
    np.testing.assert_allclose(table["confidence"], 100 * stated)
    assert table["questions"].tolist() == [300] * 10
    assert ((table["low"] <= table["accuracy"]) & (table["accuracy"] <= table["high"])).all()


def test_the_calibration_error_is_the_mean_distance_from_the_diagonal() -> None:
    # Ten answers given with 75 %, of which nine are right; ten with 95 %, of which five are.
    confidence = np.array([0.75] * 10 + [0.95] * 10)
    correct = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    assert calibration_error(sure(confidence, correct)) == pytest.approx(0.5 * 15 + 0.5 * 45)
    assert len(reliability_table(sure(np.array([1.0, 0.0]), np.array([True, False])))) == 2


def test_chance_alone_gives_the_error_of_calibrated_networks() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 800)
    errors = [calibration_error(sure(confidence, rng.random(800) < confidence)) for _ in range(200)]
    assert chance_calibration_error(sure(confidence, confidence > 0)) == pytest.approx(np.mean(errors), rel=0.1)
    too_sure = sure(confidence, rng.random(800) < 0.6 * confidence)
    assert calibration_error(too_sure) > 3 * chance_calibration_error(too_sure)


def test_the_figure_shows_every_model(predictions: pd.DataFrame) -> None:
    tables = {name: reliability_table(predictions) for name in ("one", "two")}
    figure = plot_calibration(tables, "sure?")
    left, right = figure.axes
    assert {"one", "two"} <= set(left.get_legend_handles_labels()[1])
    assert [line.get_ydata()[-1] for line in right.lines] == pytest.approx([100, 100])


# Mistakes


def mistakes() -> pd.DataFrame:
    rows = [
        # picture, type, truth, answer, loss
        (0, "count", "2", "1", 1.0),
        (0, "count", "2", "1", 9.0),
        (1, "count", "2", "1", 2.0),
        (2, "exist", "no", "yes", 5.0),
        (3, "exist", "no", "yes", 0.7),
        (0, "query_color", "red", "blue", 8.0),
        (4, "exist", "yes", "yes", 0.1),
    ]
    table = pd.DataFrame(rows, columns=["image_index", "type", "truth", "answer", "loss"])
    return table.assign(correct=table["truth"] == table["answer"])


def test_the_hardest_mistakes_are_those_of_greatest_loss_one_a_picture() -> None:
    assert hardest_mistakes(mistakes(), 10) == [1, 3, 2, 4]
    assert hardest_mistakes(mistakes(), 2) == [1, 3]
    assert hardest_mistakes(mistakes().iloc[[6]], 5) == []


def test_typical_mistakes_are_the_middle_ones_of_the_frequent_kinds() -> None:
    assert typical_mistakes(mistakes(), 2) == [2, 4]
    assert typical_mistakes(mistakes(), 9) == [2, 4, 5]
    assert typical_mistakes(mistakes().iloc[[2, 3]], 9) == [2, 3]  # of a part of the table, the questions' own rows
    assert typical_mistakes(mistakes().iloc[[6]], 5) == []


# Families


def test_families_are_counted_and_grouped(predictions: pd.DataFrame, split: Split) -> None:
    table = accuracy_by_family({"one": predictions})
    single, whole = table[table["family"] >= 0], table[table["family"] < 0]
    for row in single.to_dict("records"):
        own = predictions[predictions["family"] == row["family"]]
        assert row["questions"] == len(own) and row["accuracy"] == pytest.approx(100 * own["correct"].mean())
        assert row["family"] in FAMILY_GROUPS[row["group"]]
        assert row["low"] <= row["accuracy"] <= row["high"]
    assert whole["questions"].sum() == single["questions"].sum() == split.n_questions
    assert list(whole["group"]) == [group for group in GROUPS if group in set(whole["group"])]
    assert set(GROUPS) == set(FAMILY_GROUPS)
    unknown = predictions.assign(family=255)
    assert accuracy_by_family({"one": unknown}).empty


def test_the_hardest_families_come_with_an_example(predictions: pd.DataFrame, split: Split) -> None:
    table = accuracy_by_family({"one": predictions, "two": predictions})
    hardest = hardest_families(table, split, n=3, least=2)
    assert len(hardest) == 3
    of_two = table[(table["family"] >= 0) & (table["questions"] >= 2)]
    assert hardest["one"].iloc[0] == pytest.approx(of_two["accuracy"].min(), abs=0.05)
    for family, example in hardest["example"].items():
        number = [split.question_text(question) for question in range(split.n_questions)].index(example)
        assert split.families[number] == family
    figure = plot_families(table, "families")
    assert len(figure.axes[0].get_yticklabels()) == table["group"].nunique()
