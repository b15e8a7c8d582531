"""Figures from predictions: loss, accuracy and invalid rate, overall and by type, group and answer class."""

from typing import Any

import pandas as pd

from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES, TYPE_GROUPS


def compute_metrics(predictions: pd.DataFrame) -> dict[str, Any]:
    """The metrics of a table of predictions, as they stand in metrics.json. All fractions are 0..1.

    Keys: accuracy, loss (mean negative log-likelihood, nats), n, invalid, and by_type,
    by_group, by_answer_class, whose entries hold n and accuracy, answer classes also invalid.
    Groups without questions are left out.
    """
    return {
        "accuracy": float(predictions["correct"].mean()),
        "loss": float(predictions["loss"].mean()),
        "n": len(predictions),
        "invalid": float(predictions["invalid"].mean()),
        "by_type": _by(predictions, "type", QUESTION_TYPES),
        "by_group": _by(predictions, "group", tuple(TYPE_GROUPS)),
        "by_answer_class": _by(predictions, "answer_class", tuple(ANSWER_CLASSES), invalid=True),
    }


def _by(
    predictions: pd.DataFrame, column: str, names: tuple[str, ...], invalid: bool = False
) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for name in names:
        chosen = predictions[predictions[column] == name]
        if len(chosen):
            entries[name] = {"n": len(chosen), "accuracy": float(chosen["correct"].mean())}
            if invalid:
                entries[name]["invalid"] = float(chosen["invalid"].mean())
    return entries
