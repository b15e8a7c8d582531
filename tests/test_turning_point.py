"""Where a relation turns: networks whose turning point is known must be found to have it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from rnlib.clevr.constants import DIRECTIONS
from rnlib.evaluation.plots import plot_turning_points, plot_widths
from rnlib.evaluation.turning_point import (
    CROWDS,
    MARGINS,
    Trial,
    errors_by_margin,
    fit_curve,
    measure,
    psychometric,
    sample_trials,
    turning_points,
    width_ratio,
)
from rnlib.evaluation.what_if import Case, log_probabilities_of, yes_probability
from rnlib.model import load_weights
from rnlib.synthesis import execute
from rnlib.synthesis.editing import hidden, outside, too_close

STEP = 0.1


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return sample_trials(24, seed=3)


def margin_of(trial: Trial, case: Case) -> float:
    places = [np.array(case.scene.objects[i].coordinates) for i in (trial.probe, trial.anchor)]
    return float((places[0] - places[1]) @ DIRECTIONS[trial.relation])


def network(trials: list[Trial], curve):
    """A network of which the probability of yes is `curve` of the margin: it reads the scene, as a real one does."""
    by_question = {(trial.question, id(trial.view)): trial for trial in trials}

    def ask(cases: Sequence[Case]) -> np.ndarray:
        return np.array([curve(margin_of(by_question[case.question, id(case.view)], case)) for case in cases])

    return ask


def test_every_step_of_a_trial_is_a_scene_with_the_rules_answer(trials):
    assert {trial.relation for trial in trials} == {"left", "right", "front", "behind"}
    for trial in trials[:8]:
        for margin in MARGINS[::3]:
            scene = trial.at(float(margin))
            assert margin_of(trial, Case(scene, trial.view, "")) == pytest.approx(margin, abs=1e-5)
            assert execute(trial.program, scene) == ("yes" if margin > 0.2 else "no")
            assert not (too_close(scene) or outside(scene) or hidden(scene, trial.view.camera))
            others = [item for i, item in enumerate(scene.objects) if i != trial.probe]
            assert others == [item for i, item in enumerate(trial.scene.objects) if i != trial.probe]
        assert trial.distance == pytest.approx(
            np.linalg.norm(trial.places(np.zeros(1))[0, :2] - trial.scene.objects[trial.anchor].coordinates[:2]),
            abs=1e-5,
        )


def test_a_network_that_computes_the_relation_turns_at_the_rule(trials):
    by_question = {(trial.question, id(trial.view)): trial.program for trial in trials}

    def ask(cases: Sequence[Case]) -> np.ndarray:
        answers = [execute(by_question[case.question, id(case.view)], case.scene) for case in cases]
        return np.array([float(answer == "yes") for answer in answers])

    found = turning_points(measure(ask, trials), resamples=20).iloc[0]
    assert found["threshold"] == pytest.approx(0.2, abs=STEP / 2)
    assert found["threshold from"] >= 0.15 and found["threshold to"] <= 0.25
    assert found["width"] < STEP and found["low"] < 0.01 and found["high"] > 0.99
    assert (errors_by_margin(measure(ask, trials))["wrong"] == 0).all()


def test_a_network_that_ignores_the_scene_gives_a_flat_curve(trials):
    table = measure(lambda cases: np.full(len(cases), 0.7), trials)
    found = turning_points(table, resamples=20).iloc[0]
    assert np.isnan(found[["threshold", "width", "slope", "threshold from"]].to_numpy(float)).all()
    assert found["low"] == pytest.approx(0.7, abs=0.01) and found["high"] == pytest.approx(0.7, abs=0.01)
    assert errors_by_margin(table)["wrong"].iloc[-1] == 50  # always yes: half of the sides


def test_a_known_curve_is_found_again_by_group(trials):
    scale = {"left / right": 0.1, "front / behind": 0.2}
    by_question = {(trial.question, id(trial.view)): trial for trial in trials}

    def ask(cases: Sequence[Case]) -> np.ndarray:
        found = [by_question[case.question, id(case.view)] for case in cases]
        axes = ["left / right" if trial.relation in ("left", "right") else "front / behind" for trial in found]
        margins = [margin_of(trial, case) for trial, case in zip(found, cases, strict=True)]
        return np.array(
            [psychometric(np.array([m]), -0.1, scale[a], 0.05, 0.9)[0] for m, a in zip(margins, axes, strict=True)]
        )

    table = measure(ask, trials)
    found = turning_points(table, ["axis"], resamples=10).set_index("axis")
    assert found["threshold"].to_numpy() == pytest.approx(-0.1, abs=1e-3)
    for axis, value in scale.items():
        assert found.loc[axis, "width"] == pytest.approx(2 * np.log(19) * value, rel=1e-2)
        assert found.loc[axis, "slope"] == pytest.approx(0.85 / 4 / value, rel=1e-2)
    assert found["low"].to_numpy() == pytest.approx(0.05, abs=1e-3)
    assert found["high"].to_numpy() == pytest.approx(0.9, abs=1e-3)
    parts = [table[table["axis"] == axis] for axis in ("front / behind", "left / right")]
    assert width_ratio(*parts, resamples=10) == pytest.approx((2, 2, 2), rel=1e-2)


@pytest.mark.parametrize(("threshold", "scale"), [(-0.8, 0.3), (0.0, 0.02), (0.9, 0.05), (0.33, 0.4)])
def test_fits_find_what_they_were_given(threshold, scale):
    found = fit_curve(psychometric(MARGINS, threshold, scale, 0.02, 0.97))
    assert found["threshold"] == pytest.approx(threshold, abs=0.02)
    assert found["width"] == pytest.approx(2 * np.log(19) * scale, rel=0.2)


def test_a_network_that_prefers_no_is_wrong_on_one_side_only(trials):
    table = measure(network(trials, lambda margin: float(margin > 0.6)), trials)
    errors = errors_by_margin(table).set_index("margin")["wrong"]
    assert errors[0.55] == 50 and errors[0.65] == 0
    assert turning_points(table, resamples=5)["threshold"][0] == pytest.approx(0.6, abs=STEP / 2)


def test_released_networks_are_asked_about_scenes_in_memory(trials):
    cases = [Case(trial.at(margin), trial.view, trial.question) for trial in trials[:8] for margin in (-1.2, 1.2)]
    for name in ("detect-fp", "medium-sd"):
        weights = load_weights(name)
        yes = yes_probability(weights)(cases)
        assert ((yes > 0.5) == [False, True] * 8).mean() > 0.8
        one = log_probabilities_of(weights, cases[3:4])[0]  # alone as among others
        assert one == pytest.approx(log_probabilities_of(weights, cases)[3], abs=1e-3)


def test_figures_show_each_network_and_the_rule(trials):
    tables = [
        measure(network(trials, curve), trials).assign(model=name)
        for name, curve in (("rule", lambda margin: float(margin > 0.2)), ("middle", lambda margin: float(margin > 0)))
    ]
    table = pd.concat(tables)
    figure = plot_turning_points(table, "turning")
    left, right = figure.axes
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {"rule", "middle", "CLEVR's rule: 0.2"}
    assert [line.get_ydata()[MARGINS.tolist().index(0.15)] for line in left.lines[:2]] == [0, 100]
    assert "wrong" in right.get_ylabel()
    points = {by: turning_points(table, ["model", by], resamples=5) for by in ("axis", "objects")}
    panels = plot_widths(points, "widths").axes
    assert [axes.get_title() for axes in panels] == ["axis", "objects"]
    found = [text.get_text() for text in panels[1].get_xticklabels()]
    assert found == [name for name in CROWDS if name in set(table["objects"])]
