"""Figures of retrieval: neighbours beside their query, and how well features agree with scenes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnlib.clevr.plots import picture
from rnlib.clevr.split import Split
from rnlib.style import PALETTE


def plot_neighbours(
    split: Split,
    rows: Sequence[tuple[str, int, Sequence[int]]],
    title: str,
    captions: Mapping[tuple[int, int], str] | None = None,
) -> Figure:
    """A row a (name, query, neighbours): the query, framed, then its neighbours from the nearest on.

    Pictures are rows of `split.images`; `captions` are for (query, neighbour).
    """
    columns = 1 + max(len(neighbours) for _, _, neighbours in rows)
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(1.5 * columns, 1.3 * len(rows) + 0.4), squeeze=False, layout="constrained"
    )
    for line, (name, query, neighbours) in zip(grid, rows, strict=True):
        _show(line[0], split, query, name)
        for spine in line[0].spines.values():
            spine.set(visible=True, color=PALETTE[1], linewidth=3)
        for axes in line[1:]:
            axes.set_axis_off()
        for rank, (axes, row) in enumerate(zip(line[1:], neighbours, strict=False), 1):
            axes.set_axis_on()
            _show(axes, split, row, f"{rank}" + (f": {captions[query, row]}" if captions else ""))
    figure.suptitle(title)
    return figure


def _show(axes: Axes, split: Split, row: int, caption: str) -> None:
    axes.imshow(picture(split, row))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(caption, fontsize=8)


def plot_distances(
    distances: Mapping[str, Float[np.ndarray, " pictures"]],
    truth: Float[np.ndarray, " pictures"],
    agreements: Mapping[str, float],
    title: str,
) -> Figure:
    """For one query: distance of every other picture by feature, against the distance of the scenes."""
    figure, grid = plt.subplots(
        1, len(distances), figsize=(3.6 * len(distances), 3.6), squeeze=False, sharey=True, layout="constrained"
    )
    for axes, (name, values) in zip(grid[0], distances.items(), strict=True):
        axes.plot(values, truth, "o", ms=4, color=PALETTE[0], alpha=0.4, mew=0)
        axes.set(title=f"{name}: rho = {agreements[name]:.2f}", xlabel="distance of features (L2)")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0][0].set_ylabel("distance of scenes (cost of objects)")
    figure.suptitle(title)
    return figure


def plot_agreement(agreements: Mapping[str, Float[np.ndarray, " queries"]], table: pd.DataFrame, title: str) -> Figure:
    """Spearman's rho of each query (pale) and the mean with its 95 % interval, a row a feature."""
    names = list(agreements)
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.55 * len(names)), layout="constrained")
    rng = np.random.default_rng(0)  # spreads the points of a row, so that they do not cover one another
    means, halves = table["mean rho"].to_dict(), table["half width"].to_dict()
    for place, name in enumerate(names):
        values = agreements[name]
        heights = place + rng.uniform(-0.22, 0.22, len(values))
        axes.plot(
            values, heights, "o", ms=4, color=PALETTE[5], alpha=0.45, mew=0, label="one query" if not place else None
        )
        axes.errorbar(
            means[name], place, xerr=halves[name], fmt="D", color=PALETTE[0], ms=6,
            lw=2.5, capsize=4, label="mean, 95 % interval" if not place else None,
        )  # fmt: skip
    axes.axvline(0, color="0.4", lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(title=title, xlabel="Spearman's rho between distances of features and of scenes", ylabel="feature")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def captions_of(
    queries: Integer[np.ndarray, " queries"],
    pictures: Integer[np.ndarray, " pictures"],
    truth: Float[np.ndarray, "queries pictures"],
) -> dict[tuple[int, int], str]:
    """For `plot_neighbours`: the distance of scenes, by (row of the query, row of the picture)."""
    rows = pictures.tolist()
    return {
        (rows[query], row): f"scenes {value:.2f} apart"
        for query, line in zip(queries.tolist(), truth.tolist(), strict=True)
        for row, value in zip(rows, line, strict=True)
    }
