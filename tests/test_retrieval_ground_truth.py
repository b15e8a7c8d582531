"""The distance of scenes: the published one as it stands, and the one that does not depend on the order of objects."""

from itertools import permutations
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.split import Split, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.retrieval import COSTS, VARIANTS, Scenes, ground_truth

an_object = st.tuples(
    *(st.integers(1, len(values)) for values in ATTRIBUTES.values()), st.integers(-30, 30), st.integers(-30, 30)
)
# Few values, so that many assignments are equally cheap.
an_alike_object = st.tuples(
    st.integers(1, 2), st.just(1), st.just(1), st.integers(1, 2), st.integers(-30, 30), st.integers(-30, 30)
)
Scene = list[tuple[int, ...]]


def scenes(most: int) -> st.SearchStrategy[Scene]:
    return st.one_of(st.lists(kind, min_size=1, max_size=most) for kind in (an_object, an_alike_object))


def as_scenes(*given_scenes: Scene) -> Scenes:
    """Objects as (colour, material, shape, size, x, y): y right of x where its x is greater by 2, and so in front."""
    most = max(map(len, given_scenes))
    codes = np.zeros((len(given_scenes), most, 4), np.uint8)
    sides = np.full((len(given_scenes), most, most), 4)
    for row, objects in enumerate(given_scenes):
        for i, one in enumerate(objects):
            codes[row, i] = one[:4]
            for j, other in enumerate(objects):
                right, front = (int(other[at] - one[at] > 2) - int(one[at] - other[at] > 2) for at in (4, 5))
                sides[row, i, j] = 3 * (1 + right) + 1 + front
    return Scenes(codes, np.array([len(objects) for objects in given_scenes]), sides)


def distance(first: Scene, second: Scene, variant: str, cost: str) -> float:
    return float(as_scenes(first, second).distances(0, variant, cost)[1])


def exchange(one: tuple[int, ...], other: tuple[int, ...], cost: str) -> float:
    differing = sum(a != b for a, b in zip(one[:4], other[:4], strict=True))
    return float(differing > 0) if cost == "hard" else differing / 4


def edges(objects: Scene, at: int) -> set[tuple[int, int]]:
    """(x, y) where y lies right of x (at 4), in front of it (at 5)."""
    pairs = permutations(range(len(objects)), 2)
    return {(x, y) for x, y in pairs if objects[y][at] - objects[x][at] > 2}


def inversions(first: Scene, second: Scene, image: dict[int, int]) -> int:
    """As published: edges (x, y) of scene 1 whose images are an edge (y', x') of scene 2."""
    turned = 0
    for at in (4, 5):
        others = edges(second, at)
        turned += sum(x in image and y in image and (image[y], image[x]) in others for x, y in edges(first, at))
    return turned


def brute_force(first: Scene, second: Scene, cost: str) -> float:
    """Every way in which each object of the first scene becomes one of the second or nothing."""
    exchanges = [[exchange(one, other, cost) for other in second] for one in first]
    images = []
    for way in permutations(range(len(second) + len(first)), len(first)):
        image = {x: y for x, y in enumerate(way) if y < len(second)}
        left = len(first) + len(second) - 2 * len(image)
        images.append((left + sum(exchanges[x][y] for x, y in image.items()), image))
    least = min(price for price, _ in images)
    return 2 * least + min(inversions(first, second, image) for price, image in images if price == least)


def published(first: Scene, second: Scene, cost: str) -> float:
    """The published computation, with scipy, as it stands."""
    n, m = len(first), len(second)
    matrix = np.full((n + m, n + m), 5.0)
    matrix[:n, :m] = [[exchange(one, other, cost) for other in second] for one in first]
    np.fill_diagonal(matrix[:n, m:], 1)
    np.fill_diagonal(matrix[n:, :m], 1)
    matrix[n:, m:] = 0
    rows, columns = linear_sum_assignment(matrix)
    image = {x: y for x, y in zip(rows.tolist(), columns.tolist(), strict=True) if x < n and y < m}
    return 2 * float(matrix[rows, columns].sum()) + inversions(first, second, image)


@settings(max_examples=40, deadline=None)
@given(scenes(4), scenes(4), st.sampled_from(COSTS))
def test_canonical_is_the_least_over_all_assignments(first: Scene, second: Scene, cost: str) -> None:
    assert distance(first, second, "canonical", cost) == brute_force(first, second, cost)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 4), (3, 5)])
def test_canonical_is_the_least_over_all_assignments_of_five_objects(n: int, m: int, cost: str) -> None:
    rng = np.random.default_rng(n + 10 * m)
    for limits in ((2, 1, 1, 2), (8, 2, 3, 2)):
        drawn = [
            [(*rng.integers(1, np.array(limits) + 1).tolist(), *rng.integers(-30, 30, 2).tolist()) for _ in range(size)]
            for size in (n, m)
        ]
        assert distance(*drawn, "canonical", cost) == brute_force(*drawn, cost)


