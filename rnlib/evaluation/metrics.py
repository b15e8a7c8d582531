"""Loss, accuracy and invalid answers from predictions, and the question-type baseline to compare them with.

The baseline gives each question the most frequent training answer of its type. It sees neither picture nor
question but the type: 41.8 % on CLEVR test (Johnson et al. 2017).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES, TYPE_GROUPS
from rnlib.clevr.split import Split, open_split

ALL, BASELINE = "all questions", "question-type baseline"


def compute_metrics(predictions: pd.DataFrame) -> dict[str, Any]:
    """The metrics of a table of predictions, as in metrics.json. All fractions are 0..1.

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


def question_type_baseline(train: Split, split: Split) -> pd.DataFrame:
    """Give each question of `split` the most frequent answer of its type in `train`.

    Index type (those that both splits have; none without programs), then ALL. Columns: questions (of `split`), answer
    (empty for ALL), accuracy (percent).
    """
    rows: dict[str, tuple[int, str, float]] = {}
    for number, kind in enumerate(QUESTION_TYPES):
        truths, seen = split.answers[split.types == number], train.answers[train.types == number]
        if len(truths) and len(seen):
            answer = train.vocabulary.answers[int(np.bincount(seen).argmax()) - 1]
            correct = truths == split.vocabulary.number_of_answer.get(answer, 0)
            rows[kind] = (len(truths), answer, 100 * float(correct.mean()))
    if not rows:  # no programs, hence no types: all questions are of one
        answer = train.vocabulary.answers[int(np.bincount(train.answers).argmax()) - 1]
        correct = split.answers == split.vocabulary.number_of_answer.get(answer, 0)
        rows[ALL] = (split.n_questions, answer, 100 * float(correct.mean()))
        return _baseline_table(rows)
    total = sum(questions for questions, _, _ in rows.values())
    rows[ALL] = (total, "", sum(questions * accuracy for questions, _, accuracy in rows.values()) / total)
    return _baseline_table(rows)


def _baseline_table(rows: dict[str, tuple[int, str, float]]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["questions", "answer", "accuracy"])
    return table.rename_axis("type")


def training_split(split: Split, cache: Path | str | None = None) -> Split:
    """The training split of the set that `split` is of, without pictures; `split` itself where the set has none.

    In the second case the question-type baseline comes out a little too good. One without answers does not count.
    """
    for name in split.directory.splits():
        if name == split.name and name.startswith("train"):
            return split
        if name.startswith("train") and split.directory.files[name].questions:
            train = open_split(split.directory.root, name, images=None, cache=cache)
            if train.has_answers:
                return train
    return split


def compare_types(models: Mapping[str, Mapping[str, Any]], baseline: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent by type, ALL last: the question-type baseline, then each model. `models`: metrics by name."""
    table = baseline[["questions"]].assign(**{BASELINE: baseline["accuracy"]})
    for name, metrics in models.items():
        accuracies = {kind: entry["accuracy"] for kind, entry in metrics["by_type"].items()}
        table[name] = 100 * pd.Series({**accuracies, ALL: metrics["accuracy"]})
    return table.round(1)
