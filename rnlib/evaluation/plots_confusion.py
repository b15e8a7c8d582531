"""Figures of what a network confuses: confusion matrices, count errors, accuracy along a quantity."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rnlib.clevr.catalogue import ANSWER_CLASSES, CLASS_OF_ANSWER
from rnlib.evaluation.confusion import class_matrix, occurring, row_percent
from rnlib.style import PALETTE

BLUE, ORANGE = PALETTE[:2]


def plot_confusion(matrix: pd.DataFrame, title: str, percent: bool = False) -> Figure:
    """A confusion matrix (of `confusion_matrix`) with the answer classes outlined, less the answers that do not occur.

    Counts, coloured on a logarithmic scale; with `percent` each row in percent of its truth.
    """
    shown = occurring(matrix)
    values = row_percent(shown) if percent else shown
    side = 2.2 + 0.33 * len(shown)
    figure, axes = plt.subplots(figsize=(side, 0.93 * side), layout="constrained")
    _cells(axes, values, percent)
    classes = [CLASS_OF_ANSWER[answer] for answer in shown.columns]
    for name in ANSWER_CLASSES:
        if name in classes:
            start, length = classes.index(name), classes.count(name)
            axes.add_patch(
                Rectangle(
                    (start - 0.5, start - 0.5), length, length, fill=False, edgecolor=ORANGE, lw=1.8, clip_on=False
                )
            )
            axes.text(len(shown) - 0.3, start + (length - 1) / 2, name, color=ORANGE, va="center", fontsize=9)
    unit = "percent of the truth's questions" if percent else "questions, shades logarithmic"
    axes.set(title=f"{title}\n({unit}; blocks: answer classes)", xlabel="answer given", ylabel="true answer")
    return figure


def plot_class_confusion(matrix: pd.DataFrame, title: str) -> Figure:
    """The matrix summed over answer classes, in percent of each row: all off the diagonal is invalid."""
    values = row_percent(class_matrix(matrix)).dropna(how="all")
    figure, axes = plt.subplots(figsize=(5.6, 0.9 + 0.5 * (len(values) + 1)), layout="constrained")
    _cells(axes, values, percent=True)
    axes.set(
        title=f"{title}\n(percent of the class's questions)", xlabel="class of the answer", ylabel="class of the truth"
    )
    return figure


def _cells(axes: Axes, values: pd.DataFrame, percent: bool) -> None:
    numbers = values.fillna(0).to_numpy(float)
    shades = numbers / 100 if percent else np.log1p(numbers) / np.log1p(max(numbers.max(), 1))
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        if number:
            color = "white" if shades[row, column] > 0.6 else "black"
            # A dot stands for less than half a percent.
            text = f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:.0f}" if round(number) else "·"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(values.columns)), values.columns, rotation=60 if len(values.columns) > 6 else 0)
    axes.set_yticks(range(len(values)), values.index)
    axes.spines[:].set_color("#cccccc")


def plot_count_errors(errors: pd.Series, title: str) -> Figure:
    """How far counts are off. `errors`: `count_errors` of rnlib.evaluation.confusion."""
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    bars = axes.bar(errors.index, errors, width=0.85, color=[BLUE if error == 0 else ORANGE for error in errors.index])
    axes.bar_label(bars, [f"{value:,}" if value else "" for value in errors], fontsize=8, padding=2)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(title=title, xlabel="answered number minus true number (0: right)", ylabel="questions")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_along(tables: dict[str, pd.DataFrame], overall: float, title: str) -> Figure:
    """Accuracy along quantities, a panel each, with 95 % Wilson intervals and numbers of questions.

    `tables`: by the panel's title, what `accuracy_by` of rnlib.evaluation.confusion makes;
    `overall`: accuracy over all questions in percent, drawn as a line.
    """
    figure, panels = plt.subplots(
        1, len(tables), figsize=(5.6 * len(tables), 3.8), sharey=True, layout="constrained", squeeze=False
    )
    for axes, (name, table) in zip(panels[0], tables.items(), strict=True):
        reach = np.array([table["accuracy"] - table["low"], table["high"] - table["accuracy"]]).clip(0)
        axes.axhline(overall, color="0.55", ls="--", lw=1.2, label=f"all questions: {overall:.1f} %")
        axes.errorbar(table.index, table["accuracy"], yerr=reach, fmt="o-", color=BLUE, ms=4, lw=1.4, capsize=3)
        twin = axes.twinx()
        twin.bar(table.index, table["questions"], color="0.88", width=0.8)
        twin.set_ylim(0, 3.5 * table["questions"].max())
        twin.set_ylabel("questions (grey bars)", color="0.45")
        twin.tick_params(colors="0.45")
        twin.spines[["top"]].set_visible(False)
        axes.set_zorder(twin.get_zorder() + 1)  # the accuracies in front of the bars
        axes.patch.set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(title=name, xlabel=table.index.name, ylim=(0, 103))
        axes.spines[["top"]].set_visible(False)
    panels[0][0].set_ylabel("right answers (%), 95 % interval")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    figure.suptitle(title)
    return figure
