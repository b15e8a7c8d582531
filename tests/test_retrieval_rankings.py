"""Neighbours and measures of rankings, against scipy, scikit-learn and plain definitions."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr, ttest_1samp, ttest_rel
from sklearn.metrics import ndcg_score

from rnlib.errors import ConfigError
from rnlib.retrieval import (
    better_vectors,
    compare,
    compare_with_all,
    distances_from,
    measure,
    nearest,
    random_features,
    rank_features,
    recall_curve,
    summarise,
    unit_length,
)

QUERIES = np.array([5, 11])


def two_distances(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distances without ties, and some with many, of two queries to 20 pictures."""
    rng = np.random.default_rng(seed)
    return rng.random((2, 20)), rng.integers(0, 6, (2, 20)).astype(float)


def test_neighbours_are_those_of_a_plain_sort() -> None:
    features, queries = random_features(30, size=5, seed=1), np.array([0, 17, 29])
    found = nearest(distances_from(features, queries), queries, 4)
    for query, row in zip(queries, found, strict=True):
        distance = {other: np.linalg.norm(features[query] - features[other]) for other in range(30) if other != query}
        assert row.tolist() == sorted(distance, key=distance.__getitem__)[:4]


def test_a_query_is_never_its_own_neighbour_even_among_copies() -> None:
    features, queries = np.zeros((4, 3), np.float32), np.array([0, 2])
    assert nearest(distances_from(features, queries), queries, 3).tolist() == [[1, 2, 3], [0, 1, 3]]


@pytest.mark.parametrize("k", [0, 5, 6])
def test_there_are_no_more_neighbours_than_other_pictures(k: int) -> None:
    distances, queries = distances_from(random_features(5), np.array([0])), np.array([0])
    with pytest.raises(ConfigError, match=f"expected 1 to 4 neighbours.*found {k}"):
        nearest(distances, queries, k)
    with pytest.raises(ConfigError, match=f"expected 1 to 4 neighbours.*found {k}"):
        recall_curve(distances, distances, queries, [k])


