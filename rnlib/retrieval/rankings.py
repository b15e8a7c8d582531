"""How well an order of pictures by features agrees with their order by scenes (Messina et al. 2018, 2019).

All measures are per query, over all pictures but the query itself, or over those of a pool. Equally near pictures are
in no order: the rank correlations use middle ranks, the others the mean over all ways of breaking the ties. So no
measure depends on the order of the pictures in the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from jaxtyping import Bool, Float, Integer
from sklearn.metrics import ndcg_score

from rnlib.errors import ConfigError, require_one_of
from rnlib.retrieval.neighbours import distances_from, require_neighbours, unit_length

NDCG_AT = 5
RECALL_AT = (10, 100, 1000)
KEYS = ["truth", "feature", "vectors"]

Distances = Float[np.ndarray, "queries pictures"]
Queries = Integer[np.ndarray, " queries"]
Pool = Bool[np.ndarray, "queries pictures"]  # which pictures are ranked for each query; the query itself never is


def rank_features(
    features: Mapping[str, Float[np.ndarray, "pictures _"]],
    truths: Mapping[str, Distances],
    queries: Queries,
    recall_at: Sequence[int] = RECALL_AT,
    pool: Pool | None = None,
) -> pd.DataFrame:
    """A row for each truth, feature, kind of its vectors and query, with the measures of `measure` as columns.

    Vectors are compared by their L2 distance, "raw" and brought to length 1 ("L2"). `queries` count within the
    pictures. Raises ConfigError where there are fewer other pictures than a recall asks for.
    """
    parts = []
    for name, values in features.items():
        for vectors, points in (("raw", values), ("L2", unit_length(values))):
            distances = distances_from(points, queries)
            for truth, scenes in truths.items():
                part = pd.DataFrame({"query": queries, **measure(distances, scenes, queries, recall_at, pool)})
                parts.append(part.assign(truth=truth, feature=name, vectors=vectors))
    table = pd.concat(parts, ignore_index=True)
    return table[[*KEYS, *(column for column in table.columns if column not in KEYS)]]


def measure(
    distances: Distances,
    truth: Distances,
    queries: Queries,
    recall_at: Sequence[int] = RECALL_AT,
    pool: Pool | None = None,
) -> dict[str, Float[np.ndarray, " queries"]]:
    """All measures of one feature against one truth, by name, for each query.

    spearman, kendall (tau-b): -1..1, 0 where either orders nothing. ndcg@5: relevance 1 - d / (largest d), gain
    2^relevance - 1, 0..1. recall@k: the share of the k nearest scenes among the k nearest by features, 0..1.
    """
    recalls = recall_curve(distances, truth, queries, recall_at, pool)
    pairs = _ranked(distances, truth, queries, pool)
    return {
        "spearman": np.array([_spearman(*pair) for pair in pairs]),
        "kendall": np.array([_kendall(*pair) for pair in pairs]),
        f"ndcg@{NDCG_AT}": np.array([_ndcg(*pair) for pair in pairs]),
        **{f"recall@{k}": recalls[:, column] for column, k in enumerate(recall_at)},
    }


def recall_curve(
    distances: Distances, truth: Distances, queries: Queries, ks: Sequence[int], pool: Pool | None = None
) -> Float[np.ndarray, "queries ks"]:
    """recall@k for each k. Raises ConfigError where there are fewer pictures to rank than k."""
    pairs = _ranked(distances, truth, queries, pool)
    require_neighbours(1 + min(len(features) for features, _ in pairs), max(ks, default=1))
    rows = [(_membership(scenes, ks) * _membership(features, ks)).sum(1) / np.array(ks) for features, scenes in pairs]
    return np.array(rows)


def summarise(rankings: pd.DataFrame) -> pd.DataFrame:
    """Of what `rank_features` returns: the mean of each measure over the queries, and half its 95 % t-interval.

    A row a truth, feature and kind of vectors, in the order of the features; columns (measure, "mean" or "half width"),
    and "queries". Raises ConfigError for fewer than two queries, which have no interval.
    """
    measures = [column for column in rankings.columns if column not in (*KEYS, "query")]
    groups = rankings.groupby(KEYS, sort=False)
    counts = groups.size()
    if counts.min() < 2:
        raise ConfigError(f"expected at least two queries to average over, found {counts.min()}. Ask for more.")
    widths = groups[measures].std().mul(scipy.stats.t.ppf(0.975, counts - 1) / np.sqrt(counts), axis=0)
    table = pd.concat({"mean": groups[measures].mean(), "half width": widths}, axis=1)
    table = table.swaplevel(axis=1)[[(name, part) for name in measures for part in ("mean", "half width")]]
    table[("queries", "")] = counts
    return table


def better_vectors(summary: pd.DataFrame, by: str = "spearman") -> pd.DataFrame:
    """Of each truth and feature the kind of vectors with the higher mean: that is what the publications show."""
    best = summary[(by, "mean")].groupby(level=["truth", "feature"], sort=False).idxmax()
    return summary.loc[list(best)]


def readable(summary: pd.DataFrame) -> pd.DataFrame:
    """What `summarise` gives as "mean ± half width", a column a measure."""
    measures = [name for name in summary.columns.get_level_values(0).unique() if name != "queries"]
    texts = {name: [f"{mean:.3f} ± {half:.3f}" for mean, half in summary[name].to_numpy()] for name in measures}
    return pd.DataFrame(texts, index=summary.index)


@dataclass(frozen=True)
class Comparison:
    """Whether one feature ranks better than another on the same queries, by a paired one-sided t-test.

    difference: mean of first - second; half_width: of its 95 % interval; p_value: how often so great a difference or a
    greater one would come by chance if the first were not better.
    """

    first: str
    second: str
    measure: str
    difference: float
    half_width: float
    p_value: float


def compare(rankings: pd.DataFrame, first: tuple[str, str], second: tuple[str, str], truth: str, by: str) -> Comparison:
    """Does `first` (feature, vectors) rank better than `second`, by one measure against one truth?

    The queries are the sample; they share the database, so this says what other queries to it would give. Raises
    ConfigError for a name that is not in `rankings`.
    """
    values = [_of(rankings, truth, feature, vectors, by) for feature, vectors in (first, second)]
    difference = values[0] - values[1]
    if not difference.any():
        return Comparison(" ".join(first), " ".join(second), by, 0.0, 0.0, 0.5)
    if np.ptp(difference) == 0:  # the same on every query: nothing to test
        return Comparison(" ".join(first), " ".join(second), by, float(difference[0]), 0.0, float(difference[0] < 0))
    test = scipy.stats.ttest_rel(*values, alternative="greater")
    half = float(scipy.stats.t.ppf(0.975, len(difference) - 1)) * difference.std(ddof=1) / np.sqrt(len(difference))
    return Comparison(" ".join(first), " ".join(second), by, float(difference.mean()), half, float(test.pvalue))


def compare_with_all(rankings: pd.DataFrame, feature: str, truth: str, by: str) -> pd.DataFrame:
    """`compare` of one feature with every other one, a row each; all with the vectors that have the higher mean."""
    best = better_vectors(summarise(rankings), by)
    names = [(name, vectors) for at, name, vectors in best.index if at == truth]
    first = next((pair for pair in names if pair[0] == feature), (feature, "raw"))
    rows = []
    for other in names:
        if other[0] != feature:
            one = compare(rankings, first, other, truth, by)
            rows.append((*other, one.difference, one.half_width, one.p_value))
    return pd.DataFrame(rows, columns=["other", "vectors", "difference", "half width", "p"]).set_index("other")


def _of(rankings: pd.DataFrame, truth: str, feature: str, vectors: str, by: str) -> Float[np.ndarray, " queries"]:
    for name, column in ((truth, "truth"), (feature, "feature"), (vectors, "vectors")):
        require_one_of(name, rankings[column].unique(), column)
    require_one_of(by, rankings.columns[4:], "measure")
    rows = rankings[(rankings["truth"] == truth) & (rankings["feature"] == feature) & (rankings["vectors"] == vectors)]
    values = rows.sort_values("query")[by].to_numpy(np.float64)
    if len(values) < 2:
        raise ConfigError(f"expected at least two queries to compare features on, found {len(values)}. Ask for more.")
    return values


def _ranked(
    distances: Distances, truth: Distances, queries: Queries, pool: Pool | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each query the two kinds of distances of the pictures that are ranked."""
    ranked = np.ones(distances.shape, bool) if pool is None else np.array(pool)
    ranked[np.arange(len(queries)), queries] = False
    return [(one[rows], other[rows]) for one, other, rows in zip(distances, truth, ranked, strict=True)]


def _spearman(one: Float[np.ndarray, " others"], other: Float[np.ndarray, " others"]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(scipy.stats.rankdata(one), scipy.stats.rankdata(other))[0, 1])


def _kendall(one: Float[np.ndarray, " others"], other: Float[np.ndarray, " others"]) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(scipy.stats.kendalltau(one, other).statistic)


def _ndcg(distances: Float[np.ndarray, " others"], truth: Float[np.ndarray, " others"]) -> float:
    top = float(truth.max())
    relevance = 1 - truth.astype(np.float64) / top if top else np.ones(len(truth))
    return float(ndcg_score((2**relevance - 1)[None], -distances[None].astype(np.float64), k=NDCG_AT))


def _membership(distances: Float[np.ndarray, " others"], ks: Sequence[int]) -> Float[np.ndarray, "ks others"]:
    """How likely each picture is among the k nearest when ties at the k-th place are broken by lot. 0..1."""
    ordered = np.sort(distances)
    last = ordered[np.array(ks) - 1]
    nearer, within = np.searchsorted(ordered, last, "left"), np.searchsorted(ordered, last, "right")
    share = (np.array(ks) - nearer) / (within - nearer)
    return (distances < last[:, None]) + (distances == last[:, None]) * share[:, None]
