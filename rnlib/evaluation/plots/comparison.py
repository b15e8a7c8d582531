"""Figures that compare models with each other, with the published figures and with their own confidence."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from rnlib.clevr.constants import TYPE_GROUPS
from rnlib.evaluation.error_analysis import SIGNIFICANT
from rnlib.evaluation.metrics import ALL
from rnlib.evaluation.plots.accuracy import counted, draw_baseline
from rnlib.style import PALETTE, colors_of, empty_figure, label, legend_below, markers_of, point_plot

BLUE, ORANGE, GREEN, GREY = *PALETTE[:3], "0.6"


def plot_published(accuracies: pd.DataFrame, published: pd.DataFrame, where: str, title: str) -> Figure:
    """Our models above the published figures: overall and the five groups, one panel each.

    `accuracies`: `accuracy_table` of rnlib.evaluation.tables, measured on the split `where`; `published`: that of
    rnlib.evaluation.tables. Ours have 95 % Wilson intervals; the published ones give none.
    """
    own = accuracies.assign(name=accuracies["name"].replace(ALL, "overall"), kind="measured here, 95 % interval")
    own = own[own["by"].isin(["overall", "group"])].assign(model=own["model"] + f" ({where})")
    others = published.melt(["model", "split"], ["overall", *TYPE_GROUPS], "name", "accuracy")
    others["model"] += " (" + others["split"] + ")"
    others["kind"] = "published, split: " + others["split"]
    table = pd.concat([own, others], ignore_index=True)
    rows, kinds = table["model"].unique(), table["kind"].unique()
    colors = dict(zip(kinds, [ORANGE, BLUE, GREEN, PALETTE[3]], strict=False))
    marker = dict(zip(kinds, "osDv", strict=False))
    size = (12, 1.4 + 0.27 * len(rows))
    figure, grid = plt.subplots(1, 6, figsize=size, sharey=True, layout="constrained")
    for axes, name in zip(grid, ["overall", *TYPE_GROUPS], strict=True):
        panel = table[table["name"] == name]
        look: dict[str, Any] = {"palette": colors, "markers": [marker[kind] for kind in panel["kind"].unique()]}
        point_plot(axes, panel, "accuracy", "model", "kind", order=rows, dodge=False, **look)
        axes.axhline(own["model"].nunique() - 0.5, color="0.6", lw=1)
        axes.set_xlim(min(30.0, float(table["accuracy"].min()) - 2), 102)
        axes.xaxis.set_major_locator(MultipleLocator(20))
        label(axes, name.replace(" ", "\n"), "correct (%)", "")
    figure.suptitle(title)
    legend_below(figure)
    return figure


def plot_paired(table: pd.DataFrame, first: str, second: str) -> Figure:
    """Where one of two networks is better: the difference by question type with its 95 % interval.

    `table`: `compare_by_type` of rnlib.evaluation.statistics. Coloured: p < 0.05 after correction.
    """
    verdicts = [f"{first} better (p < 0.05)", f"{second} better (p < 0.05)", "not shown to differ"]
    shown, ahead = table["p"] < SIGNIFICANT, table["difference"] > 0
    rows = table.reset_index().assign(verdict=np.select([shown & ahead, shown], verdicts[:2], verdicts[2]))
    rows = counted(rows, "type")
    figure, axes = plt.subplots(figsize=(8.5, 1.5 + 0.33 * len(table)), layout="constrained")
    colors = dict(zip(verdicts, (BLUE, ORANGE, GREY), strict=True))
    point_plot(axes, rows, "difference", "type", "verdict", order=rows["type"], dodge=False, palette=colors)
    axes.axvline(0, color="0.4", lw=1)
    axes.axhline(0.5, color="0.85", lw=1)
    reach = max(5.0, 1.05 * float(np.abs(table[["low", "high"]].to_numpy()).max()))
    axes.set_xlim(-reach, reach)
    way = f"difference (percentage points), 95 % interval\n← {second} better          {first} better →\n"
    way += "p: McNemar's test, types corrected by Holm's method"
    label(axes, f"{first} against {second}, on the same questions", way, "question type (questions)", "x")
    legend_below(figure)
    return figure


def plot_calibration(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Left the reliability diagram, right how many answers are at most so confident.

    `tables`: `reliability_table` by model.
    """
    table = pd.concat(tables, names=["model"]).reset_index()
    by_model = table.groupby("model")["questions"]
    table["share"] = 100 * by_model.cumsum() / by_model.transform("sum")
    colors = colors_of(len(tables))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    left.plot([0, 100], [0, 100], color="0.6", ls="--", lw=1.2, label="perfectly calibrated")
    long = table.melt(["model", "confidence"], ["low", "accuracy", "high"])
    look: dict[str, Any] = {"style": "model", "markers": markers_of(len(tables)), "dashes": False, "palette": colors}
    bounds: dict[str, Any] = {"errorbar": ("pi", 100), "err_style": "bars", "err_kws": {"capsize": 2.5}}
    sns.lineplot(long, x="confidence", y="value", hue="model", estimator="median", ax=left, **look, **bounds)
    sns.lineplot(table, x="confidence", y="share", hue="model", ax=right, legend=False, **look)
    left.set(xlim=(0, 101), ylim=(0, 101))
    right.set(xlim=(0, 101), ylim=(0, 101))
    confidence = "probability of the answer given (%)"
    label(left, "are confident answers correct?", confidence, "correct answers (%), 95 % interval")
    label(right, "how confident are the answers?", confidence, "answers at most as confident (%)")
    figure.suptitle(title)
    legend_below(figure)
    return figure