@settings(max_examples=200, deadline=None)
@given(scenes(10), scenes(10), st.sampled_from(COSTS))
def test_literal_is_the_published_computation(first: Scene, second: Scene, cost: str) -> None:
    assert distance(first, second, "literal", cost) == published(first, second, cost)


@settings(deadline=None)
@given(scenes(10), scenes(10), st.sampled_from(COSTS))
def test_the_variants_differ_in_inversions_only(first: Scene, second: Scene, cost: str) -> None:
    canonical, literal, node = (distance(first, second, variant, cost) for variant in VARIANTS)
    assert node <= canonical <= literal
    assert float(canonical - node).is_integer()


@settings(deadline=None)
@given(scenes(8), st.sampled_from(VARIANTS), st.sampled_from(COSTS))
def test_identical_scenes_are_no_distance_apart(scene: Scene, variant: str, cost: str) -> None:
    # With equal objects the literal assignment may exchange them; otherwise it must find the identity.
    if variant != "literal" or len({one[:4] for one in scene}) == len(scene):
        assert distance(scene, scene, variant, cost) == 0


@settings(max_examples=150, deadline=None)
@given(scenes(7), scenes(7), st.sampled_from(["canonical", "node"]), st.sampled_from(COSTS), st.data())
def test_neither_order_nor_direction_matters(
    first: Scene, second: Scene, variant: str, cost: str, data: st.DataObject
) -> None:
    value = distance(first, second, variant, cost)
    assert distance(second, first, variant, cost) == value
    again = data.draw(st.permutations(first)), data.draw(st.permutations(second))
    assert distance(*again, variant, cost) == value


def test_the_literal_distance_depends_on_order_and_direction() -> None:
    # The hazard that the canonical variant mends: two alike objects, one left of the other.
    left, right = (1, 1, 1, 1, -10, 0), (1, 1, 1, 1, 10, 0)
    assert distance([left, right], [left, right], "literal", "soft") == 0
    assert distance([left, right], [right, left], "literal", "soft") == 1
    assert distance([left, right], [right, left], "canonical", "soft") == 0


def test_relations_that_are_turned_round_count_one_each() -> None:
    red, blue = (5, 2, 2, 1), (2, 2, 2, 1)
    assert distance([(*red, -10, 0), (*blue, 10, 0)], [(*blue, -10, 0), (*red, 10, 0)], "canonical", "soft") == 1
    assert distance([(*red, -10, 9), (*blue, 10, 0)], [(*blue, -10, 9), (*red, 10, 0)], "canonical", "soft") == 2
    assert distance([(*red, 0, 0)], [(*blue, 0, 0)], "canonical", "soft") == 0.5
    assert distance([(*red, 0, 0)], [(*blue, 0, 0)], "canonical", "hard") == 2
    assert distance([(*red, 0, 0)], [(*red, 0, 0), (*blue, 5, 5)], "canonical", "hard") == 2


@settings(max_examples=25, deadline=None)
@given(scenes(4), scenes(4), st.sampled_from(COSTS))
def test_node_is_networkx_edit_distance_of_graphs_without_edges(first: Scene, second: Scene, cost: str) -> None:
    graphs = [nx.Graph(), nx.Graph()]
    for graph, objects in zip(graphs, (first, second), strict=True):
        graph.add_nodes_from((number, {"object": one}) for number, one in enumerate(objects))
    found = nx.graph_edit_distance(*graphs, node_subst_cost=lambda a, b: exchange(a["object"], b["object"], cost))
    assert distance(first, second, "node", cost) == 2 * found


@settings(max_examples=12, deadline=None)
@given(scenes(3), scenes(3), st.sampled_from(COSTS))
def test_canonical_is_networkx_edit_distance_where_nodes_come_first(first: Scene, second: Scene, cost: str) -> None:
    # Complete graphs whose edges know how their ends stand. Nodes cost so much that their optimum comes first; an edge
    # costs its inversions to exchange and 2 to add or remove, which as many are as the numbers of objects say.
    nodes, removal = 100, 2
    graphs = [nx.DiGraph(), nx.DiGraph()]
    for graph, objects in zip(graphs, (first, second), strict=True):
        graph.add_nodes_from((number, {"object": one}) for number, one in enumerate(objects))
        for x, y in permutations(range(len(objects)), 2):
            signs = [int((x, y) in edges(objects, at)) - int((y, x) in edges(objects, at)) for at in (4, 5)]
            graph.add_edge(x, y, signs=signs)
    found = nx.graph_edit_distance(
        *graphs,
        node_subst_cost=lambda a, b: nodes * exchange(a["object"], b["object"], cost),
        node_del_cost=lambda _: nodes,
        node_ins_cost=lambda _: nodes,
        edge_subst_cost=lambda a, b: sum(p * q < 0 for p, q in zip(a["signs"], b["signs"], strict=True)),
        edge_del_cost=lambda _: removal,
        edge_ins_cost=lambda _: removal,
    )
    without = abs(graphs[0].number_of_edges() - graphs[1].number_of_edges()) * removal
    price, twice = divmod(found - without, nodes / 4)
    assert distance(first, second, "canonical", cost) == 2 * price / 4 + twice / 2


