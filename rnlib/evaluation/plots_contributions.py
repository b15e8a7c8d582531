"""Figures of what pairs of objects contributed to an answer: a map over the picture, and the pairs as a matrix.

Blue speaks for the answer, orange against it.
"""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnlib.evaluation.answers import Answer
from rnlib.evaluation.contributions import PairMap
from rnlib.evaluation.plots import draw_answers, draw_picture, plot_answer
from rnlib.style import PALETTE

FOR, AGAINST = PALETTE[0], PALETTE[1]
_COLORS = LinearSegmentedColormap.from_list("against to for", [AGAINST, "white", FOR])
LINES = 6  # pairs drawn


def plot_explained(answer: Answer, pairs: PairMap | None) -> Figure:
    """One answer and what carried it: the picture, the map over it (if any), and the best answers."""
    if pairs is None:
        return plot_answer(answer)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(11, 3.9), layout="constrained", width_ratios=[1.3, 1.3, 0.8]
    )
    draw_picture(left, answer.picture)
    left.set_title(answer.verdict, fontsize=10, loc="left")
    draw_pair_map(middle, answer.picture, pairs)
    middle.set_title(fill(pairs.title, 50), fontsize=10, loc="left")
    draw_answers(right, answer)
    figure.suptitle(fill(answer.question, 110), fontsize=11)
    return figure


def draw_pair_map(axes: Axes, picture: UInt8[np.ndarray, "height width 3"], pairs: PairMap) -> None:
    """The picture, paled, with the share of each object (a cell's shade, a disc's area), and the strongest pairs."""
    height, width = picture.shape[:2]
    shares = pairs.contributions.by_object
    most = float(np.abs(shares).max(initial=0)) or 1.0
    draw_picture(axes, (255 - (255 - picture.astype(float)) * 0.45).astype(np.uint8))
    if pairs.cells:
        grid = shares.reshape(pairs.cells)
        strength = 0.85 * np.abs(grid) / most
        axes.imshow(grid, cmap=_COLORS, vmin=-most, vmax=most, alpha=strength, extent=(0, width, height, 0))
    places = pairs.places * (width, height)
    strongest = pairs.contributions.strongest(LINES)
    loudest = max((abs(value) for _, _, value in strongest), default=0) or 1.0
    for i, j, value in strongest:
        color, thickness = FOR if value > 0 else AGAINST, 4 * abs(value) / loudest
        if i != j:
            axes.plot(*places[[i, j]].T, color=color, lw=thickness, alpha=0.75, solid_capstyle="round")
        elif pairs.cells:
            axes.plot(*places[i], "o", ms=13, mfc="none", mec=color, mew=max(thickness, 0.5))
    if not pairs.cells:
        for (x, y), share in zip(places, shares, strict=True):
            axes.plot(x, y, "o", ms=3 + 19 * (abs(share) / most) ** 0.5, color=FOR if share > 0 else AGAINST, alpha=0.6)
            axes.annotate(
                f"{share:+.2g}", (x, y), xytext=(0, 13), textcoords="offset points", ha="center", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
            )  # fmt: skip
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    colors = ScalarMappable(Normalize(-most, most), _COLORS)
    what = "share of a cell" if pairs.cells else "share of an object"
    figure.colorbar(
        colors,
        ax=axes,
        location="bottom",
        shrink=0.7,
        aspect=30,
        ticks=MaxNLocator(4),
        pad=0.03,
        label=f"{what} (nats): blue speaks for, orange against",
    )


def plot_pair_matrix(pairs: PairMap, left_out: Float[np.ndarray, "objects objects"]) -> Figure:
    """Every ordered pair's contribution, and beside it by how much the margin falls without the pair: the check."""
    values = (pairs.contributions.pairs, left_out)
    most = max(float(np.abs(matrix).max(initial=0)) for matrix in values) or 1.0
    figure, grid = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    for axes, matrix, title in zip(grid, values, ("gradient times output", "leaving the pair out"), strict=True):
        image = axes.imshow(matrix, cmap=_COLORS, vmin=-most, vmax=most)
        axes.set(title=title, xlabel="second object")
        axes.locator_params(integer=True, nbins=10)
    grid[0].set_ylabel("first object")
    figure.colorbar(image, ax=grid, shrink=0.85, label="contribution (nats)")
    figure.suptitle(pairs.title.capitalize())
    return figure