def plot_weakest(weakest: pd.DataFrame, traits: pd.DataFrame, title: str) -> Figure:
    """Left the question types, weakest first; right the errors of questions with a trait and without it.

    `weakest`: `weakest_types`, `traits`: `error_by_trait` of rnlib.evaluation.error_analysis. Orange: worse by
    more than chance. The grey marks are the question-type baseline.
    """
    if not len(weakest):
        return empty_figure(title, "no question is of a known type")
    worse, same, others = "worse than the rest (p < 0.05, Fisher, Holm)", "not shown to be worse", "the other questions"
    colors = {worse: ORANGE, same: BLUE, others: GREY}
    height = 1.6 + 0.31 * max(len(weakest), 1.6 * len(traits))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, height), layout="constrained")
    rows = counted(weakest.reset_index(), "type").assign(kind=np.where(weakest["weak"], worse, same))
    point_plot(left, rows, "accuracy", "type", "kind", order=rows["type"], dodge=False, palette=colors)
    draw_baseline(left, rows["baseline"])
    overall = np.average(weakest["accuracy"], weights=weakest["questions"])
    left.axvline(overall, color="0.5", ls="--", lw=1.2)
    label(left, f"by type (dashed: {ALL}, {overall:.1f} %)", "correct answers (%), 95 % interval", "", "x")
    sides = []
    for side in ("with", "without"):
        part = traits.rename(columns={side: "wrong", f"{side} low": "low", f"{side} high": "high"}).reset_index()
        more = (part["p"] < SIGNIFICANT) & (part["ratio"] > 1)
        sides.append(part.assign(kind=np.where(more, worse, same) if side == "with" else others))
    both = pd.concat(sides).assign(trait=lambda table: table["trait"].map(lambda name: fill(name, 28)))
    if len(both):
        point_plot(
            right, both[["trait", "kind", "wrong", "low", "high"]], "wrong", "trait", "kind", dodge=0.3, palette=colors
        )
    right.set_xlim(left=0)
    label(right, "questions that …", "wrong answers (%), 95 % interval", "", "x")
    figure.suptitle(title)
    legend_below(figure)
    return figure
