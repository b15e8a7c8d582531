"""How far an accuracy can be trusted: intervals, paired comparisons of two networks, several seeds.

Wilson's interval for a share p of n questions:

    (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

Unlike p ± z sqrt(p(1-p)/n) it never leaves 0..1 and stays honest for few questions and for
shares near 0 or 1 (Wilson 1927; Brown, Cai and DasGupta 2001). It treats questions as
independent. Those on one picture are not quite: `picture_effect` tells how much wider it should be.

Two networks answer the same questions, so only those count on which they differ: b that only the first
got right, c that only the second did. If both were equally good, each of these b + c questions
would fall to either side like a coin; McNemar's exact test (1947) gives the probability that a
fair coin falls as unevenly, or more so.

The interval of a single run covers the choice of questions only. Training again with another
seed changes the accuracy too; by how much, only several trainings tell.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import scipy
from jaxtyping import Bool, Float, Integer

from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.errors import DataError
from rnlib.evaluation.metrics import ALL
from rnlib.model.checkpoint import Weights


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high), both 0..1, for the share that `hits` of `n` trials stand for.

    Raises ValueError unless 0 <= hits <= n, n >= 1 and 0 < confidence < 1.
    """
    low, high = wilson_bounds(np.array([hits]), np.array([n]), confidence)
    return float(low[0]), float(high[0])


def wilson_bounds(
    hits: Integer[np.ndarray, " shares"], n: Integer[np.ndarray, " shares"], confidence: float = 0.95
) -> tuple[Float[np.ndarray, " shares"], Float[np.ndarray, " shares"]]:
    """`wilson` for many shares at once. Raises ValueError as it does."""
    if not (0 < confidence < 1 and (n >= 1).all() and (hits >= 0).all() and (hits <= n).all()):
        raise ValueError(f"expected 0 <= hits <= n, n >= 1, 0 < confidence < 1, found {hits}, {n}, {confidence}")
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    share = hits / n
    middle = share + z * z / (2 * n)
    reach = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are 0 and 1 exactly for no hits and for hits alone; rounding would miss them by a hair.
    return np.where(hits == 0, 0.0, (middle - reach) / scale), np.where(hits == n, 1.0, (middle + reach) / scale)


def picture_effect(correct: Bool[np.ndarray, " questions"], pictures: Integer[np.ndarray, " questions"]) -> float:
    """How many times wider an accuracy's interval is if pictures were drawn, and not single questions.

    `pictures`: the picture of each question. The ratio of the standard errors, the square root of
    Kish's design effect; 1 where questions on one picture have nothing in common, sqrt(n) where all n on a
    picture come out alike. 1 also where all answers are right, or none.
    """
    share = correct.mean()
    if share in (0, 1):
        return 1.0
    _, which = np.unique(pictures, return_inverse=True)
    surplus = np.bincount(which, correct) - share * np.bincount(which)
    return math.sqrt((surplus**2).sum() / (share * (1 - share) * len(correct)))


def paired_difference(only_first: int, only_second: int, n: int) -> tuple[float, float, float]:
    """Difference of two shares of the same n questions, with its 95 % interval: (difference, low, high), -1..1.

    `only_first` of them only the first got right, `only_second` only the second; the others say
    nothing of the difference. Bonett and Price's interval (2012): Wald's after one question more in
    each of the two cells, which keeps its coverage where the two hardly differ.
    Raises ValueError unless both counts are 0 or more and sum to at most n, n >= 1.
    """
    if not (only_first >= 0 and only_second >= 0 and max(1, only_first + only_second) <= n):
        raise ValueError(f"expected counts of 0 or more among n questions, found {only_first}, {only_second}, {n}")
    z = float(scipy.stats.norm.ppf(0.975))
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    reach = z * math.sqrt((first + second - (first - second) ** 2) / (n + 2))
    low, high = max(first - second - reach, -1.0), min(first - second + reach, 1.0)
    return (only_first - only_second) / n, low, high


def mean_and_sd(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean, standard deviation (of the runs, n - 1) and Student's 95 % interval of the mean: (mean, sd, low, high).

    For a figure of several trainings that differ only by their seed. Raises ValueError for fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"expected the figures of at least two runs, found {len(values)}")
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(scipy.stats.t.ppf(0.975, len(values) - 1)) * sd / math.sqrt(len(values))
    return mean, sd, mean - reach, mean + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for there being several of them (Holm 1979): each 0..1, in the order given.

    Calling those below 0.05 significant is wrong about any of them with a probability of at most 5 %.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected.tolist()


COLUMNS = ["questions", "only first right", "only second right", "difference", "low", "high", "p"]


def mcnemar(first: Bool[np.ndarray, " questions"], second: Bool[np.ndarray, " questions"]) -> dict[str, Any]:
    """Two networks compared on the questions that each got right or not, an entry a question in the same order.

    Keys as COLUMNS: difference = accuracy of the first less that of the second, low and high its
    95 % interval, all in points of percent; p of McNemar's exact test, two-sided (1 where they
    differ nowhere).
    """
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(scipy.stats.binomtest(b, b + c).pvalue) if b + c else 1.0
    bounds = (100 * value for value in paired_difference(b, c, len(first)))
    return dict(zip(COLUMNS, (len(first), b, c, *bounds, p), strict=True))


