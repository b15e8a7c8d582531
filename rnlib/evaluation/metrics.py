"""Loss, accuracy and invalid answers from predictions, and the question-type baseline to compare them with.

The baseline gives each question the most frequent training answer of its type. It sees neither picture nor
question but the type: 41.8 % on CLEVR test (Johnson et al. 2017).
"""

from typing import Any

import numpy as np
import pandas as pd

from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES, TYPE_GROUPS
from rnlib.clevr.split import Split

ALL = "all questions"


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


def question_type_baseline(train: Split, val: Split) -> pd.DataFrame:
    """A row a question type of `val`: questions, answer (the commonest in `train`), accuracy (0..1) of giving it."""
    rows = []
    for number, kind in enumerate(QUESTION_TYPES):
        asked = val.answers[val.types == number]
        seen = train.answers[train.types == number]
        if len(asked) and len(seen):
            answer = train.vocabulary.answers[int(np.bincount(seen).argmax()) - 1]
            right = asked == val.vocabulary.number_of_answer.get(answer, 0)
            rows.append((kind, len(asked), answer, float(right.mean())))
    return pd.DataFrame(rows, columns=["type", "questions", "answer", "accuracy"])


def compare_types(models: dict[str, dict], baseline: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent by type: the question-type baseline, then each model by name; overall in the last row."""
    table = baseline.set_index("type")[["questions"]].copy()
    table["commonest answer"] = 100 * baseline.set_index("type")["accuracy"]
    for name, metrics in models.items():
        table[name] = pd.Series({kind: 100 * entry["accuracy"] for kind, entry in metrics["by_type"].items()})
    overall = {"questions": table["questions"].sum()}
    overall["commonest answer"] = float(np.average(table["commonest answer"], weights=table["questions"]))
    overall |= {name: 100 * metrics["accuracy"] for name, metrics in models.items()}
    table.loc["all questions"] = pd.Series(overall)
    return table.astype({"questions": int}).round(1)


def best_guess(predictions: pd.DataFrame) -> pd.Series:
    """Percent right of the most frequent true answer, by question type and over all: what no model should fall below.

    As if one knew the answers' frequencies in this very split; the published question-type
    baseline takes those of the training split.
    """
    counts = predictions.groupby(["type", "truth"]).size()
    hits = counts.groupby(level="type").max()
    shares = 100 * hits / counts.groupby(level="type").sum()
    shares[ALL] = 100 * hits.sum() / counts.sum()
    return shares
