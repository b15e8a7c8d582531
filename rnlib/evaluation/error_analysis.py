"""Where a network is weakest, found from its answers alone, and which of its mistakes to look at."""

import numpy as np
import pandas as pd
import scipy

from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.evaluation.confusion import frequent_confusions
from rnlib.evaluation.statistics import holm, wilson_bounds

SIGNIFICANT = 0.05
COMPARED = ["p", "with", "with low", "with high", "without", "without low", "without high"]
RATIO = ["ratio", "ratio low", "ratio high"]


def weakest_types(predictions: pd.DataFrame, baseline: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each question type against all other questions together, the weakest first.

    Index type. Columns: questions, accuracy, low, high (percent, 95 % Wilson interval), others (accuracy of all other
    questions), baseline (accuracy of `question_type_baseline`; NaN without it), p (Fisher's exact test that type and
    others are equal, Holm's correction for the types), weak (below the others, and p < 0.05).
    """
    types, correct = predictions["type"].to_numpy(str), predictions["correct"].to_numpy(bool)
    rows = {}
    for kind in QUESTION_TYPES:
        here = types == kind
        if here.any():
            rows[kind] = {"questions": int(here.sum()), **_compared(here, ~correct)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["questions", *COMPARED]).rename_axis("type")
    table = table.assign(accuracy=100 - table.pop("with"), others=100 - table.pop("without"))
    table = table.assign(low=100 - table.pop("with high"), high=100 - table.pop("with low"))
    table["baseline"] = np.nan if baseline is None else baseline["accuracy"]
    table["p"] = holm(table["p"].tolist())
    table["weak"] = (table["p"] < SIGNIFICANT) & (table["accuracy"] < table["others"])
    columns = ["questions", "accuracy", "low", "high", "others", "baseline", "p", "weak"]
    return table[columns].sort_values("accuracy", kind="stable")


def weak_kinds(weakest: pd.DataFrame, most: int = 2) -> list[str]:
    """The types shown to be weak (of `weakest_types`), the weakest first; where there is none, the `most` lowest."""
    shown = weakest.index[weakest["weak"]].tolist()
    return shown or weakest.index[weakest["accuracy"] < weakest["others"]][:most].tolist()


def error_by_trait(predictions: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Errors of questions with a trait against those without it, the trait with the greatest ratio first.

    `traits`: a bool column a trait, a row a question. Columns: questions (with the trait), with, with
    low, with high, without, without low, without high (percent wrong, 95 % Wilson intervals), ratio,
    ratio low, ratio high (Katz's log interval; NaN without errors on both sides), p (Fisher, Holm).
    Traits that all questions have, or none, are left out.
    """
    wrong = ~predictions["correct"].to_numpy(bool)
    rows = {}
    for trait in traits:
        has = traits[trait].to_numpy(bool)
        if has.any() and not has.all():
            row = _compared(has, wrong)
            rows[trait] = {"questions": int(has.sum()), **row, **_ratio(has, wrong)}
    columns = ["questions", *COMPARED, *RATIO]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("trait")
    return table.assign(p=holm(table["p"].tolist())).sort_values("ratio", ascending=False, kind="stable")


def in_common(predictions: pd.DataFrame, traits: pd.DataFrame, kinds: list[str]) -> list[str]:
    """The traits that nearly all questions (95 %) of each of these types have, and at most half of all others."""
    types = predictions["type"].to_numpy(str)
    others = ~np.isin(types, kinds)
    found = []
    for trait in traits:
        has = traits[trait].to_numpy(bool)
        everywhere = all(has[types == kind].mean() >= 0.95 for kind in kinds)
        if kinds and everywhere and not (others.any() and has[others].mean() > 0.5):
            found.append(str(trait))
    return found


def _compared(has: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Percent wrong with and without something, with intervals, and p of Fisher's exact test."""
    counts = np.array([has.sum(), (~has).sum()])
    errors = np.array([(has & wrong).sum(), (~has & wrong).sum()])
    row: dict[str, float] = {"p": 1.0}
    for name, n, hits in zip(("with", "without"), counts, errors, strict=True):
        low, high = wilson_bounds(np.array([hits]), np.array([n])) if n else (np.array([np.nan]),) * 2
        row |= {name: 100 * hits / n if n else np.nan, f"{name} low": 100 * low[0], f"{name} high": 100 * high[0]}
    if counts.all():
        row["p"] = float(scipy.stats.fisher_exact([errors, counts - errors]).pvalue)
    return row


def _ratio(has: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Ratio of the two shares of errors, with Katz's interval: ln ratio ± z sqrt(1/a - 1/n + 1/b - 1/m)."""
    a, n, b, m = (int(value.sum()) for value in (has & wrong, has, ~has & wrong, ~has))
    if not (a and b):
        return dict.fromkeys(RATIO, float("nan"))
    ratio = (a / n) / (b / m)
    spread = float(scipy.stats.norm.ppf(0.975)) * np.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    return {"ratio": ratio, "ratio low": ratio * np.exp(-spread), "ratio high": ratio * np.exp(spread)}


def hardest_mistakes(predictions: pd.DataFrame, n: int) -> list[int]:
    """Rows of up to n questions answered wrongly with the greatest loss, that is: the truth thought least likely.

    At most one a picture, so that one odd scene does not fill the gallery. Greatest loss first.
    `predictions`: what `predict` returns, or some of its rows; a row is a question of the split, from 0.
    """
    wrong = predictions[~predictions["correct"].astype(bool)].sort_values("loss", ascending=False, kind="stable")
    return wrong.drop_duplicates("image_index").index[:n].tolist()


def typical_mistakes(predictions: pd.DataFrame, n: int) -> list[int]:
    """Rows of up to n questions that represent the n most frequent kinds of mistake, the most frequent first.

    A kind is what was asked, what was true and what was answered: (count, 2, 1). Of its questions
    the one with the middle loss is taken: neither the surest nor the closest miss.
    """
    wrong = predictions[~predictions["correct"].astype(bool)].sort_values("loss", kind="stable")
    kinds = wrong.groupby(["type", "truth", "answer"])
    frequent = kinds.size().sort_values(ascending=False, kind="stable").index[:n]
    rows = (kinds.get_group(kind).index for kind in frequent)
    return [int(of_kind[(len(of_kind) - 1) // 2]) for of_kind in rows]


SURE = 50  # questions in a selection of the surest


def error_selections(predictions: pd.DataFrame, most: int = 8) -> dict[str, list[int]]:
    """Name -> question numbers (from 0), surest answers first; empty selections are left out.

    All wrong answers; the `most` most frequent confusions; the weakest type (`weak_kinds`); invalid answers; counts
    off by two or more; and right answers that were hardly believed.
    """
    correct = predictions["correct"].to_numpy(bool)
    probability = predictions["probability"].to_numpy(float)
    selections = {"all wrong answers": ~correct}
    confusions = frequent_confusions(predictions, most)
    for truth, answer in zip(confusions["truth"], confusions["answer"], strict=True):
        mistaken = (predictions["truth"] == truth) & (predictions["answer"] == answer)
        selections[f"{truth} taken for {answer}"] = mistaken.to_numpy(bool)
    if (~correct).any() and predictions["type"].isin(QUESTION_TYPES).any():
        for weakest in weak_kinds(weakest_types(predictions))[:1]:
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
