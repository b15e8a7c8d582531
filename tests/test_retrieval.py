"""Features of pictures, their neighbours, and the distance of scenes that says whether they are good."""

from itertools import permutations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr, ttest_1samp

from rnlib.clevr.catalogue import ATTRIBUTES
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError, DataError
from rnlib.model import RelationNetwork, Weights, load_preset
from rnlib.retrieval import (
    agreement_table,
    conv_features,
    distances_from,
    nearest,
    node_distance,
    node_distances,
    pair_features,
    random_features,
    rank_agreement,
)
from rnlib.retrieval.plots import captions_of, plot_agreement, plot_distances, plot_neighbours

SMALL = {"image_size": 32, "conv_channels": [4, 4, 4], "g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=32, show=False)


def small_weights(preset: str = "ir-fp", **overrides: object) -> Weights:
    torch.manual_seed(0)
    chosen = load_preset(preset, {**SMALL, **overrides})
    return Weights(RelationNetwork(chosen, clevr_v1()).eval(), chosen, clevr_v1())


def images_of(split: Split, rows: np.ndarray) -> torch.Tensor:
    assert split.images is not None
    return torch.from_numpy(split.images[rows]).float() / 255


# Features


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_pair_features_equal_a_double_loop_over_objects(split: Split, layer: int) -> None:
    weights, pictures = small_weights(), np.array([3, 0, 5])
    made = pair_features(weights, split, pictures, layer)
    assert weights.network.relations is not None
    with torch.no_grad():
        objects = weights.network.objects(images_of(split, pictures))
        for number, cells in enumerate(objects):
            vectors = []
            for second in cells:
                for first in cells:
                    hidden = torch.cat([first, second])
                    for index in range(layer):
                        hidden = torch.relu(weights.network.relations.layers[index](hidden))
                    vectors.append(hidden / hidden.norm().clamp(min=1e-12))
            stacked = torch.stack(vectors)
            assert len(stacked) == 16**2
            np.testing.assert_allclose(made["mean"][number], stacked.mean(0), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(made["max"][number], stacked.max(0).values, rtol=1e-4, atol=1e-6)


def test_chunks_change_nothing(split: Split) -> None:
    weights, pictures = small_weights(), np.arange(7)
    for chunk in (1, 3, 100):
        for one, other in (
            (pair_features(weights, split, pictures, 2, chunk=chunk), pair_features(weights, split, pictures, 2)),
            (conv_features(weights, split, pictures, chunk=chunk), conv_features(weights, split, pictures)),
        ):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_conv_features_gather_the_cells(split: Split) -> None:
    weights, pictures = small_weights(), np.array([2, 1])
    made = conv_features(weights, split, pictures)
    with torch.no_grad():
        cells = weights.network.objects(images_of(split, pictures))[:, :, :-2]  # without the coordinates
    assert made["flat"].shape == (2, 4 * 16)
    np.testing.assert_allclose(made["mean"], cells.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sort(made["flat"]), np.sort(cells.flatten(1).numpy()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [-1, 2, 3])
def test_a_layer_behind_the_question_is_refused(split: Split, layer: int) -> None:
    with pytest.raises(ConfigError, match=rf"layer of g from 0 to 1, where the question joins.*found {layer}"):
        pair_features(small_weights(question_injection=1), split, np.arange(2), layer)


def test_only_weights_that_read_these_pictures_have_features(split: Split, tiny_clevr: Path) -> None:
    with pytest.raises(ConfigError, match="weights that read pictures, found the preset 'ir-sd'"):
        pair_features(small_weights("ir-sd"), split, np.arange(2), 1)
    with pytest.raises(DataError, match="pictures of 64 pixels, the split has 32"):
        conv_features(small_weights(image_size=64), split, np.arange(2))
    with pytest.raises(DataError, match="the split has none"):
        conv_features(small_weights(), open_split(tiny_clevr, "val", images=None, show=False), np.arange(2))


# Neighbours


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
    features, queries = random_features(5), np.array([0])
    with pytest.raises(ConfigError, match=f"expected 1 to 4 neighbours.*found {k}"):
        nearest(distances_from(features, queries), queries, k)


# The distance of scenes

an_object = st.tuples(*(st.integers(1, len(values)) for values in ATTRIBUTES.values()))


def scenes(most: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(an_object, min_size=1, max_size=most).map(lambda rows: np.array(rows, np.uint8))


def exchange(one: np.ndarray, other: np.ndarray, hard: bool) -> float:
    differing = sum(int(a != b) for a, b in zip(one.tolist(), other.tolist(), strict=True))
    return float(differing > 0) if hard else differing / 4


@settings(max_examples=40)
@given(scenes(4), scenes(4), st.booleans())
def test_the_node_distance_is_the_least_over_all_ways(first: np.ndarray, second: np.ndarray, hard: bool) -> None:
    # Each object of the first scene becomes one of the second, or (places behind them) nothing.
    ways = permutations(range(len(second) + len(first)), len(first))
    costs = []
    for way in ways:
        exchanged = [(i, j) for i, j in enumerate(way) if j < len(second)]
        left = len(first) + len(second) - 2 * len(exchanged)
        costs.append(left + sum(exchange(first[i], second[j], hard) for i, j in exchanged))
    assert node_distance(first, second, hard) == pytest.approx(min(costs))


@given(scenes(10), scenes(10), st.booleans())
def test_the_node_distance_is_the_optimum_of_the_papers_matrix(
    first: np.ndarray, second: np.ndarray, hard: bool
) -> None:
    n, m = len(first), len(second)
    cost = np.full((n + m, n + m), 5.0)
    cost[:n, :m] = [[exchange(one, other, hard) for other in second] for one in first]
    np.fill_diagonal(cost[:n, m:], 1)
    np.fill_diagonal(cost[n:, :m], 1)
    cost[n:, m:] = 0
    rows, columns = linear_sum_assignment(cost)
    assert node_distance(first, second, hard) == pytest.approx(cost[rows, columns].sum())


@given(scenes(10), scenes(10), st.booleans(), st.randoms(use_true_random=False))
def test_the_node_distance_is_a_distance_of_sets(
    first: np.ndarray, second: np.ndarray, hard: bool, random: "object"
) -> None:
    order = list(range(len(first)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert node_distance(first, first[order], hard) == 0
    assert node_distance(first, second, hard) == pytest.approx(node_distance(second, first, hard))
    assert node_distance(first[order], second, hard) == pytest.approx(node_distance(first, second, hard))


def test_node_distances_are_of_the_scenes_asked_for(split: Split, tiny_clevr: Path) -> None:
    pictures, queries = np.array([4, 1, 7, 2]), np.array([2, 0])
    found = node_distances(split, pictures, queries)
    assert found.shape == (2, 4)
    assert found[0, 2] == found[1, 0] == 0
    first, second = (np.array(split.codes[row, : split.n_objects[row]]) for row in (7, 1))
    assert found[0, 1] == node_distance(first, second)
    with pytest.raises(DataError, match=r"expected scenes in .*Use the split val"):
        node_distances(open_split(tiny_clevr, "test", images=None, show=False), pictures, queries)


# Agreement


def test_the_agreement_is_spearmans_rho_without_the_query() -> None:
    rng, queries = np.random.default_rng(0), np.array([5, 11])
    one, other = rng.random((2, 20)), rng.integers(0, 6, (2, 20)).astype(float)  # ties too
    found = rank_agreement(one, other, queries)
    for query, left, right, rho in zip(queries, one, other, found, strict=True):
        assert rho == pytest.approx(spearmanr(np.delete(left, query), np.delete(right, query)).statistic)
    np.testing.assert_allclose(rank_agreement(one, 2 * one + 1, queries), 1)
    assert rank_agreement(one, np.ones((2, 20)), queries).tolist() == [0, 0]


def test_the_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, 12)
    row = agreement_table({"a": values}).loc["a"]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert row["mean rho"] == pytest.approx(values.mean())
    assert row["mean rho"] + row["half width"] == pytest.approx(interval.high)
    assert row["mean rho"] - row["half width"] == pytest.approx(interval.low)
    with pytest.raises(ConfigError, match="at least two queries"):
        agreement_table({"a": values[:1]})


# Figures


def test_figures_show_every_query_and_feature(split: Split) -> None:
    pictures, queries = np.arange(8), np.array([0, 3])
    truth = node_distances(split, pictures, queries)
    found = nearest(truth, queries, 3)
    captions = captions_of(queries, pictures, truth)
    lines = [(f"query {query}", int(query), row.tolist()) for query, row in zip(queries, found, strict=True)]
    figure = plot_neighbours(split, lines, "Neighbours", captions)
    assert len(figure.axes) == 2 * 4
    assert figure.axes[1].get_title() == f"1: scenes {truth[0, found[0, 0]]:.2f} apart"
    scatter = plot_distances({"a": truth[0], "b": truth[0]}, truth[0], {"a": 1.0, "b": 1.0}, "Distances")
    assert [axes.get_title() for axes in scatter.axes] == ["a: rho = 1.00", "b: rho = 1.00"]
    agreements = {name: np.array([0.1, 0.3, 0.2]) for name in ("a", "b", "c")}
    agreement = plot_agreement(agreements, agreement_table(agreements), "Agreement")
    assert [text.get_text() for text in agreement.axes[0].get_yticklabels()] == ["a", "b", "c"]
    plt.close("all")
