"""Figures of what a network confuses: confusion matrices, whole, by class and by type; how far counts are off."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES
from rnlib.evaluation.confusion import ANSWERS, class_matrix, row_percent
from rnlib.style import PALETTE, label, legend_below

ORANGE, SKY = PALETTE[1], PALETTE[5]
# Where the panels of the question types are: a row of the large ones, then two of yes and no or two values.
_LARGE = {"count": (0, 4), "query_color": (4, 8), "query_shape": (8, 10)}


def plot_confusion(matrix: pd.DataFrame, title: str, percent: bool = False) -> Figure:
    """A confusion matrix (of `confusion_matrix`) of all 28 answers, with the answer classes outlined.

    Counts, coloured on a logarithmic scale; with `percent` each row in percent of its truth.
    """
    values = row_percent(matrix) if percent else matrix
    figure, axes = plt.subplots(figsize=(10, 9.2))
    _cells(axes, values, percent, fontsize=7.5)
    start = 0
    for name, answers in ANSWER_CLASSES.items():
        length = len(answers)
        axes.add_patch(Rectangle((start, start), length, length, fill=False, edgecolor=ORANGE, lw=1.8, clip_on=False))
        axes.text(len(ANSWERS) + 0.3, start + length / 2, name, color=ORANGE, va="center", fontsize=9)
        start += length
    unit = "percent of the truth's questions; a dot: less than half" if percent else "questions, shades logarithmic"
    axes.set(title=f"{title}\n({unit}; blocks: answer classes)", xlabel="answer given", ylabel="true answer")
    return laid_out(figure)


def plot_class_confusion(matrix: pd.DataFrame, title: str) -> Figure:
    """The matrix summed over answer classes, in percent of each row: all off the diagonal is invalid."""
    values = row_percent(class_matrix(matrix)).dropna(how="all")
    figure, axes = plt.subplots(figsize=(5.6, 0.9 + 0.5 * (len(values) + 1)))
    _cells(axes, values, percent=True, fontsize=8.0)
    axes.set(
        title=f"{title}\n(percent of the class's questions; a dot: less than half)",
        xlabel="class of the answer",
        ylabel="class of the truth",
    )
    return laid_out(figure)


def plot_type_confusion(matrices: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """`matrix_by_type` of rnlib.evaluation.confusion: a panel a question type, each row in percent of its truth."""
    figure = plt.figure(figsize=(10, 9))
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
        axes.axvline(len(matrix), color=ORANGE, lw=1.5)
        axes.tick_params(labelsize=8)
        axes.tick_params("x", rotation=90 if len(matrix) > 2 else 30)
        axes.set_title(f"{kind} ({int(matrix.to_numpy().sum()):,})", fontsize=9)
        if begin == 0:
            axes.set_ylabel("true answer")
    figure.supxlabel("answer given; right of the orange line: an answer of another class", fontsize=10)
    figure.suptitle(f"{title}\n(percent of the truth's questions; in brackets: questions of the type)")
    return laid_out(figure)


def laid_out(figure: Figure) -> Figure:
    """The figure with its layout made last, for seaborn draws it once for each heat map."""
    figure.set_layout_engine("constrained")
    return figure


def _cells(axes: Axes, values: pd.DataFrame, percent: bool, fontsize: float) -> None:
    """A heat map with its numbers, none where they are 0; counts are shaded on a logarithmic scale."""
    numbers = values.fillna(0).astype(float)
    shades = numbers / 100 if percent else np.log1p(numbers) / np.log1p(max(numbers.to_numpy().max(), 1))
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1.1, "cbar": False, "fmt": "", "annot_kws": {"size": fontsize}}
    others = [one for one in axes.figure.axes if one is not axes]
    for one in others:
        one.set_visible(False)  # seaborn draws the whole figure for each heat map, to see whether labels overlap
    sns.heatmap(shades, annot=numbers.map(_cell_text).to_numpy(), ax=axes, xticklabels=True, yticklabels=True, **look)
    for one in others:
        one.set_visible(True)
    axes.tick_params("x", rotation=90 if len(values.columns) > 6 else 0)
    axes.tick_params("y", rotation=0)
    axes.set(xlabel="", ylabel="")
    for text in [text for text in axes.texts if not text.get_text()]:
        text.remove()  # hundreds of them would slow the layout down


def _cell_text(number: float) -> str:
    """A cell's number; a dot means less than one half."""
    if number >= 10_000:
        return f"{number / 1000:.0f}k"
    return "" if not number else f"{number:.0f}" if round(number) else "·"


def plot_count_errors(errors: Mapping[str, pd.Series], by_number: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """How far counts are off, a row a model. Left: the errors, signed; right: too low and too high by the true number.

    `errors`: `count_errors`, `by_number`: `errors_by_number` of rnlib.evaluation.confusion, by model. The right answers
    would dwarf the errors: they are a number in the left panel's title.
    """
    size = (10, 0.7 + 2.9 * len(errors))
    figure, grid = plt.subplots(len(errors), 2, figsize=size, layout="constrained", squeeze=False)
    for (left, right), (model, counts) in zip(grid, errors.items(), strict=True):
        total, hits, off = int(counts.sum()), int(counts.get(0, 0)), counts[counts.index != 0]
        share = f"{hits:,} of {total:,} right ({100 * hits / total:.1f} %)" if total else "no numbers asked for"
        if len(off):
            low, look = off.index < 0, {"native_scale": True, "palette": {True: ORANGE, False: SKY}, "legend": False}
            sns.barplot(
                x=off.index,
                y=off.to_numpy(),
                hue=low,
                hue_order=[True, False],
                dodge=False,
                saturation=1,
                ax=left,
                **look,
            )
            for bars in left.containers:
                left.bar_label(bars, [f"{value:,.0f}" if value else "" for value in bars.datavalues], size=8, padding=2)
        left.axvline(0, color="0.6", lw=1)
        left.margins(y=0.14)
        label(left, f"{model}: {share}", "answered number minus true number", "wrong answers", "y")
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        table = by_number[model]
        rows = table[["too low", "too high"]].set_axis([f"{n}\n({k:,})" for n, k in table["questions"].items()])
        if len(rows):
            rows.plot.bar(ax=right, stacked=True, width=0.8, color=[ORANGE, SKY], rot=0, fontsize=8)
        label(right, f"{model}: by the true number", "true number (questions)", "wrong answers (%)", "y")
    figure.suptitle(title)
    legend_below(figure, columns=2)
    return figure
