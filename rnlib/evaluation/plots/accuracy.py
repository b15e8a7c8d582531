"""Figures of accuracy with intervals: by question type, answer class and family, and binned by a number."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter, StrMethodFormatter

from rnlib.clevr.constants import GROUP_OF_TYPE
from rnlib.evaluation.metrics import BASELINE
from rnlib.style import PALETTE, colors_of, empty_figure, label, legend_below, point_plot

CORRECT = "correct answers (%), 95 % Wilson interval"


def plot_by_type(accuracies: pd.DataFrame, baseline: pd.DataFrame | None, title: str) -> Figure:
    """Accuracy of every model on each question type, with 95 % intervals; lines part the groups of types.

    `accuracies`: `accuracy_table`; `baseline`: `question_type_baseline`, drawn as a grey mark, if it is known.
    """
    chosen = accuracies[accuracies["by"].isin(["overall", "type"])]
    names = chosen["name"].unique().tolist()
    figure, axes = plt.subplots(figsize=(8.5, 1.6 + 0.36 * len(names)), layout="constrained")
    point_plot(axes, counted(chosen, "name"), "accuracy", "name", "model")
    if baseline is not None:
        draw_baseline(axes, baseline["accuracy"].reindex(names))
    groups = [GROUP_OF_TYPE.get(name) for name in names]
    for place in range(1, len(names)):
        if groups[place] != groups[place - 1]:
            axes.axhline(place - 0.5, color="0.8", lw=0.8)
    axes.set_xlim(-1, 101)
    axes.xaxis.set_major_locator(MultipleLocator(10))
    label(axes, title, CORRECT, "question type (questions)", "x")
    legend_below(figure)
    return figure


def counted(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table with its number of questions after each entry of the column `name`: "count  (1,234)"."""
    return table.assign(**{name: table[name] + table["questions"].map("  ({:,})".format)})


def draw_baseline(axes: Axes, baseline: pd.Series) -> None:
    """The question-type baseline as a grey mark on each row of a point plot."""
    axes.scatter(baseline, range(len(baseline)), marker="|", s=190, color="0.55", lw=3, label=BASELINE, zorder=1)


def plot_classes(accuracies: pd.DataFrame, title: str) -> Figure:
    """For each answer class and model: how many answers are right, of the right class but wrong, and invalid."""
    chosen = accuracies[accuracies["by"] == "answer class"]
    parts = {
        "right": chosen["accuracy"],
        "wrong, of the right class": 100 - chosen["accuracy"] - chosen["invalid"],
        "invalid: of another class": chosen["invalid"],
    }
    table = chosen[["model", "name"]].assign(**parts).set_index("name")
    models = table["model"].unique()
    size = (min(2.4 + 2.6 * len(models), 10), 3.4)
    figure, grid = plt.subplots(1, len(models), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes, model in zip(grid[0], models, strict=True):
        rows = table.loc[table["model"] == model, list(parts)]
        rows.plot.barh(ax=axes, stacked=True, width=0.8, color=[PALETTE[0], PALETTE[5], PALETTE[1]])
        label(axes, str(model), "questions (%)", "class of the true answer", "x")
        axes.set_xlim(0, 100)
    grid[0][0].invert_yaxis()
    figure.suptitle(title)
    legend_below(figure)
    return figure


def plot_binned_accuracy(
    panels: Sequence[Mapping[str, pd.DataFrame]], title: str, columns: int = 2, logarithmic: Collection[str] = ()
) -> Figure:
    """Accuracy by the value of some numbers, one panel each, with 95 % Wilson intervals.

    `panels`: for each number, by model, what `binned_accuracy` of rnlib.evaluation.breakdowns makes; numbers named in
    `logarithmic` have such an axis. A dashed line is the accuracy that the question types alone would give.
    """
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(10, 0.8 + 2.9 * rows), sharey=True, layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    lowest = 100.0
    for axes, tables in zip(grid.flat, panels, strict=False):
        table = pd.concat(tables, names=["model"]).reset_index()
        name = str(table.columns[1])
        _draw_bins(axes, table, name, name in logarithmic)
        lowest = min([lowest, *table["low"]])
        label(axes, "", name, "correct answers (%), 95 % interval", "y")
    grid[0][0].set_ylim(max(0.0, lowest - 3), 101)
    grid[0][0].plot([], [], color="0.3", ls="--", lw=1.2, label="expected from the question types alone")
    figure.suptitle(title)
    legend_below(figure)
    return figure


def _draw_bins(axes: Axes, table: pd.DataFrame, name: str, logarithmic: bool) -> None:
    if not len(table):
        axes.text(0.5, 0.5, "no question has one", ha="center", transform=axes.transAxes, color="0.4")
        axes.set_xticks([])
        return
    if logarithmic:
        axes.set_xscale("log")
    models = table["model"].nunique()
    # The models' marks are drawn a little beside one another, else their intervals would hide one another.
    beside = {"dodge": models > 1 and 0.2, "linestyle": "-", "native_scale": True}
    point_plot(axes, table, "accuracy", name, "model", vertical=True, **beside)
    colors = colors_of(models)
    dashed = {"linestyle": "--", "linewidth": 1.2, "alpha": 0.8, "legend": False}
    sns.lineplot(table, x=name, y="expected", hue="model", palette=colors, errorbar=None, ax=axes, **dashed)
    if logarithmic:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif (table[["least", "greatest"]] % 1 == 0).all(axis=None):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def plot_families(families: pd.DataFrame, title: str) -> Figure:
    """Accuracy by group of families with its 95 % interval, and each family as a small dot.

    `families`: `accuracy_by_family` of rnlib.evaluation.breakdowns.
    """
    if not len(families):
        return empty_figure(title, "no question is of a known family")
    whole, single = families[families["family"] < 0], families[families["family"] >= 0]
    names = counted(whole, "group").set_index(whole["group"])["group"].to_dict()
    models, height = list(whole["model"].unique()), len(names) * (1 + 0.5 * families["model"].nunique())
    figure, axes = plt.subplots(figsize=(9, max(3.0, 1.5 + 0.3 * height)), layout="constrained")
    point_plot(axes, counted(whole, "group"), "accuracy", "group", "model", zorder=3)
    dots = {"size": 4, "alpha": 0.35, "palette": colors_of(len(models)), "legend": False}
    single = single.assign(group=single["group"].map(names))
    sns.stripplot(single, x="accuracy", y="group", hue="model", hue_order=models, dodge=True, ax=axes, **dots)
    axes.scatter([], [], s=14, color="0.4", alpha=0.5, linewidths=0, label="single families")
    for border in range(len(names) - 1):
        axes.axhline(border + 0.5, color="0.9", lw=0.8)
    label(axes, title, CORRECT, "group of families (questions)", "x")
    legend_below(figure)
    return figure
