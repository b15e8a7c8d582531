"""Intervals hold what they promise, by simulation; comparisons agree with their definitions and with scipy."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import DataError
from rnlib.evaluation.metrics import ALL
from rnlib.evaluation.plots.comparison import plot_paired
from rnlib.evaluation.statistics import (
    compare_by_type,
    compare_pairs,
    holm,
    mcnemar,
    mean_and_sd,
    paired_difference,
    picture_effect,
    seed_groups,
    seed_variance,
    wilson,
    wilson_bounds,
)
from rnlib.evaluation.tables import accuracy_table, complete_table
from rnlib.model import RelationNetwork, Weights, load_preset

RNG = np.random.default_rng(0)
answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize("n", [30, 200, 2000])
def test_wilsons_interval_covers_the_truth_as_often_as_it_says(n: int) -> None:
    shares = np.linspace(0.05, 0.95, 19)
    hits = RNG.binomial(n, shares, size=(4000, len(shares)))
    low, high = wilson_bounds(hits.ravel(), np.full(hits.size, n))
    covered = ((low.reshape(hits.shape) <= shares) & (shares <= high.reshape(hits.shape))).mean(axis=0)
    assert covered.mean() == pytest.approx(0.95, abs=0.01)
    assert covered.min() > 0.92
    # The usual interval p ± z sqrt(p(1-p)/n) does not: that is why it is not used.
    share = hits / n
    reach = 1.96 * np.sqrt(share * (1 - share) / n)
    assert (np.abs(share - shares) <= reach).mean(axis=0).min() < covered.min()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=8))
def test_many_intervals_at_once_are_each_for_itself(pairs: list[tuple[int, int]]) -> None:
    hits, n = np.array([(min(k, n), n) for k, n in pairs]).T
    low, high = wilson_bounds(hits, n)
    assert [wilson(int(k), int(m)) for k, m in zip(hits, n, strict=True)] == list(zip(low, high, strict=True))


def test_pictures_make_intervals_wider_by_what_their_questions_have_in_common() -> None:
    pictures = np.repeat(np.arange(400), 10)
    alike = np.repeat(RNG.random(400) < 0.8, 10)
    assert picture_effect(alike, pictures) == pytest.approx(math.sqrt(10))
    assert picture_effect(RNG.random(4000) < 0.8, pictures) == pytest.approx(1, abs=0.1)
    assert picture_effect(np.ones(4000, bool), pictures) == 1
    # Half-way: the accuracy of a draw of pictures scatters as much wider as is said.
    ease = RNG.beta(4, 1, size=(2000, 100))
    drawn = RNG.random((2000, 100, 10)) < ease[:, :, None]
    scatter = drawn.mean(axis=(1, 2)).std() / math.sqrt(0.8 * 0.2 / 1000)
    said = [picture_effect(one.ravel(), np.repeat(np.arange(100), 10)) for one in drawn[:300]]
    assert np.mean(said) == pytest.approx(scatter, rel=0.06)


@pytest.mark.parametrize(("only_first", "only_second", "n"), [(0.1, 0.05, 200), (0.02, 0.02, 200), (0.03, 0.06, 1000)])
def test_the_interval_of_a_paired_difference_covers_it(only_first: float, only_second: float, n: int) -> None:
    draws = RNG.multinomial(n, [only_first, only_second, 1 - only_first - only_second], size=3000)
    bounds = np.array([paired_difference(int(b), int(c), n)[1:] for b, c, _ in draws])
    covered = ((bounds[:, 0] <= only_first - only_second) & (only_first - only_second <= bounds[:, 1])).mean()
    assert 0.935 < covered < 0.985  # a little too careful where the two hardly differ


def test_the_paired_interval_is_narrower_than_that_of_two_separate_sets_of_questions() -> None:
    difference, low, high = paired_difference(25, 51, 1000)
    assert difference == pytest.approx(-0.026)
    separate = 2 * 1.96 * math.sqrt(0.919 * 0.081 / 1000 + 0.945 * 0.055 / 1000)
    assert high - low < 0.8 * separate


def test_the_mean_over_seeds_is_as_scipy_has_it_and_its_interval_covers() -> None:
    values = [97.1, 97.5, 96.9, 97.0]
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_and_sd(values) == pytest.approx((np.mean(values), np.std(values, ddof=1), *expected))
    runs = RNG.normal(97, 0.3, size=(3000, 3))
    bounds = np.array([mean_and_sd(run.tolist())[2:] for run in runs])
    assert ((bounds[:, 0] <= 97) & (bounds[:, 1] >= 97)).mean() == pytest.approx(0.95, abs=0.015)
    with pytest.raises(ValueError, match="at least two"):
        mean_and_sd([1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_the_stepwise_procedure(values: list[float]) -> None:
    corrected = holm(values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, number in enumerate(np.argsort(values, kind="stable").tolist()):
            if values[number] * (len(values) - step) > alpha:
                break
            rejected.add(number)
        assert {number for number, p in enumerate(corrected) if p <= alpha} == rejected


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_difference(-1, 0, 5),
        lambda: paired_difference(3, 3, 5),
        lambda: paired_difference(0, 0, 0),
        lambda: wilson_bounds(np.array([1, 3]), np.array([2, 2])),
    ],
)
def test_counts_that_cannot_be_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        call()


# Two networks on the same questions


@given(answers)
def test_mcnemars_test_is_that_of_a_fair_coin(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    found = mcnemar(first, second)
    b, c = sum(one and not two for one, two in pairs), sum(two and not one for one, two in pairs)
    assert (found["only first right"], found["only second right"], found["questions"]) == (b, c, len(pairs))
    assert found["difference"] == pytest.approx(100 * (first.mean() - second.mean()))
    assert found["low"] <= found["difference"] + 1e-9 or b == 0 or c == 0
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert found["p"] == pytest.approx(min(1.0, 2 * tail))


def test_equally_good_networks_are_seldom_told_apart() -> None:
    draws = [RNG.random((2, 300)) < 0.9 for _ in range(600)]
    below = np.mean([mcnemar(first, second)["p"] < 0.05 for first, second in draws])
    assert below < 0.06


def predictions(right: np.ndarray, kinds: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {"type": kinds or ["count"] * len(right), "truth": "1", "image_index": np.arange(len(right)), "correct": right}
    )


def test_every_two_networks_are_compared_and_only_on_the_same_questions() -> None:
    tables = {name: predictions(RNG.random(50) < 0.7) for name in "abc"}
    found = compare_pairs(tables)
    assert list(found.index) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.loc[("b", "c"), "p"] == mcnemar(*(tables[name]["correct"].to_numpy() for name in "bc"))["p"]
    assert compare_pairs({"a": tables["a"]}).empty
    with pytest.raises(DataError, match="on the same questions"):
        compare_pairs({"a": tables["a"], "b": tables["b"][::-1]})
    with pytest.raises(DataError, match="50 and 49 rows"):
        compare_pairs({"a": tables["a"], "b": tables["b"][:49]})


def test_types_are_compared_apart_and_corrected() -> None:
    kinds = ["count"] * 40 + ["exist"] * 40
    first, second = np.ones(80, bool), np.ones(80, bool)
    second[:10] = False  # the second fails on ten counts
    found = compare_by_type(predictions(first, kinds), predictions(second, kinds))
    assert list(found.index) == [ALL, "count", "exist"]
    assert found["difference"].tolist() == [12.5, 25, 0]
    assert found["p"].tolist() == pytest.approx([2 / 2**10, 2 * 2 / 2**10, 1])
    figure = plot_paired(found, "first", "second")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        *(f"{ALL}  (80)", "count  (40)", "exist  (40)")
    ]


# Several seeds


def trained(seed: int, **recipe: object) -> Weights:
    preset = load_preset("question-only", {"f_layers": [8, 8], "lstm_hidden": 8})
    origin = {"recipe": {"batch_size": 64, **recipe, "seed": seed}, "data": {"val": "0a"}, "epoch": seed + 3}
    return Weights(RelationNetwork(preset, clevr_v1()), preset, clevr_v1(), {"provenance": origin})


def test_runs_that_differ_by_their_seed_alone_are_one_group() -> None:
    models = {
        "a": trained(1),
        "b": trained(2),
        "other": trained(1, batch_size=32),
        "c": trained(3),
        "again": trained(3),
    }
    models["unknown"] = Weights(models["a"].network, models["a"].preset, clevr_v1(), {"provenance": {"note": "2018"}})
    assert seed_groups(models) == {"a × 3 seeds": ["a", "b", "c"]}
    assert seed_groups({"a": models["a"], "other": models["other"], "unknown": models["unknown"]}) == {}


def test_the_table_over_seeds_has_mean_and_sd() -> None:
    metrics = {
        name: {
            "accuracy": accuracy, "n": 100, "invalid": 0.0, "by_type": {}, "by_answer_class": {},
            "by_group": {"count": {"n": 50, "accuracy": accuracy - 0.1}},
        }
        for name, accuracy in (("a", 0.90), ("b", 0.92), ("other", 0.5))
    }  # fmt: skip
    accuracies = accuracy_table(metrics)
    table = seed_variance(accuracies, {"a × 2 seeds": ["a", "b"]}).set_index("name")
    assert table.loc[ALL, ["accuracy", "sd", "seeds"]].tolist() == pytest.approx([91, math.sqrt(2), 2])
    assert table.loc["count", "accuracy"] == pytest.approx(81)
    shown = complete_table(accuracies, table.reset_index())
    assert shown.loc[("overall", ALL), "a × 2 seeds"] == "91.0 ± 1.4"
    assert shown.loc[("overall", "invalid"), "a × 2 seeds"] == "–"
