"""The question-type baseline: answer each question with the commonest training answer of its type.

It sees neither picture nor question but the type, so it says what chance gives when a
model has learnt which answers belong to which type (41.8 % on CLEVR test; Johnson et al. 2017).
"""

import numpy as np
import pandas as pd

from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.clevr.split import Split


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
