"""How figures look: one palette, axes that say what they show, points with intervals, and p-values."""

from itertools import cycle, islice
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

# Okabe and Ito's palette: told apart with any colour vision; and markers to go with it.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*"


def colors_of(number: int) -> list[str]:
    """So many colours of the palette, from the first again where there are more than it has."""
    return list(islice(cycle(PALETTE), number))


def markers_of(number: int) -> list[str]:
    """So many markers, likewise."""
    return list(islice(cycle(MARKERS), number))


def label(axes: Axes, title: str, x: str, y: str, grid: str = "both") -> None:
    """Title, axis labels with their units, faint grid lines ("x", "y" or "both") behind the data, no box."""
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_axisbelow(True)
    axes.grid(axis="x" if grid == "x" else "y" if grid == "y" else "both", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def point_plot(
    axes: Axes, table: pd.DataFrame, value: str, by: str, hue: str, vertical: bool = False, **options: Any
) -> None:
    """A point for each row of `table`: column `value` with its interval (columns low and high, may be NaN).

    One place for each entry of column `by` and one colour and marker for each of `hue`, in the table's order. Values
    run along x, or along y where `vertical`. `options`: of seaborn.pointplot.
    """
    levels = table[hue].unique().tolist()
    long = table.melt([by, hue], ["low", value, "high"], value_name="value")
    look: dict[str, Any] = {
        "palette": dict(zip(levels, colors_of(len(levels)), strict=True)),
        "markers": markers_of(len(levels)),
        "dodge": len(levels) > 1 and 0.8 - 0.8 / len(levels),
        "linestyle": "none",
        "capsize": 0.1,
        "markersize": 5,
        "linewidth": 1.5,
    }
    x, y = (by, "value") if vertical else ("value", by)
    # The median of low, value and high is the value, and the interval from their least to their greatest is its own.
    sns.pointplot(
        long, x=x, y=y, hue=hue, hue_order=levels, estimator="median", errorbar=("pi", 100), ax=axes, **look | options
    )


def legend_below(figure: Figure, columns: int = 4, title: str | None = None) -> None:
    """One legend below the figure with every label that its axes have, in place of theirs."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
        if legend := axes.get_legend():
            legend.remove()
    look: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "frameon": False, "title": title}
    figure.legend(list(handles.values()), list(handles), **look)


SLIDE = (13.333, 7.5)  # inches: 16:9, as presentation programs have it
LEGIBLE = 14.0  # points, the least on a slide


def as_slide(figure: Figure) -> None:
    """Make a figure as large as a slide, and its texts so large that they can be read from the last row."""
    growth = min(SLIDE[0] / figure.get_figwidth(), SLIDE[1] / figure.get_figheight())
    figure.set_size_inches(SLIDE)
    figure.set_layout_engine("constrained")
    figure.draw_without_rendering()  # tick labels exist from here on
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontsize(max(growth * float(text.get_fontsize()), LEGIBLE))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):  # ticks that are made later, too
            size = max((float(one.get_fontsize()) for one in axis.get_ticklabels()), default=LEGIBLE)
            axis.set_tick_params(labelsize=size)
    for line in figure.findobj(Line2D):
        assert isinstance(line, Line2D)
        line.set_linewidth(max(growth, 1.0) * line.get_linewidth())


def empty_figure(title: str, why: str) -> Figure:
    """In place of a figure that would show nothing: its title, and why."""
    figure, axes = plt.subplots(figsize=(7, 1.2), layout="constrained")
    axes.text(0.5, 0.5, f"left out: {why}", ha="center", va="center", color="0.4")
    axes.set_axis_off()
    figure.suptitle(title)
    return figure


def p_value(p: float) -> str:
    """A p-value for readers: two digits, and "< 0.0001" below that."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def alt_text(figure: Figure) -> str:
    """A figure in words, from its titles and axis labels, for those who do not see it."""
    parts = [figure.get_suptitle()]
    for axes in figure.axes:
        title, x, y = axes.get_title() or axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel()
        named = f"{y} by {x}" if x and y else x or y
        parts.append(f"{title}: {named}" if title and named else title or named)
    return "Figure. " + "; ".join(" ".join(part.split()) for part in dict.fromkeys(parts) if part)
