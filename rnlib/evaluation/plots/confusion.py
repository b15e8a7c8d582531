"""Figures of what a network confuses: confusion matrices, whole, by class and by type; how far counts are off."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES
from rnlib.evaluation.confusion import ANSWERS, class_matrix, row_percent
from rnlib.style import PALETTE

BLUE, ORANGE, YELLOW, SKY = PALETTE[0], PALETTE[1], PALETTE[4], PALETTE[5]
# Where the panels of the question types stand: a row of the large ones, then two of yes and no or two values.
_LARGE = {"count": (0, 4), "query_color": (4, 8), "query_shape": (8, 10)}


def plot_confusion(matrix: pd.DataFrame, title: str, percent: bool = False) -> Figure:
    """A confusion matrix (of `confusion_matrix`) of all 28 answers, with the answer classes outlined.

    Counts, coloured on a logarithmic scale; with `percent` each row in percent of its truth.
    """
    values = row_percent(matrix) if percent else matrix
    figure, axes = plt.subplots(figsize=(10, 9.2), layout="constrained")
    _cells(axes, values, percent, fontsize=7.5)
    start = 0
    for name, answers in ANSWER_CLASSES.items():
        length = len(answers)
        block = Rectangle((start - 0.5, start - 0.5), length, length, fill=False, edgecolor=ORANGE, lw=1.8)
        block.set_clip_on(False)
        axes.add_patch(block)
        axes.text(len(ANSWERS) - 0.2, start + (length - 1) / 2, name, color=ORANGE, va="center", fontsize=9)
        start += length
    unit = "percent of the truth's questions; a dot: less than half" if percent else "questions, shades logarithmic"
    axes.set(title=f"{title}\n({unit}; blocks: answer classes)", xlabel="answer given", ylabel="true answer")
    return figure


def plot_class_confusion(matrix: pd.DataFrame, title: str) -> Figure:
    """The matrix summed over answer classes, in percent of each row: all off the diagonal is invalid."""
    values = row_percent(class_matrix(matrix)).dropna(how="all")
    figure, axes = plt.subplots(figsize=(5.6, 0.9 + 0.5 * (len(values) + 1)), layout="constrained")
    _cells(axes, values, percent=True, fontsize=8.0)
    axes.set(
        title=f"{title}\n(percent of the class's questions; a dot: less than half)",
        xlabel="class of the answer",
        ylabel="class of the truth",
    )
    return figure


def plot_type_confusion(matrices: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """`matrix_by_type` of rnlib.evaluation.confusion: a panel a question type, each row in percent of its truth."""
    figure = plt.figure(figsize=(10, 9), layout="constrained")
    grid = figure.add_gridspec(3, 10, height_ratios=(1.9, 1, 1))
    small = iter((row, column) for row in (1, 2) for column in range(0, 10, 2))
    for kind in QUESTION_TYPES:
        if kind in _LARGE:
            row, (begin, end) = 0, _LARGE[kind]
        else:
            row, begin = next(small)
            end = begin + 2
        axes = figure.add_subplot(grid[row, begin:end])
        if kind not in matrices:
            axes.set_axis_off()
            axes.text(0.5, 0.5, f"{kind}\nnot asked", ha="center", va="center", color="0.5", fontsize=9)
            continue
        matrix = matrices[kind]
        _cells(axes, row_percent(matrix), percent=True, fontsize=7.0)
        axes.axvline(len(matrix) - 0.5, color=ORANGE, lw=1.5)
        axes.tick_params(labelsize=8)
        axes.set_xticks(range(matrix.shape[1]), matrix.columns, rotation=90 if len(matrix) > 2 else 30)
        axes.set_title(f"{kind} ({int(matrix.to_numpy().sum()):,})", fontsize=9)
        if begin == 0:
            axes.set_ylabel("true answer")
    figure.supxlabel("answer given; right of the orange line: an answer of another class", fontsize=10)
    figure.suptitle(f"{title}\n(percent of the truth's questions; in brackets: questions of the type)")
    return figure


def _cells(axes: Axes, values: pd.DataFrame, percent: bool, fontsize: float) -> None:
    numbers = values.fillna(0).to_numpy(float)
    shades = numbers / 100 if percent else np.log1p(numbers) / np.log1p(max(numbers.max(), 1))
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        if number:
            color = "white" if shades[row, column] > 0.6 else "black"
            # A dot stands for less than half a percent.
            text = f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:.0f}" if round(number) else "·"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=fontsize)
    axes.set_xticks(range(len(values.columns)), values.columns, rotation=90 if len(values.columns) > 6 else 0)
    axes.set_yticks(range(len(values)), values.index)
    axes.spines[:].set_color("#cccccc")


def plot_count_errors(errors: Mapping[str, pd.Series], by_number: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """How far counts are off, a row a model. Left: the errors, signed; right: too low and too high by the true number.

    `errors`: `count_errors`, `by_number`: `errors_by_number` of rnlib.evaluation.confusion, by model. The right answers
    would dwarf the errors: they are a number in the left panel's title.
    """
    figure, grid = plt.subplots(
        len(errors), 2, figsize=(10, 0.7 + 2.9 * len(errors)), layout="constrained", squeeze=False
    )
    for (left, right), (model, counts) in zip(grid, errors.items(), strict=True):
        total, off = int(counts.sum()), counts[counts.index != 0]
        bars = left.bar(off.index, off, width=0.8, color=[ORANGE if error < 0 else SKY for error in off.index])
        left.bar_label(bars, [f"{value:,}" if value else "" for value in off], fontsize=8, padding=2)
        hits = int(counts.get(0, 0))
        share = f"{hits:,} of {total:,} right ({100 * hits / total:.1f} %)" if total else "no numbers asked for"
        left.axvline(0, color="0.6", lw=1)
        left.margins(y=0.14)
        left.set_title(f"{model}: {share}", fontsize=10)
        left.set(xlabel="answered number minus true number", ylabel="wrong answers")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        table = by_number[model]
        right.bar(table.index, table["too low"], width=0.8, color=ORANGE, label="too low")
        right.bar(table.index, table["too high"], bottom=table["too low"], width=0.8, color=SKY, label="too high")
        right.set_xticks(list(table.index), [f"{number}\n({table['questions'][number]:,})" for number in table.index])
        right.tick_params(axis="x", labelsize=8)
        right.set(xlabel="true number (questions)", ylabel="wrong answers (%)")
        right.set_title(f"{model}: by the true number", fontsize=10)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*grid[0][1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(title)
    return figure
