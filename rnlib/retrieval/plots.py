"""Figures of retrieval: neighbours beside their query, what two scenes share, how well features agree with scenes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator

from rnlib.clevr.plots import picture
from rnlib.clevr.split import Split
from rnlib.retrieval.scene_distance import Scenes
from rnlib.style import PALETTE, colors_of, label, legend_below, point_plot

BLUE, ORANGE, GREEN = PALETTE[:3]
MARKERS = "oDs^v"


def plot_neighbours(
    split: Split,
    rows: Sequence[tuple[str, int, Sequence[int]]],
    title: str,
    captions: Mapping[str, Mapping[tuple[int, int], str]] | None = None,
) -> Figure:
    """A row a (name, query, neighbours): the query, framed, then its neighbours from the nearest on.

    Pictures are rows of `split.images`; `captions`: by the row's name, for (query, neighbour).
    """
    columns, height = 1 + max(len(neighbours) for _, _, neighbours in rows), 1.08 * len(rows) + 0.4
    figure, grid = plt.subplots(len(rows), columns, figsize=(1.25 * columns, height), squeeze=False)
    # By hand: the constrained layout takes seconds for a hundred axes.
    figure.subplots_adjust(0.008, 0.05 / height, 0.996, 1 - 0.62 / height, wspace=0.06, hspace=0.32)
    for line, (name, query, neighbours) in zip(grid, rows, strict=True):
        _show(line[0], split, query, name)
        for spine in line[0].spines.values():
            spine.set(visible=True, color=ORANGE, linewidth=3)
        for axes in line[1:]:
            axes.set_axis_off()
        for rank, (axes, row) in enumerate(zip(line[1:], neighbours, strict=False), 1):
            axes.set_axis_on()
            texts = captions[name] if captions else {}
            _show(axes, split, row, f"{rank}: {texts[query, row]}" if texts else f"{rank}")
    figure.suptitle(title, y=1 - 0.12 / height, va="top")
    return figure


def _show(axes: Axes, split: Split, row: int, caption: str) -> None:
    axes.imshow(picture(split, row))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(caption, fontsize=8)


def plot_counterparts(split: Split, first: int, second: int, cost: str = "soft") -> Figure:
    """Two pictures (rows of the split), their objects joined as the canonical distance pairs them, and its terms.

    Joined with a full line: the same in all four attributes; dashed: not; crossed out: without a counterpart.
    """
    scenes = Scenes.of(split, np.array([first, second]))
    pairs = scenes.counterparts(0, 1, cost)
    turned = len(scenes.turned(0, 1, pairs))
    whole = float(scenes.distances(0, "canonical", cost)[1])
    figure, grid = plt.subplots(1, 2, figsize=(8, 3.1), layout="constrained")
    places = [split.pixel_coords[row, :, :2] for row in (first, second)]
    for axes, row, text in zip(grid, (first, second), ("a scene", "another"), strict=True):
        axes.imshow(picture(split, row))
        axes.set_axis_off()
        axes.set_title(f"{text}: {split.n_objects[row]} objects", fontsize=10)
    for number, (x, y) in enumerate(pairs):
        same = bool((scenes.codes[0, x] == scenes.codes[1, y]).all())
        colour = PALETTE[number % len(PALETTE)]
        for axes, place in zip(grid, (places[0][x], places[1][y]), strict=True):
            axes.plot(*place, "o", color=colour, mec="white", ms=8)
        figure.add_artist(
            ConnectionPatch(
                places[0][x], places[1][y], "data", "data", axesA=grid[0], axesB=grid[1], lw=2,
                color=colour, linestyle="-" if same else (0, (3, 2)),
            )
        )  # fmt: skip
    for side, axes in enumerate(grid):
        paired = {pair[side] for pair in pairs}
        alone = [places[side][k] for k in range(scenes.counts[side]) if k not in paired]
        if alone:
            axes.plot(*np.array(alone).T, "x", color="white", ms=16, mew=5)
            axes.plot(*np.array(alone).T, "x", color=ORANGE, ms=15, mew=3)
    figure.suptitle(
        f"distance {whole:g} = 2 × {(whole - turned) / 2:g} (objects) + {turned} (reversed relations)", fontsize=11
    )
    return figure


def plot_distances(
    distances: Mapping[str, Float[np.ndarray, " pictures"]],
    truth: Float[np.ndarray, " pictures"],
    agreements: Mapping[str, float],
    title: str,
) -> Figure:
    """For one query: distance of every other picture by feature, against the distance of the scenes."""
    figure, grid = plt.subplots(
        1, len(distances), figsize=(3.2 * len(distances), 3.4), squeeze=False, sharey=True, layout="constrained"
    )
    for axes, (name, values) in zip(grid[0], distances.items(), strict=True):
        sns.scatterplot(x=values, y=truth, s=16, color=BLUE, alpha=0.4, linewidth=0, ax=axes)
        label(axes, f"{name}: rho = {agreements[name]:.2f}", "distance of features (L2)", "")
        axes.xaxis.set_major_locator(MaxNLocator(4))
    grid[0][0].set_ylabel("distance of scenes")
    figure.suptitle(title)
    return figure


def plot_sizes(
    truths: Mapping[str, Float[np.ndarray, " pictures"]], counts: Integer[np.ndarray, " pictures"], own: int, title: str
) -> Figure:
    """For one query of `own` objects: how far scenes of each number of objects are, by each truth (a point a scene)."""
    figure, grid = plt.subplots(
        1, len(truths), figsize=(3.2 * len(truths), 3.4), squeeze=False, sharey=True, layout="constrained"
    )
    spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(counts))  # so that points do not cover one another
    for axes, (name, values) in zip(grid[0], truths.items(), strict=True):
        sns.scatterplot(x=counts + spread, y=values, s=14, color=BLUE, alpha=0.4, linewidth=0, label="a scene", ax=axes)
        sns.lineplot(x=counts, y=values, errorbar=None, marker="D", color=ORANGE, label="mean", ax=axes)
        axes.axvline(own, color="0.4", lw=1, ls="--", label="objects of the query")
        label(axes, name, "objects in the scene", "")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[0][0].set_ylabel("distance to the query's scene")
    figure.suptitle(title)
    legend_below(figure)
    return figure


def plot_measures(summary: pd.DataFrame, measures: Sequence[str], title: str) -> Figure:
    """Means with 95 % intervals of what `better_vectors(summarise(...))` gives: a panel a measure, a row a feature, a
    marker a truth."""
    truths = list(dict.fromkeys(summary.index.get_level_values("truth")))
    names = list(dict.fromkeys(summary.index.get_level_values("feature")))
    height = 1.6 + 0.22 * len(names) * max(2, len(truths))
    figure, grid = plt.subplots(
        1, len(measures), figsize=(max(6.4, 2.9 * len(measures) + 1.2), height), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    table = summary.reset_index()
    for axes, measure in zip(grid[0], measures, strict=True):
        mean, half = table[measure, "mean"], table[measure, "half width"]
        rows = pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half})
        rows = rows.assign(feature=table["feature"], truth=table["truth"])
        point_plot(axes, rows, "mean", "feature", "truth", order=names)
        axes.axvline(0, color="0.4", lw=1)
        label(axes, measure, "mean, 95 % interval", "feature", "x")
    figure.suptitle(title)
    legend_below(figure, title="ground truth")
    return figure


def plot_recall(curves: Mapping[str, Float[np.ndarray, " ks"]], ks: Sequence[int], others: int, title: str) -> Figure:
    """Mean recall@k over k, a line a feature (at most seven); dashed, what chance finds among `others` pictures."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    table = (
        pd.DataFrame(curves, index=pd.Index(ks, name="k")).melt(var_name="feature", ignore_index=False).reset_index()
    )
    sns.lineplot(table, x="k", y="value", hue="feature", palette=colors_of(len(curves)), errorbar=None, ax=axes)
    axes.plot(ks, np.array(ks) / others, "--", color="0.5", lw=1.5, label="chance")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5 / others)
    label(axes, title, "k (pictures looked at, log scale)", "recall@k (share of the k nearest scenes, log scale)")
    axes.legend(frameon=False, fontsize=9)
    return figure


def captions_of(
    queries: Integer[np.ndarray, " queries"],
    pictures: Integer[np.ndarray, " pictures"],
    truth: Float[np.ndarray, "queries pictures"],
) -> dict[tuple[int, int], str]:
    """For `plot_neighbours`: the distance of scenes, by (row of the query, row of the picture)."""
    rows = pictures.tolist()
    return {
        (rows[query], row): f"{value:g}"
        for query, line in zip(queries.tolist(), truth.tolist(), strict=True)
        for row, value in zip(rows, line, strict=True)
    }