@settings(max_examples=60, deadline=None)
@given(scenes(7), scenes(7), st.sampled_from(COSTS))
def test_counterparts_have_the_distance_that_is_reported(first: Scene, second: Scene, cost: str) -> None:
    both = as_scenes(first, second)
    pairs = both.counterparts(0, 1, cost)
    assert len({x for x, _ in pairs}) == len({y for _, y in pairs}) == len(pairs) == min(len(first), len(second))
    price = sum(exchange(first[x], second[y], cost) for x, y in pairs) + abs(len(first) - len(second))
    turned = both.turned(0, 1, pairs)
    assert len(turned) == inversions(first, second, dict(pairs))
    assert all((x, y) in edges(first, 4 if relation == "right" else 5) for x, y, relation in turned)
    assert 2 * price + len(turned) == distance(first, second, "canonical", cost)


def test_shuffled_scenes_are_the_same_scenes(clevr: Split) -> None:
    scenes = Scenes.of(clevr, np.arange(clevr.n_images))
    again = scenes.shuffled(0)
    assert not np.array_equal(again.codes, scenes.codes)
    for cost in COSTS:
        for query in range(3):
            np.testing.assert_array_equal(scenes.distances(query, cost=cost), again.distances(query, cost=cost))
    mixed = Scenes(*(np.concatenate(both) for both in zip(vars(scenes).values(), vars(again).values(), strict=True)))
    assert mixed.distances(0)[len(scenes.codes)] == 0


# Of a split


def test_a_truth_is_of_the_scenes_asked_for(clevr: Split, tmp_path: Path) -> None:
    pictures, queries = np.array([4, 1, 7, 2]), np.array([2, 0])
    for variant in VARIANTS:
        found = ground_truth(clevr, pictures, queries, variant, cache=tmp_path, verbose=False)
        assert found.shape == (2, 4) and found[0, 2] == found[1, 0] == 0
        objects = [
            [
                (*clevr.codes[row, i].tolist(), *(10 * right_and_front(clevr, row, i)).tolist())
                for i in range(clevr.n_objects[row])
            ]
            for row in (7, 1)
        ]
        assert found[0, 1] == distance(*objects, variant, "soft")


def right_and_front(split: Split, row: int, number: int) -> np.ndarray:
    """Where an object stands along the two directions, as CLEVR computes its relations (in tenths: 0.2 is 2)."""
    x, y, _ = split.coordinates[row, number]
    return np.array([0.656311 * x + 0.754490 * y, 0.754490 * x - 0.656311 * y], np.float64)


@pytest.fixture(scope="module")
def clevr(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


def test_a_truth_is_kept_and_found_again(clevr: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, queries = np.arange(6), np.arange(3)
    first = np.array(ground_truth(clevr, pictures, queries, cache=tmp_path, verbose=False))  # not the map of the file
    [kept] = tmp_path.rglob("distances.npy")
    with monkeypatch.context() as patch:
        patch.setattr(Scenes, "distances", lambda *_: pytest.fail("computed again"))
        np.testing.assert_array_equal(ground_truth(clevr, pictures, queries, cache=tmp_path, verbose=False), first)
    # Other queries, variants and costs have files of their own, and a damaged file is made again.
    ground_truth(clevr, pictures, queries[:2], cache=tmp_path, verbose=False)
    ground_truth(clevr, pictures, queries, "node", "hard", cache=tmp_path, verbose=False)
    assert len(list(tmp_path.rglob("distances.npy"))) == 3
    kept.write_bytes(kept.read_bytes()[:-8])
    np.testing.assert_array_equal(ground_truth(clevr, pictures, queries, cache=tmp_path, verbose=False), first)


def test_what_cannot_be_had_is_one_clear_error(clevr: Split, tiny_clevr: Path, tmp_path: Path) -> None:
    test = open_split(tiny_clevr, "test", images=None, verbose=False)
    with pytest.raises(DataError, match=r"expected scenes, but .*Use a split with scenes"):
        ground_truth(test, np.arange(2), np.arange(1), cache=tmp_path)
    with pytest.raises(ConfigError, match="variant of the ground truth one of canonical, literal, node; found 'exact'"):
        ground_truth(clevr, np.arange(2), np.arange(1), "exact", cache=tmp_path)
    with pytest.raises(ConfigError, match="cost of an exchange one of soft, hard; found 'mild'"):
        ground_truth(clevr, np.arange(2), np.arange(1), cost="mild", cache=tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot create the folder"):
        ground_truth(clevr, np.arange(2), np.arange(1), cache=tmp_path / "file", verbose=False)