def compare_pairs(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`mcnemar` for every two networks: a row a pair; index first, second.

    Raises DataError where two tables are not of the same questions.
    """
    pairs = list(combinations(predictions, 2))
    rows = []
    for first, second in pairs:
        require_same_questions(predictions[first], predictions[second])
        rows.append(
            mcnemar(predictions[first]["correct"].to_numpy(bool), predictions[second]["correct"].to_numpy(bool))
        )
    index = pd.MultiIndex.from_tuples(pairs, names=["first", "second"]) if pairs else None
    return pd.DataFrame(rows, index=index, columns=COLUMNS)


def compare_by_type(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """`mcnemar` over all questions and for each type that occurs; p of the types corrected by Holm's method.

    Raises DataError where the tables are not of the same questions.
    """
    require_same_questions(first, second)
    types = first["type"].to_numpy(str)
    right = first["correct"].to_numpy(bool), second["correct"].to_numpy(bool)
    rows = {ALL: mcnemar(*right)}
    for kind in QUESTION_TYPES:
        if (types == kind).any():
            rows[kind] = mcnemar(*(one[types == kind] for one in right))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).rename_axis("type")
    return table.assign(p=[table["p"].iloc[0], *holm(table["p"].iloc[1:].tolist())])


def require_same_questions(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Raise DataError unless two tables of predictions have the same questions in the same order."""
    same = len(first) == len(second) and all(
        np.array_equal(first[name], second[name]) for name in ("type", "truth", "image_index") if name in first
    )
    if not same:
        raise DataError(
            f"expected two tables of predictions on the same questions, found {len(first):,} and {len(second):,} rows "
            "of different questions. Evaluate both weights on the same split of the same set."
        )


@dataclass(frozen=True)
class Effect:
    """How wrong answers differ from right ones of the same type in some quantity.

    `share` (0..1): take a wrong and a right answer of one type; how often does the wrong one have
    the greater value (ties count half)? 0.5: no relation. `p`: of the stratified rank-sum test.
    NaN where no type has both right and wrong answers.
    """

    questions: int
    wrong: int
    share: float
    p: float


def effect_within_types(predictions: pd.DataFrame, values: Float[np.ndarray, " questions"]) -> Effect:
    """Whether wrong answers have other values than right ones of the same type; questions with NaN are left out.

    Wilcoxon's rank-sum test, its statistic summed over the types (van Elteren 1960 with equal weights of
    pairs), two-sided, normal approximation, corrected for ties. With one type it is Mann and
    Whitney's test.
    """
    known = np.isfinite(values)
    wrong = ~predictions["correct"].to_numpy(bool)[known]
    types, values = predictions["type"].to_numpy(str)[known], values[known]
    above = pairs = variance = 0.0
    for kind in np.unique(types):
        here = types == kind
        ranks, lost = scipy.stats.rankdata(values[here]), wrong[here]
        n, n_wrong = len(ranks), int(lost.sum())
        n_right = n - n_wrong
        if n_wrong and n_right:
            above += ranks[lost].sum() - n_wrong * (n_wrong + 1) / 2
            pairs += n_wrong * n_right
            variance += n_wrong * n_right * float(ranks.var(ddof=1)) / n
    if not pairs:
        return Effect(int(known.sum()), int(wrong.sum()), float("nan"), float("nan"))
    p = 2 * scipy.stats.norm.sf(abs(above - pairs / 2) / np.sqrt(variance)) if variance else 1.0
    return Effect(int(known.sum()), int(wrong.sum()), above / pairs, float(p))


def seed_groups(models: Mapping[str, Weights]) -> dict[str, list[str]]:
    """The models that differ by seed only, two or more of them, by a name for all: "state x 3 seeds".

    Compared are preset, vocabulary, recipe and data, as the weights' provenance has them; the
    epoch may differ, for each training keeps its own best. Weights without a recorded recipe
    (the 2018 implementation's of 2018) belong to no group, and neither do two files of one training.
    """
    found: dict[bytes, dict[Any, str]] = {}
    for name, weights in models.items():
        origin = weights.info.get("provenance", {})
        if "recipe" not in origin:
            continue
        recipe = dict(origin["recipe"])
        seed = recipe.pop("seed", None)
        setting = [weights.preset, weights.vocabulary, recipe, origin.get("data"), origin.get("start")]
        found.setdefault(msgspec.json.encode(setting, order="sorted"), {}).setdefault(seed, name)
    groups = [list(names.values()) for names in found.values() if len(names) > 1]
    return {f"{names[0]} × {len(names)} seeds": names for names in groups}


def seed_variance(accuracies: pd.DataFrame, groups: Mapping[str, list[str]]) -> pd.DataFrame:
    """Mean and spread over seeds of each accuracy: a row a group, by and name, in percent.

    `accuracies`: `accuracy_table` of rnlib.evaluation.tables; `groups`: `seed_groups`. Columns: model,
    by, name, questions, accuracy (mean), sd, low, high (95 % t-interval of the mean), seeds.
    """
    columns = ["model", "by", "name", "questions", "accuracy", "sd", "low", "high", "seeds"]
    rows = []
    for group, names in groups.items():
        chosen = accuracies[accuracies["model"].isin(names)]
        for (by, name), part in chosen.groupby(["by", "name"], sort=False):
            mean, sd, low, high = mean_and_sd(part["accuracy"].tolist())
            rows.append((group, by, name, int(part["questions"].iloc[0]), mean, sd, low, high, len(part)))
    return pd.DataFrame(rows, columns=columns)
