"""Accuracy along a quantity: the number of objects, the length of a question, how far objects stand apart.

Questions of different types are spread differently over such a quantity: crowded scenes have
more large counts. So beside the accuracy stands what the types alone would make of it, and
`effect_within_types` compares only questions of one type.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, Shaped
from scipy.stats import norm, rankdata

from rnlib.evaluation.intervals import wilson_bounds


def bins_of(values: Shaped[np.ndarray, " questions"], most: int = 8) -> Integer[np.ndarray, " questions"]:
    """The bin of each value, from 0; -1 for a missing one.

    A bin a value where at most `most` different values occur, else about `most` bins of equally many questions.
    """
    known = ~pd.isna(values)
    bins = np.full(len(values), -1)
    if known.any():
        different, which = np.unique(values[known], return_inverse=True)
        if len(different) > most:
            which = pd.qcut(values[known], most, labels=False, duplicates="drop")
        bins[known] = which
    return bins


def accuracy_along(
    predictions: pd.DataFrame, values: Shaped[np.ndarray, " questions"], name: str, most: int = 8
) -> pd.DataFrame:
    """Accuracy in percent along `values`, one a question (NaN: left out), a row a bin of `bins_of`.

    Index `name`: the mean value in the bin. Columns: questions, accuracy, low, high (95 % Wilson
    interval), expected (the accuracy if it depended on nothing but the question's type), least and
    greatest (values in the bin).
    """
    bins = bins_of(values, most)
    known = bins >= 0
    correct = predictions["correct"].to_numpy(bool)[known]
    expected = pd.Series(correct).groupby(predictions["type"].to_numpy(str)[known]).transform("mean")
    table = pd.DataFrame({"value": values[known].astype(float), "correct": correct, "expected": expected})
    grouped = table.groupby(bins[known])
    questions, hits = grouped.size().to_numpy(), grouped["correct"].sum().to_numpy()
    low, high = wilson_bounds(hits, questions)
    columns = {
        "questions": questions,
        "accuracy": 100 * hits / questions,
        "low": 100 * low,
        "high": 100 * high,
        "expected": 100 * grouped["expected"].mean().to_numpy(),
        "least": grouped["value"].min().to_numpy(),
        "greatest": grouped["value"].max().to_numpy(),
    }
    return pd.DataFrame(columns, index=pd.Index(grouped["value"].mean().to_numpy(), name=name))


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
        ranks, lost = rankdata(values[here]), wrong[here]
        n, n_wrong = len(ranks), int(lost.sum())
        n_right = n - n_wrong
        if n_wrong and n_right:
            above += ranks[lost].sum() - n_wrong * (n_wrong + 1) / 2
            pairs += n_wrong * n_right
            variance += n_wrong * n_right * float(ranks.var(ddof=1)) / n
    if not pairs:
        return Effect(int(known.sum()), int(wrong.sum()), float("nan"), float("nan"))
    p = 2 * norm.sf(abs(above - pairs / 2) / np.sqrt(variance)) if variance else 1.0
    return Effect(int(known.sum()), int(wrong.sum()), above / pairs, float(p))
