"""Figures that set models against each other, against the published figures and against their own confidence."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnlib.clevr.constants import TYPE_GROUPS
from rnlib.evaluation.calibration import BINS
from rnlib.evaluation.error_analysis import SIGNIFICANT
from rnlib.evaluation.metrics import ALL, BASELINE
from rnlib.style import MARKERS, PALETTE

BLUE, ORANGE, GREY = PALETTE[0], PALETTE[1], "0.6"
_SPLIT_MARKS: dict[str, dict[str, Any]] = {
    "test": {"marker": "s", "linestyle": ""},
    "val": {"marker": "s", "linestyle": "", "markerfacecolor": "white"},
    "not named": {"marker": "D", "linestyle": "", "markerfacecolor": "white"},
}


def plot_published(accuracies: pd.DataFrame, published: pd.DataFrame, where: str, title: str) -> Figure:
    """Our models above the published figures: overall and the five groups, a panel each.

    `accuracies`: `accuracy_table` of rnlib.evaluation.tables, measured on the split `where`; `published`: that of
    rnlib.evaluation.tables. Ours have 95 % Wilson intervals; the published ones give none.
    """
    models = list(accuracies["model"].unique())
    rows = [f"{model} ({where})" for model in models] + (published["model"] + " (" + published["split"] + ")").tolist()
    panels = ["overall", *TYPE_GROUPS]
    figure, grid = plt.subplots(
        1, len(panels), figsize=(11, 1.2 + 0.27 * len(rows)), sharey=True, layout="constrained", squeeze=False
    )
    for axes, name in zip(grid[0], panels, strict=True):
        by, what = ("overall", ALL) if name == "overall" else ("group", name)
        own = accuracies[(accuracies["by"] == by) & (accuracies["name"] == what)]
        places = [models.index(model) for model in own["model"]]
        axes.errorbar(own["accuracy"], places, xerr=_reach(own), fmt="o", color=ORANGE, ms=5, lw=1.6, capsize=2)
        for place, (value, split) in enumerate(zip(published[name], published["split"], strict=True)):
            axes.plot(value, len(models) + place, **_SPLIT_MARKS[split], color=BLUE, ms=5)
        axes.axhline(len(models) - 0.5, color="0.6", lw=1)
        axes.margins(x=0.08)
        axes.set_xlabel("right (%)")
        axes.set_title(name.replace(" ", "\n"), fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0][0].set_yticks(range(len(rows)), rows, fontsize=9)
    grid[0][0].set_ylim(len(rows) - 0.4, -0.6)
    grid[0][0].plot([], [], "o-", color=ORANGE, label="measured here, 95 % interval")
    for split, marks in _SPLIT_MARKS.items():
        grid[0][0].plot([], [], **marks, color=BLUE, ms=5, label=f"published, split: {split}")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    return figure


def plot_paired(table: pd.DataFrame, first: str, second: str) -> Figure:
    """Where one of two networks is better: the difference by question type with its 95 % interval.

    `table`: `compare_by_type` of rnlib.evaluation.statistics. Filled: p < 0.05 after correction.
    """
    figure, axes = plt.subplots(figsize=(8.5, 1.5 + 0.33 * len(table)), layout="constrained")
    for place, row in enumerate(table.to_dict("records")):
        middle = row["difference"]
        color = BLUE if middle > 0 else ORANGE if middle < 0 else GREY
        axes.errorbar(
            middle, place, xerr=[[max(middle - row["low"], 0)], [max(row["high"] - middle, 0)]], fmt="o", color=color,
            ms=6, lw=1.6, capsize=2.5, markerfacecolor=color if row["p"] < SIGNIFICANT else "white",
        )  # fmt: skip
    axes.axvline(0, color="0.4", lw=1)
    axes.axhline(0.5, color="0.85", lw=1)
    axes.set_yticks(range(len(table)), [f"{kind}  ({n:,})" for kind, n in table["questions"].items()])
    axes.set_ylim(len(table) - 0.4, -0.6)
    reach = max(5.0, 1.05 * float(np.abs(table[["low", "high"]].to_numpy()).max()))
    axes.set_xlim(-reach, reach)
    axes.set(
        title=f"{first} against {second}, on the same questions",
        xlabel=f"difference (percentage points), 95 % interval\n← {second} better          {first} better →",
        ylabel="question type (questions)",
    )
    axes.plot([], [], "o", color="0.3", label="p < 0.05 (McNemar, types corrected after Holm)")
    axes.plot([], [], "o", color="0.3", markerfacecolor="white", label="not shown to differ")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_calibration(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Left the reliability diagram, right how often each confidence occurs. `tables`: `reliability_table` by model."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    left.plot([0, 100], [0, 100], color="0.6", ls="--", lw=1.2, label="as sure as right")
    width = 100 / BINS
    for number, (model, table) in enumerate(tables.items()):
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        left.errorbar(
            table["confidence"], table["accuracy"], yerr=_reach(table), fmt=f"{marker}-", color=color, ms=5, lw=1.3,
            capsize=2.5, label=model,
        )  # fmt: skip
        bar = 0.85 * width / len(tables)
        places = width * (table.index + 0.5) + bar * (number - (len(tables) - 1) / 2)
        right.bar(places, 100 * table["questions"] / table["questions"].sum(), bar, color=color)
    left.set(title="are sure answers right?", xlim=(0, 101), ylim=(0, 101))
    left.set(xlabel="probability of the answer given (%)", ylabel="right answers (%), 95 % interval")
    right.set(title="how sure are the answers?", xlim=(0, 100))
    right.set(xlabel="probability of the answer given (%)", ylabel="share of the answers (%)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    return figure


def plot_weakest(weakest: pd.DataFrame, traits: pd.DataFrame, title: str) -> Figure:
    """Left the question types, weakest first; right the errors of questions with a trait and without it.

    `weakest`: `weakest_types`, `traits`: `error_by_trait` of rnlib.evaluation.error_analysis. Orange: by
    more than chance. The grey bars are the question-type baseline.
    """
    height = 1.6 + 0.31 * max(len(weakest), 1.6 * len(traits))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, height), layout="constrained")
    places = np.arange(len(weakest))
    left.scatter(weakest["baseline"], places, marker="|", s=140, color="0.55", linewidths=3, label=BASELINE)
    for chosen, color in ((weakest["weak"], ORANGE), (~weakest["weak"], BLUE)):
        rows = weakest[chosen]
        left.errorbar(
            rows["accuracy"], places[chosen], xerr=_reach(rows), fmt="o", color=color, ms=5, lw=1.6, capsize=2.5
        )
    overall = np.average(weakest["accuracy"], weights=weakest["questions"])
    left.axvline(overall, color="0.5", ls="--", lw=1.2)
    left.set_yticks(range(len(weakest)), [f"{kind} ({n:,})" for kind, n in weakest["questions"].items()])
    left.set_ylim(len(weakest) - 0.4, -0.6)
    left.set_title(f"by type (dashed: {ALL}, {overall:.1f} %)", fontsize=10)
    left.set_xlabel("right answers (%), 95 % interval")
    for place, row in enumerate(traits.to_dict("records")):
        more = row["p"] < SIGNIFICANT and row["ratio"] > 1
        for name, offset, color, marker in (
            ("with", -0.15, ORANGE if more else BLUE, "o"),
            ("without", 0.15, GREY, "s"),
        ):
            reach = [[max(row[name] - row[f"{name} low"], 0)], [max(row[f"{name} high"] - row[name], 0)]]
            right.errorbar(row[name], place + offset, xerr=reach, fmt=marker, color=color, ms=5, lw=1.6, capsize=2.5)
    names = [
        trait.replace(" of ", "\nof ").replace(", color", ",\ncolor").replace(" by ", "\nby ") for trait in traits.index
    ]
    right.set_yticks(range(len(traits)), names, fontsize=9)
    right.set_ylim(len(traits) - 0.4, -0.6)
    right.set_xlim(left=0)
    right.set_title("questions that … (grey: those that do not)", fontsize=10)
    right.set_xlabel("wrong answers (%), 95 % interval")
    right.plot([], [], "o-", color=ORANGE, label="worse than the rest (p < 0.05, Fisher, Holm)")
    right.plot([], [], "o-", color=BLUE, label="not shown to be worse")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title)
    return figure


def _reach(table: pd.DataFrame) -> np.ndarray:
    """How far the intervals of `accuracy` reach to either side, (2, rows), as errorbar wants it."""
    return np.array([table["accuracy"] - table["low"], table["high"] - table["accuracy"]]).clip(0)
