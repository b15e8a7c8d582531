"""Consistency on minimal pairs: of two questions alike, on scenes that differ in one thing, both answered correctly.

A network that did not look would give both the same answer, and be right on one at most. Source: Gardner et al. 2020,
"Evaluating models' local decision boundaries via contrast sets".
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rnlib.clevr.schema import read_questions
from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.evaluation.statistics import wilson

ANY_CHANGE = "all pairs"
COLUMNS = ["pairs", "both right", "low", "high", "one right", "none right", "same answer"]


def consistency(predictions: pd.DataFrame, split: Split) -> pd.DataFrame | None:
    """How often both questions of a minimal pair are answered correctly, by what differs.

    predictions: of all questions of the split, in its order; None comes back for a part of them, and for a split
    without pairs. Index change (ANY_CHANGE first), columns as COLUMNS, in percent but for pairs; low and high: the 95 %
    Wilson interval of "both right". Raises DataError where partners do not name each other.
    """
    path = split.directory.questions(split.name)
    records = read_questions(path)
    if next(records).partner is None:
        return None
    pairs = [(record.partner, record.change or "") for record in read_questions(path)]
    partners = np.array([-1 if partner is None else partner for partner, _ in pairs])
    numbers = np.arange(len(partners))
    named = ((partners >= 0) & (partners < len(numbers)) & (partners != numbers)).all()
    if len(predictions) != len(numbers):
        return None
    if not named or (partners[partners] != numbers).any():
        raise DataError(
            f"{path}: expected questions in pairs that name each other as partners, found others. "
            "Make the set again (data synthesize --minimal-pairs)."
        )
    first = numbers[numbers < partners]
    right, answers = predictions["correct"].to_numpy(bool), predictions["answer"].to_numpy(str)
    hits = right[first].astype(int) + right[partners[first]]
    same = answers[first] == answers[partners[first]]
    changes = np.array([change for _, change in pairs])[first]
    rows = {ANY_CHANGE: _row(hits, same)}
    rows |= {change: _row(hits[changes == change], same[changes == change]) for change in dict.fromkeys(changes)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).rename_axis("change")


def _row(hits: np.ndarray, same: np.ndarray) -> list[int | float]:
    bounds = wilson(int((hits == 2).sum()), len(hits))
    shares = [100 * float(value) for value in ((hits == 2).mean(), *bounds, (hits == 1).mean(), (hits == 0).mean())]
    return [len(hits), *shares, 100 * float(same.mean())]


def consistency_text(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The table as plain text for a terminal; `rows` by change, as metrics.json has them."""
    return pd.DataFrame.from_dict(dict(rows), orient="index").round(1).to_string()