def test_unit_length() -> None:
    made = unit_length(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(made, [[0.6, 0.8], [0, 0]])


def test_the_measures_are_those_of_scipy_and_scikit_learn() -> None:
    one, other = two_distances()
    found = measure(one, other, QUERIES, (3, 10))
    assert list(found) == ["spearman", "kendall", "ndcg@5", "recall@3", "recall@10"]
    for row, query in enumerate(QUERIES):
        left, right = np.delete(one[row], query), np.delete(other[row], query)
        assert found["spearman"][row] == pytest.approx(spearmanr(left, right).statistic)
        assert found["kendall"][row] == pytest.approx(kendalltau(left, right).statistic)
        gains = 2 ** (1 - right / right.max()) - 1
        assert found["ndcg@5"][row] == pytest.approx(ndcg_score(gains[None], -left[None], k=5))
        # The definition itself.
        best = np.sort(gains)[::-1][:5] / np.log2(np.arange(2, 7))
        assert found["ndcg@5"][row] == pytest.approx(
            (gains[np.argsort(left)[:5]] / np.log2(np.arange(2, 7))).sum() / best.sum()
        )


def test_recall_without_ties_is_the_share_of_common_neighbours() -> None:
    one, other = np.random.default_rng(3).random((2, 2, 20))
    ks = [1, 4, 10, 19]
    found = recall_curve(one, other, QUERIES, ks)
    for column, k in enumerate(ks):
        pairs = zip(nearest(one, QUERIES, k), nearest(other, QUERIES, k), strict=True)
        expected = [len(set(a.tolist()) & set(b.tolist())) / k for a, b in pairs]
        np.testing.assert_allclose(found[:, column], expected)
    np.testing.assert_allclose(found[:, -1], 1)


@given(st.lists(st.integers(0, 2), min_size=5, max_size=5), st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_recall_with_ties_is_the_mean_over_all_ways_of_breaking_them(one: list[int], other: list[int]) -> None:
    query = np.array([0])  # a picture before the five others
    distances, truth = (np.array([[0, *values]], float) for values in (one, other))
    orders = [[sorted(order, key=values.__getitem__) for order in permutations(range(5))] for values in (one, other)]
    for k in (1, 2, 4):
        tops = [[frozenset(order[:k]) for order in kinds] for kinds in orders]
        expected = np.mean([len(a & b) / k for a in tops[0] for b in tops[1]])
        assert recall_curve(distances, truth, query, [k])[0, 0] == pytest.approx(expected)


def test_measures_of_perfect_useless_and_empty_orders() -> None:
    _, truth = two_distances()
    perfect = measure(2 * truth + 1, truth, QUERIES, (3,))
    for name, values in perfect.items():
        if not name.startswith("recall"):
            np.testing.assert_allclose(values, 1)
    empty = measure(np.ones((2, 20)), truth, QUERIES, (3,))
    np.testing.assert_allclose(empty["recall@3"], 3 / 19)
    for name in ("spearman", "kendall"):
        assert empty[name].tolist() == [0, 0]
        assert measure(truth, np.ones((2, 20)), QUERIES, (3,))[name].tolist() == [0, 0]


def test_a_pool_is_ranked_as_if_it_were_all() -> None:
    one, other = two_distances()
    pool = np.random.default_rng(1).random((2, 20)) < 0.6
    pool[np.arange(2), QUERIES] = True  # the query is left out all the same
    found = measure(one, other, QUERIES, (3,), pool)
    for row, query in enumerate(QUERIES):
        kept = np.append(query, np.setdiff1d(np.flatnonzero(pool[row]), query))
        alone = measure(one[[row]][:, kept], other[[row]][:, kept], np.array([0]), (3,))
        for name, values in alone.items():
            assert found[name][row] == pytest.approx(values[0])
    with pytest.raises(ConfigError, match="neighbours"):
        measure(one, other, QUERIES, (18,), pool)


def test_two_pictures_are_enough_to_be_in_order() -> None:
    one, query = np.array([[0, 1.0, 2.0]]), np.array([0])
    found = measure(one, 3 * one, query, (1,))
    assert (found["spearman"][0], found["kendall"][0], found["recall@1"][0]) == (pytest.approx(1), 1, 1)


def rankings_of(queries: int = 12) -> tuple[dict[str, np.ndarray], "object"]:
    rng = np.random.default_rng(0)
    points = rng.random((40, 3)).astype(np.float32)
    features = {
        "good": points + rng.normal(0, 0.1, points.shape).astype(np.float32),
        "bad": points + rng.normal(0, 1, points.shape).astype(np.float32),
    }
    numbers = np.arange(queries)
    return features, rank_features(features, {"truth": distances_from(points, numbers)}, numbers, (5,))


def test_rankings_have_a_row_a_query_for_raw_and_normalised_features() -> None:
    features, rankings = rankings_of()
    assert len(rankings) == 2 * 2 * 12
    truth = distances_from(np.random.default_rng(0).random((40, 3)).astype(np.float32), np.arange(12))
    rows = rankings[(rankings["feature"] == "good") & (rankings["vectors"] == "L2")]
    expected = measure(distances_from(unit_length(features["good"]), np.arange(12)), truth, np.arange(12), (5,))
    for name, values in expected.items():
        np.testing.assert_allclose(rows[name], values)


def test_the_intervals_are_students() -> None:
    _, rankings = rankings_of()
    summary = summarise(rankings)
    assert len(summary) == 4 and (summary["queries"] == 12).all()
    for key, row in summary.iterrows():
        values = rankings[(rankings["feature"] == key[1]) & (rankings["vectors"] == key[2])]["kendall"]
        interval = ttest_1samp(values, 0).confidence_interval(0.95)
        assert row["kendall", "mean"] == pytest.approx(values.mean())
        assert row["kendall", "mean"] + row["kendall", "half width"] == pytest.approx(interval.high)
    best = better_vectors(summary)
    assert len(best) == 2
    for key, row in best.iterrows():
        both = summary.xs(key[:2], level=["truth", "feature"])["spearman", "mean"]
        assert row["spearman", "mean"] == both.max()
    with pytest.raises(ConfigError, match="at least two queries"):
        summarise(rankings_of(1)[1])


def test_a_better_feature_is_found_to_be_better() -> None:
    _, rankings = rankings_of()
    found = compare(rankings, ("good", "raw"), ("bad", "raw"), "truth", "spearman")
    values = [
        rankings[(rankings["feature"] == name) & (rankings["vectors"] == "raw")]["spearman"].to_numpy()
        for name in ("good", "bad")
    ]
    assert found.difference == pytest.approx(values[0].mean() - values[1].mean())
    assert found.p_value == pytest.approx(ttest_rel(*values, alternative="greater").pvalue)
    assert found.p_value < 0.01 < 0.99 < compare(rankings, ("bad", "raw"), ("good", "raw"), "truth", "spearman").p_value
    interval = ttest_rel(*values).confidence_interval(0.95)
    assert found.difference + found.half_width == pytest.approx(interval.high)
    table = compare_with_all(rankings, "good", "truth", "spearman")
    best = better_vectors(summarise(rankings))
    [(first, second)] = [[key[1:] for key in best.index]]
    assert (table.index[0], table["vectors"].iloc[0]) == second and len(table) == 1
    assert table["p"].iloc[0] == compare(rankings, first, second, "truth", "spearman").p_value
    same = compare(rankings, ("good", "raw"), ("good", "raw"), "truth", "spearman")
    assert (same.difference, same.half_width, same.p_value) == (0, 0, 0.5)


@pytest.mark.parametrize(
    ("first", "truth", "by", "message"),
    [
        (("best", "raw"), "truth", "spearman", "as feature one of good, bad; found 'best'"),
        (("good", "L1"), "truth", "spearman", "as vectors one of raw, L2; found 'L1'"),
        (("good", "raw"), "lie", "spearman", "as truth one of truth; found 'lie'"),
        (("good", "raw"), "truth", "luck", "as measure one of spearman, kendall, ndcg@5, recall@5; found 'luck'"),
    ],
)
def test_what_was_not_ranked_cannot_be_compared(first: tuple[str, str], truth: str, by: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(rankings_of()[1], first, ("bad", "raw"), truth, by)
