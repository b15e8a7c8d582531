"""Figures of scenes that were changed: turning points, removed objects, minimal pairs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from rnlib.evaluation.turning_point import CROWDS, DISTANCES, errors_by_margin
from rnlib.style import colors_of, label, legend_below, markers_of, point_plot
from rnlib.synthesis.scenes import MARGIN, RELATION_THRESHOLD

ORDER = DISTANCES + CROWDS
ALONG = "margin along the relation (world units)"


def plot_turning_points(table: pd.DataFrame, title: str) -> Figure:
    """Left the mean probability of yes by margin with its 95 % interval over scenes; right how often it is wrong.

    `table`: `measure` of rnlib.evaluation.turning_point for several networks, with a column model. Grey: the margins
    that no scene of CLEVR has.
    """
    colors = colors_of(table["model"].nunique())
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    band = {"errorbar": ("ci", 95), "n_boot": 100, "seed": 0, "legend": False}
    sns.lineplot(
        table.assign(yes=100 * table["yes"]), x="margin", y="yes", hue="model", palette=colors, ax=left, **band
    )
    errors = errors_by_margin(table, ["model"])
    errors["model"] = pd.Categorical(errors["model"], table["model"].unique())
    errors = errors.sort_values(["model", "margin"]).astype({"model": str})
    beside = {"dodge": False, "linestyle": "-", "native_scale": True, "palette": colors}
    point_plot(right, errors, "wrong", "margin", "model", vertical=True, **beside)
    left.axvspan(-MARGIN, MARGIN, color="0.92", zorder=0, label="margins that CLEVR's scenes do not have")
    left.axvline(RELATION_THRESHOLD, color="0.3", ls="--", lw=1.2, label="CLEVR's rule: 0.2")
    right.axvspan(0, MARGIN, color="0.92", zorder=0)
    left.set_ylim(-3, 103)
    right.set(xlim=(0, None), ylim=(-1, None))
    label(left, "how probable is “yes, the relation holds”?", ALONG, "probability of yes (%)")
    label(right, "how often is the answer wrong?", f"{ALONG}, either side", "wrong answers (%)")
    figure.suptitle(title)
    legend_below(figure, 5)
    return figure


def plot_widths(points: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Over what stretch the answer turns, by circumstances: a panel each.

    `points`: `turning_points` of rnlib.evaluation.turning_point by what they are split by besides the model, which is a
    column of theirs too.
    """
    figure, grid = plt.subplots(1, len(points), figsize=(3.2 * len(points), 3.6), sharey=True, layout="constrained")
    for axes, (by, table) in zip(grid, points.items(), strict=True):
        rows = table[["model", by, "width"]].assign(low=table["width from"], high=table["width to"])
        rows = rows.sort_values(by, key=lambda names: names.map(lambda name: ORDER.index(name) if name in ORDER else 0))
        point_plot(axes, rows, "width", by, "model", vertical=True)
        axes.tick_params(axis="x", labelsize=8)
        label(axes, by, "", "width (world units), 95 % interval" if axes is grid[0] else "", "y")
    grid[0].set_ylim(bottom=0)
    figure.suptitle(title)
    legend_below(figure)
    return figure


def plot_deletion(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """How often the answer changes without an object, and, pale, how often the true answer does.

    `tables`: `deletion_table` of rnlib.evaluation.deletion by model.
    """
    table = pd.concat(tables, names=["model"]).reset_index()
    table["removed"] = table["removed"].str.replace(", ", ",\n")
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    point_plot(axes, table[["model", "removed", "changed", "low", "high"]], "changed", "removed", "model")
    looks = zip(colors_of(len(tables)), markers_of(len(tables)), tables, strict=True)
    for color, marker, model in looks:
        part = table[table["model"] == model]
        axes.scatter(part["truth changes"], part["removed"], color=color, marker=marker, s=20, alpha=0.35, zorder=1)
    axes.scatter([], [], color="0.6", s=20, label="how often the true answer changes")
    axes.set_xlim(0, 100)
    label(axes, title, "answers that change without the object (%), 95 % interval", "object removed", "x")
    legend_below(figure)
    return figure


def plot_consistency(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """How often both questions of a minimal pair are right. `tables`: `consistency` of rnlib.evaluation by model."""
    table = pd.concat(tables, names=["model"]).reset_index()
    first = next(iter(tables.values()))["pairs"]
    table["change"] = [f"{change} ({first[change]:,})" for change in table["change"]]
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    point_plot(axes, table[["model", "change", "both right", "low", "high"]], "both right", "change", "model")
    label(axes, title, "pairs with both answers right (%), 95 % interval", "what differs (pairs)", "x")
    legend_below(figure)
    return figure
