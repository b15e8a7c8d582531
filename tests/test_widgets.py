"""What the widgets do, without a browser: their callbacks are plain methods, their buttons can be pressed from here."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError
from rnlib.evaluation import predict
from rnlib.model import RelationNetwork, Weights, load_preset
from rnlib.widgets.inspection import ANY_OUTCOME, ANY_TYPE, Inspection
from rnlib.widgets.inspector import Inspector

SMALL = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}


def small_weights(preset: str) -> Weights:
    torch.manual_seed(0)
    chosen = load_preset(preset, SMALL)
    return Weights(RelationNetwork(chosen, clevr_v1()).eval(), chosen, clevr_v1(), name=preset)


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, show=False)


@pytest.fixture(scope="module")
def models() -> dict[str, Weights]:
    return {"state": small_weights("ir-sd"), "question": small_weights("question-only")}


@pytest.fixture(scope="module")
def predictions(models: dict[str, Weights], split: Split) -> dict[str, pd.DataFrame]:
    tables = {name: predict(weights, split, show=False) for name, weights in models.items()}
    # Untrained networks get hardly anything right: make every third answer right, so that each outcome occurs.
    for table in tables.values():
        third = table.index % 3 == 0
        table.loc[third, "answer"] = table.loc[third, "truth"]
        table["correct"] = table["answer"] == table["truth"]
        table.loc[third, "invalid"] = False
        table.loc[1, ["correct", "invalid"]] = [False, False]
    return tables


@pytest.fixture
def inspection(models: dict[str, Weights], split: Split, predictions: dict[str, pd.DataFrame]) -> Inspection:
    return Inspection(models, split, predictions)


def test_at_first_every_question_can_be_looked_at(inspection: Inspection, split: Split) -> None:
    assert (inspection.model, inspection.type, inspection.outcome) == ("state", ANY_TYPE, ANY_OUTCOME)
    assert inspection.question == 0
    assert inspection.place == f"1 of {split.n_questions}"
    answer = inspection.answer()
    assert answer is not None
    assert (answer.question, answer.truth) == (split.question_text(0), split.answer_text(0))
    assert len(answer.top) == 5
    assert answer.picture.shape == (80, 120, 3)


def test_filters_leave_what_they_say(inspection: Inspection, predictions: dict[str, pd.DataFrame]) -> None:
    for model, table in predictions.items():
        for kind in inspection.types[1:]:
            for outcome, rows in (
                ("right", table["correct"]),
                ("wrong", ~table["correct"] & ~table["invalid"]),
                ("invalid", table["invalid"]),
            ):
                expected = np.flatnonzero(rows & (table["type"] == kind))
                assert inspection.choose(model=model, type=kind, outcome=outcome) == len(expected)
                assert inspection.chosen.tolist() == expected.tolist()
                answer = inspection.answer()
                assert (answer is None) == (len(expected) == 0)
                if answer:
                    assert (answer.type, answer.outcome) == (kind, outcome)
    assert inspection.choose(type=ANY_TYPE, outcome=ANY_OUTCOME) == len(table)


def test_the_question_stays_while_the_filter_leaves_it(inspection: Inspection) -> None:
    inspection.step(3)
    inspection.choose(outcome="right")
    assert inspection.question == 3
    inspection.choose(outcome="wrong")
    assert inspection.question == int(inspection.chosen[0])


def test_steps_go_round(inspection: Inspection, split: Split) -> None:
    inspection.step(-1)
    assert inspection.question == split.n_questions - 1
    inspection.step(1)
    assert inspection.question == 0


def test_random_goes_elsewhere_among_those_chosen(inspection: Inspection) -> None:
    inspection.choose(outcome="right")
    for _ in range(20):
        before = inspection.question
        inspection.jump()
        assert inspection.question != before
        assert inspection.question in inspection.chosen


def test_nothing_left_is_said_and_can_be_undone(inspection: Inspection) -> None:
    inspection._outcomes["state"][:] = "right"
    assert inspection.choose(outcome="invalid") == 0
    assert (inspection.question, inspection.answer(), inspection.place) == (None, None, "no such question")
    inspection.step(1)
    inspection.jump()
    with pytest.raises(ConfigError, match="choose a filter that leaves some questions"):
        inspection.ask("How many cubes are there?")
    assert inspection.choose(outcome=ANY_OUTCOME) > 0
    assert inspection.question == 0


def test_what_cannot_be_chosen_is_refused(inspection: Inspection) -> None:
    with pytest.raises(
        ConfigError, match="expected as outcome one of any outcome, right, wrong, invalid; found 'good'"
    ):
        inspection.choose(outcome="good")
    with pytest.raises(ConfigError, match="expected as model one of state, question; found 'pixels'"):
        inspection.choose(model="pixels")


@pytest.mark.parametrize("model", ["state", "question"])
def test_the_answer_to_a_question_of_the_split_is_the_predicted_one(
    models: dict[str, Weights], split: Split, model: str
) -> None:
    tables = {name: predict(weights, split, show=False) for name, weights in models.items()}
    inspection = Inspection(models, split, tables)
    inspection.choose(model=model)
    for _ in range(3):
        inspection.jump()
        predicted = inspection.answer()
        assert predicted is not None
        asked = inspection.ask(predicted.question)
        assert [name for name, _ in asked.top] == [name for name, _ in predicted.top]
        np.testing.assert_allclose([p for _, p in asked.top], [p for _, p in predicted.top], rtol=1e-4)
        assert asked.question == predicted.question
        assert (asked.truth, asked.outcome) == ("", "")
        assert asked.verdict == f"answer: {asked.given}"


def test_a_question_that_cannot_be_asked_says_why(inspection: Inspection) -> None:
    with pytest.raises(ConfigError, match=r"unknown word 'spere'.*nearest known words: sphere"):
        inspection.ask("What color is the spere?")
    with pytest.raises(ConfigError, match="found no words"):
        inspection.ask("  ")
    with pytest.raises(ConfigError, match="at most 50 words, found 60"):
        inspection.ask("cube " * 60)


def test_models_and_tables_must_belong_together(models: dict[str, Weights], split: Split) -> None:
    with pytest.raises(ConfigError, match="a table of predictions for each model"):
        Inspection(models, split, {})


# The widget itself: ipywidgets without a front end


@pytest.fixture
def inspector(inspection: Inspection) -> Inspector:
    return Inspector(inspection)


def test_buttons_and_filters_do_what_they_say(inspector: Inspector) -> None:
    inspection = inspector.inspection
    first = bytes(inspector.figure.value)
    assert first.startswith(b"\x89PNG")
    inspector.on.click()
    assert inspection.question == 1
    assert inspector.figure.value != first
    inspector.back.click()
    assert inspection.question == 0
    assert inspector.figure.value == first
    inspector.outcome.value = "right"
    assert inspection.outcome == "right"
    assert inspector.place.value == inspection.place
    inspector.random.click()
    assert inspection.question in inspection.chosen[1:]
    assert plt.get_fignums() == []  # figures of callbacks would show up below the next cell


def test_a_question_of_ones_own_is_answered_or_explained(inspector: Inspector) -> None:
    before = bytes(inspector.figure.value)
    inspector.text.value = "How many bulls are there?"
    assert inspector.message.value.startswith("unknown word 'bulls'")
    assert "balls" in inspector.message.value
    assert inspector.figure.value == before
    inspector.text.value = "How many balls are there?"
    assert inspector.message.value == ""
    assert inspector.figure.value != before


def test_an_empty_filter_hides_the_figure(inspector: Inspector) -> None:
    inspector.inspection._outcomes["state"][:] = "right"
    inspector.outcome.value = "invalid"
    assert inspector.figure.layout.display == "none"
    assert inspector.place.value == "no such question"
    inspector.outcome.value = ANY_OUTCOME
    assert inspector.figure.layout.display is None
