"""Selections of questions worth looking at one by one: each a name and the numbers of its questions."""

import numpy as np
import pandas as pd

from rnlib.evaluation.confusion import frequent_confusions

SURE = 50  # questions in a selection of the surest


def error_selections(predictions: pd.DataFrame, most: int = 8) -> dict[str, list[int]]:
    """Name -> question numbers (from 0), surest answers first; empty selections are left out.

    All wrong answers; the `most` most frequent confusions; the type with the lowest accuracy; invalid answers; counts
    off by two or more; and right answers that were hardly believed.
    """
    correct = predictions["correct"].to_numpy(bool)
    probability = predictions["probability"].to_numpy(float)
    selections = {"all wrong answers": ~correct}
    confusions = frequent_confusions(predictions, most)
    for truth, answer in zip(confusions["truth"], confusions["answer"], strict=True):
        mistaken = (predictions["truth"] == truth) & (predictions["answer"] == answer)
        selections[f"{truth} taken for {answer}"] = mistaken.to_numpy(bool)
    if (~correct).any():
        weakest = str(predictions.groupby("type")["correct"].mean().idxmin())
        selections[f"weakest type, {weakest}: wrong"] = ~correct & (predictions["type"] == weakest).to_numpy(bool)
    selections["invalid answers"] = predictions["invalid"].to_numpy(bool)
    numbers = [pd.to_numeric(predictions[column], errors="coerce") for column in ("answer", "truth")]
    selections["counts off by two or more"] = (numbers[0] - numbers[1]).abs().ge(2).to_numpy(bool)
    found = {}
    for name, chosen in selections.items():
        rows = np.flatnonzero(chosen)
        if len(rows):
            label = f"{name} ({len(rows):,})"
            found[label] = rows[np.argsort(-probability[rows], kind="stable")].tolist()
    unsure = np.flatnonzero(correct)
    unsure = unsure[np.argsort(probability[unsure], kind="stable")][:SURE]
    if len(unsure):
        found[f"right, but hardly believed ({len(unsure)})"] = unsure.tolist()
    return found
