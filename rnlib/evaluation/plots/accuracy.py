"""Figures of accuracy with intervals: by question type, answer class and family, and binned by a number."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from rnlib.clevr.constants import GROUP_OF_TYPE
from rnlib.evaluation.breakdowns import GROUPS
from rnlib.evaluation.metrics import ALL, BASELINE
from rnlib.style import MARKERS, PALETTE


def plot_by_type(accuracies: pd.DataFrame, baseline: pd.DataFrame, title: str) -> Figure:
    """Accuracy of every model on each question type, groups apart, with 95 % intervals.

    `accuracies`: `accuracy_table`; `baseline`: `question_type_baseline`, drawn as a grey line.
    """
    chosen = accuracies[accuracies["by"].isin(["overall", "type"])]
    names = [ALL, *(name for name in chosen.loc[chosen["by"] == "type", "name"].unique())]
    places = _places(names)
    figure, axes = plt.subplots(figsize=(8.5, 1.6 + 0.36 * len(names)), layout="constrained")
    for place, name in zip(places, names, strict=True):
        axes.plot(
            [baseline["accuracy"].get(name, float("nan"))] * 2,
            [place - 0.36, place + 0.36],
            color="0.55",
            lw=4,
            zorder=1,
        )
    axes.plot([], [], color="0.55", lw=4, label=BASELINE)
    models = list(chosen["model"].unique())
    for number, model in enumerate(models):
        rows = chosen[chosen["model"] == model].set_index("name").loc[names]
        offset = 0.5 * ((number + 0.5) / len(models) - 0.5)
        reach = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
        axes.errorbar(
            rows["accuracy"], np.array(places) + offset, xerr=np.array(reach), fmt=MARKERS[number % len(MARKERS)],
            color=PALETTE[number % len(PALETTE)], ms=5, lw=1.6, capsize=2.5, label=model,
        )  # fmt: skip
    counts = chosen.drop_duplicates("name").set_index("name")["questions"]
    axes.set_yticks(places, [f"{name}  ({counts[name]:,})" for name in names])
    axes.set_ylim(max(places) + 0.6, -0.6)
    axes.set_xlim(-1, 101)
    axes.xaxis.set_major_locator(MultipleLocator(10))
    axes.set(
        title=title,
        xlabel="questions answered right (%), with 95 % Wilson interval",
        ylabel="question type (questions)",
    )
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def plot_classes(accuracies: pd.DataFrame, title: str) -> Figure:
    """For each answer class and model: how many answers are right, of the right class but wrong, and invalid."""
    chosen = accuracies[accuracies["by"] == "answer class"]
    models = list(chosen["model"].unique())
    figure, grid = plt.subplots(
        1,
        len(models),
        figsize=(min(2.4 + 2.6 * len(models), 10), 3.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, model in zip(grid[0], models, strict=True):
        rows = chosen[chosen["model"] == model]
        left = np.zeros(len(rows))
        wrong = 100 - rows["accuracy"] - rows["invalid"]
        for label, values, color in (
            ("right", rows["accuracy"], PALETTE[0]),
            ("wrong, of the right class", wrong, PALETTE[5]),
            ("invalid: of another class", rows["invalid"], PALETTE[1]),
        ):
            axes.barh(rows["name"], values, left=left, color=color, label=label)
            left = left + values.to_numpy()
        axes.invert_yaxis()
        axes.set(title=model, xlabel="questions (%)", xlim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)
    # With shared axes each inversion turns all of them: leave it turned exactly once.
    grid[0][0].set_ylim(len(rows) - 0.5, -0.5)
    grid[0][0].set_ylabel("class of the true answer")
    figure.suptitle(title)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _places(names: Sequence[str]) -> list[float]:
    """A place for each name from above: a gap between the overall row, and between groups of types."""
    places, place, before = [], 0.0, ""
    for name in names:
        group = GROUP_OF_TYPE.get(name, name)
        if before and group != before:
            place += 0.5
        places.append(place)
        place, before = place + 1, group
    return places


def plot_binned_accuracy(
    panels: Sequence[Mapping[str, pd.DataFrame]], title: str, columns: int = 2, logarithmic: Collection[str] = ()
) -> Figure:
    """Accuracy along quantities, a panel each, with 95 % Wilson intervals.

    `panels`: for each quantity, by model, what `binned_accuracy` of rnlib.evaluation.breakdowns makes; quantities
    named in `logarithmic` have such an axis. A dashed line is the accuracy that the question
    types alone would give.
    """
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(10, 0.8 + 2.9 * rows), sharey=True, layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    lowest = 100.0
    for axes, tables in zip(grid.flat, panels, strict=False):
        for number, (model, table) in enumerate(tables.items()):
            _draw_bins(axes, table, model, number, len(tables))
            lowest = min([lowest, *table["low"]])
            axes.set_xlabel(str(table.index.name))
        if not any(len(table) for table in tables.values()):
            axes.text(0.5, 0.5, "no question has one", ha="center", transform=axes.transAxes, color="0.4")
            axes.set_xticks([])
        elif axes.get_xlabel() in logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("right answers (%), 95 % interval")
    grid[0][0].set_ylim(max(0.0, lowest - 3), 101)
    grid[0][0].plot([], [], color="0.3", ls="--", lw=1.2, label="expected from the question types alone")
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    return figure


def _draw_bins(axes: Axes, table: pd.DataFrame, model: str, number: int, models: int) -> None:
    color = PALETTE[number % len(PALETTE)]
    if (table[["least", "greatest"]] % 1 == 0).all(axis=None):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # The models' marks stand a little beside one another, else their intervals would hide one another.
    points = min(3.5, 12 / models) * (number - (models - 1) / 2)
    aside = ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)
    reach = np.array([table["accuracy"] - table["low"], table["high"] - table["accuracy"]]).clip(0)
    axes.plot(table.index, table["expected"], color=color, ls="--", lw=1.2, alpha=0.8)
    axes.errorbar(
        table.index, table["accuracy"], yerr=reach, fmt=f"{MARKERS[number % len(MARKERS)]}-", color=color, ms=4.5,
        lw=1.3, capsize=2.5, label=model, transform=axes.transData + aside,
    )  # fmt: skip


def plot_families(families: pd.DataFrame, title: str) -> Figure:
    """Accuracy by group of families with its 95 % interval, and each family as a small dot.

    `families`: `accuracy_by_family` of rnlib.evaluation.breakdowns.
    """
    models = list(families["model"].unique())
    groups = [group for group in GROUPS if (families["group"] == group).any()]
    figure, axes = plt.subplots(
        figsize=(9, max(3.0, 1.5 + 0.3 * len(groups) * (1 + 0.5 * len(models)))), layout="constrained"
    )
    for number, model in enumerate(models):
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        offset = 0.7 * ((number + 0.5) / len(models) - 0.5)
        rows = families[families["model"] == model]
        whole, single = rows[rows["family"] < 0], rows[rows["family"] >= 0]
        spread = 0.12 * (single.groupby("group").cumcount() % 3 - 1) / len(models)  # so that equal ones are told apart
        axes.scatter(
            single["accuracy"], [groups.index(group) + offset for group in single["group"]] + spread,
            s=14, color=color, alpha=0.35, linewidths=0, zorder=2,
        )  # fmt: skip
        reach = np.array([whole["accuracy"] - whole["low"], whole["high"] - whole["accuracy"]]).clip(0)
        axes.errorbar(
            whole["accuracy"], [groups.index(group) + offset for group in whole["group"]], xerr=reach, fmt=marker,
            color=color, ms=6, lw=1.6, capsize=2.5, label=model, zorder=3,
        )  # fmt: skip
    counts = families[families["family"] < 0].drop_duplicates("group").set_index("group")["questions"]
    axes.set_yticks(range(len(groups)), [f"{group}  ({counts[group]:,})" for group in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    for border in np.arange(len(groups) - 1) + 0.5:
        axes.axhline(border, color="0.9", lw=0.8)
    axes.scatter([], [], s=14, color="0.4", alpha=0.5, linewidths=0, label="single families")
    axes.set(title=title, xlabel="questions answered right (%), with 95 % Wilson interval")
    axes.set_ylabel("group of families (questions)")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
