"""Two networks on the same questions: which of them is better, and is it more than chance?

Both answered every question, so only those count on which they differ: b that only the first
got right, c that only the second did. If both were equally good, each of these b + c questions
would fall to either side like a coin; McNemar's exact test (1947) gives the probability that a
fair coin falls as unevenly, or more so.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from scipy.stats import binomtest

from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.errors import DataError
from rnlib.evaluation.intervals import holm, paired_difference
from rnlib.evaluation.models import ALL

COLUMNS = ["questions", "only first right", "only second right", "difference", "low", "high", "p"]


def mcnemar(first: Bool[np.ndarray, " questions"], second: Bool[np.ndarray, " questions"]) -> dict[str, Any]:
    """Two networks compared on the questions that each got right or not, an entry a question in the same order.

    Keys as COLUMNS: difference = accuracy of the first less that of the second, low and high its
    95 % interval, all in points of percent; p of McNemar's exact test, two-sided (1 where they
    differ nowhere).
    """
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(b, b + c).pvalue) if b + c else 1.0
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
