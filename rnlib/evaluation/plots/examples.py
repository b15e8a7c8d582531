"""Figures of single answers: picture, best answers, and what pairs of objects contributed.

Blue is evidence for the answer, orange against it.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator

from rnlib.evaluation.attribution import PairMap
from rnlib.evaluation.examples import Answer
from rnlib.style import PALETTE

FOR, AGAINST = PALETTE[0], PALETTE[1]
_COLORS = LinearSegmentedColormap.from_list("against to for", [AGAINST, "white", FOR])
LINES = 6  # pairs drawn


# A bar of the true answer is blue, any other orange: told apart with any colour vision.
TRUE_BAR, OTHER_BAR = PALETTE[0], PALETTE[4]


def plot_gallery(rows: Sequence[Mapping[str, Answer]], title: str) -> Figure:
    """A row a question: the picture and what each of up to three models answers to it, with probabilities.

    `rows`: by model, `answer_of` the same question.
    """
    models = list(rows[0])[:3]
    figure = plt.figure(figsize=(10, 2.75 * len(rows) + 0.4), layout="constrained")
    for part, answers in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        one = answers[models[0]]
        part.suptitle(f"{fill(one.question, 140)}\ntruth: {one.truth}", fontsize=9, x=0.01, ha="left")
        axes = part.subplots(1, 1 + len(models), width_ratios=[1.4, *[1] * len(models)])
        draw_picture(axes[0], one.picture)
        for place, model in zip(axes[1:], models, strict=True):
            draw_answers(place, answers[model])
            place.set_title(f"{fill(model, 30)}: {answers[model].given} – {answers[model].outcome}", fontsize=9)
    figure.suptitle(title)
    return figure


def plot_answer(answer: Answer) -> Figure:
    """One answer: picture, question, truth, and the best answers with their probabilities."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", width_ratios=[1.3, 1])
    draw_picture(left, answer.picture)
    draw_answers(right, answer)
    left.set_title(answer.verdict, fontsize=10, loc="left")
    figure.suptitle(fill(answer.question, 95), fontsize=11)
    return figure


def draw_picture(axes: Axes, picture: UInt8[np.ndarray, "height width 3"]) -> None:
    """A picture without axes."""
    axes.imshow(picture)
    axes.set_axis_off()


def draw_answers(axes: Axes, answer: Answer) -> None:
    """The best answers as bars, the truth's in blue."""
    names, values = [name for name, _ in answer.top], [100 * probability for _, probability in answer.top]
    colors = [TRUE_BAR if name == answer.truth else OTHER_BAR for name in names]
    sns.barplot(x=values, y=names, hue=names, palette=colors, saturation=1, legend=False, ax=axes)
    for place, value in enumerate(values):
        axes.text(value + 1.5, place, f"{value:.1f}", va="center", fontsize=8)
    axes.set_xlim(0, 112)
    axes.xaxis.set_major_locator(MultipleLocator(25))
    axes.set_xlabel("probability (%), the truth in blue" if answer.truth in names else "probability (%)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def plot_explained(answer: Answer, pairs: PairMap | None) -> Figure:
    """One answer and what carried it: the picture, the map over it (if any), and the best answers."""
    if pairs is None:
        return plot_answer(answer)
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(11, 3.9), layout="constrained", width_ratios=[1.3, 1.3, 0.6]
    )
    draw_picture(left, answer.picture)
    left.set_title(answer.verdict, fontsize=10, loc="left")
    draw_pair_map(middle, answer.picture, pairs)
    middle.set_title(pairs.title.replace(" = ", "\n= "), fontsize=10, loc="left")
    draw_answers(right, answer)
    figure.suptitle(fill(answer.question, 120), fontsize=11)
    return figure


def draw_pair_map(axes: Axes, picture: UInt8[np.ndarray, "height width 3"], pairs: PairMap) -> None:
    """The picture, paled, with the share of each object (a cell's shade, a disc's area), and the strongest pairs."""
    height, width = picture.shape[:2]
    shares = pairs.attribution.by_object
    most = float(np.abs(shares).max(initial=0)) or 1.0
    draw_picture(axes, (255 - (255 - picture.astype(float)) * 0.45).astype(np.uint8))
    if pairs.cells:
        grid = shares.reshape(pairs.cells)
        strength = 0.85 * np.abs(grid) / most
        axes.imshow(grid, cmap=_COLORS, vmin=-most, vmax=most, alpha=strength, extent=(0, width, height, 0))
    places = pairs.places * (width, height)
    strongest = pairs.attribution.strongest(LINES)
    loudest = max((abs(value) for _, _, value in strongest), default=0) or 1.0
    for i, j, value in strongest:
        color, thickness = FOR if value > 0 else AGAINST, 4 * abs(value) / loudest
        if i != j:
            axes.plot(*places[[i, j]].T, color=color, lw=thickness, alpha=0.75, solid_capstyle="round")
        elif pairs.cells:
            axes.plot(*places[i], "o", ms=13, mfc="none", mec=color, mew=max(thickness, 0.5))
    if not pairs.cells:
        for (x, y), share, number in zip(places, shares, pairs.numbers, strict=True):
            axes.plot(x, y, "o", ms=3 + 19 * (abs(share) / most) ** 0.5, color=FOR if share > 0 else AGAINST, alpha=0.6)
            if abs(share) < most / 20:
                continue  # its number would only hide others
            axes.annotate(
                number, (x, y), xytext=(0, 13), textcoords="offset points", ha="center", fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
            )  # fmt: skip
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    if not pairs.cells:
        key = {"for the answer (nats)": FOR, "against it": AGAINST}
        dots = [Line2D([], [], ls="", marker="o", color=color, alpha=0.6, label=name) for name, color in key.items()]
        axes.legend(handles=dots, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False, fontsize=9)
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    colors = ScalarMappable(Normalize(-most, most), _COLORS)
    figure.colorbar(
        colors,
        ax=axes,
        location="bottom",
        shrink=0.7,
        aspect=30,
        ticks=MaxNLocator(4),
        pad=0.03,
        label="share of a cell (nats): blue for the answer, orange against it",
    )


def plot_pair_matrix(pairs: PairMap, left_out: Float[np.ndarray, "objects objects"]) -> Figure:
    """Every ordered pair's contribution, and beside it by how much the margin falls without the pair: the check."""
    titled = {"share of the pair": pairs.attribution.pairs, "leaving the pair out": left_out}
    most = max(float(np.abs(matrix).max(initial=0)) for matrix in titled.values()) or 1.0
    figure, grid = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    for axes, (title, matrix) in zip(grid, titled.items(), strict=True):
        look = {"cmap": _COLORS, "vmin": -most, "vmax": most, "square": True, "cbar": False}
        sns.heatmap(matrix, ax=axes, **look)
        axes.tick_params("y", rotation=0)
        axes.set(title=title, xlabel="second object")
    grid[0].set_ylabel("first object")
    figure.colorbar(grid[0].collections[0], ax=grid, shrink=0.85, label="nats")
    figure.suptitle(pairs.title.capitalize())
    return figure
