"""Figures of the data: pictures, a scene from above, and how objects, questions, answers and words are spread."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator
from PIL import Image

from rnlib.clevr.constants import (
    ANSWER_CLASSES,
    ATTRIBUTES,
    COLORS_RGB,
    DIRECTIONS,
    HALF_WIDTH,
    RADII,
    TYPE_GROUPS,
    VIEW,
)
from rnlib.clevr.schema import Scene
from rnlib.clevr.split import Split
from rnlib.style import PALETTE, label

BLUE, ORANGE = PALETTE[:2]
GREY = 225
_MARKERS = {"sphere": "o", "cube": "s", "cylinder": "h"}


def picture(split: Split, row: int) -> UInt8[np.ndarray, "height width 3"]:
    """The picture of row `row` in its full size. Raises DataError if it cannot be read.

    A picture out of an array is stretched to the pixels that its pixel_coords speak of (CLEVR's: 480x320). In a split
    without pictures it is a grey field.
    """
    if not split.has_pictures:
        return np.full((VIEW[1], VIEW[0], 3), GREY, np.uint8)
    stored = split.picture(row)
    if split.image_path(row).exists():
        return stored
    return np.asarray(Image.fromarray(stored).resize(split.directory.array_view(split.name), Image.Resampling.BILINEAR))


def plot_pictures(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4) -> Figure:
    """Pictures in a grid, a caption above each, in as many lines as it needs."""
    rows = -(-len(pictures) // columns)
    captions = [fill(caption, 40) for caption in captions]
    lines = max(caption.count("\n") + 1 for caption in captions)
    height = rows * (2.7 * pictures[0].shape[0] / pictures[0].shape[1] + 0.15 + 0.15 * lines)
    figure, grid = plt.subplots(rows, columns, figsize=(2.7 * columns, height), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption in zip(grid.flat, pictures, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption, fontsize=9, loc="left")
    return figure


def plot_scene(image: UInt8[np.ndarray, "height width 3"], scene: Scene, anchor: int = 0) -> Figure:
    """The picture with numbered objects, and the scene from above with the four directions from object `anchor`."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(1.35, 1))
    left.imshow(image)
    for number, item in enumerate(scene.objects):
        box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "alpha": 0.85}
        left.text(*item.pixel_coords[:2], str(number), ha="center", va="center", fontsize=9, bbox=box)
    left.set_title(f"{scene.image_filename}: objects by number")
    left.axis("off")
    _draw_map(right, scene, anchor)
    return figure


def _seen(coordinates: tuple[float, float, float]) -> tuple[float, float]:
    """World coordinates as the viewer has them: how far right, how far behind."""
    place = np.array(coordinates)
    return float(place @ DIRECTIONS["right"]), float(place @ DIRECTIONS["behind"])


def _draw_map(axes: Axes, scene: Scene, anchor: int) -> None:
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    outline = [_seen((HALF_WIDTH * x, HALF_WIDTH * y, 0.0)) for x, y in corners]
    axes.add_patch(Polygon(outline, facecolor="#f2f2f2", edgecolor="#999999", zorder=0))
    for number, item in enumerate(scene.objects):
        x, y = _seen(item.coordinates)
        color = np.array(COLORS_RGB[item.color]) / 255
        radius = 34 * RADII[item.size]
        edge = 2.5 if item.material == "metal" else 0.5
        axes.plot(x, y, _MARKERS[item.shape], ms=radius, color=color, markeredgecolor="black", markeredgewidth=edge)
        dark = color @ (0.3, 0.59, 0.11) < 0.5
        axes.text(x, y, str(number), ha="center", va="center_baseline", fontsize=9, color="white" if dark else "black")
    axes.set(aspect="equal", xlim=(-5.5, 5.5), ylim=(-5, 5))
    axes.set(xlabel="left ← world units → right", ylabel="front (camera) ← world units → behind")
    if not scene.objects:
        axes.set_title("from above: an empty scene")
        return
    x, y = _seen(scene.objects[anchor].coordinates)
    axes.axvline(x, color=ORANGE, lw=1, ls="--", zorder=1)
    axes.axhline(y, color=ORANGE, lw=1, ls="--", zorder=1)
    for name, (across, up) in {"left": (-1, 0), "right": (1, 0), "front": (0, -1), "behind": (0, 1)}.items():
        arrow = {"arrowstyle": "-|>", "color": ORANGE, "lw": 1.8}
        axes.annotate("", (x + 1.4 * across, y + 1.4 * up), (x, y), arrowprops=arrow, zorder=1)
        # The words are at the map's edge, where no object is.
        label = (4.8 * across if across else x, 4.6 * up if up else y)
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(*label, name, color=ORANGE, ha="center", va="center", fontsize=9, weight="bold", bbox=ground)
    axes.set_title(f"from above, directions from object {anchor}")


def plot_objects(split: Split) -> Figure:
    """Objects a scene, and how often each value of each attribute occurs."""
    figure, grid = plt.subplots(1, 5, figsize=(13, 3.2), layout="constrained", width_ratios=(6, 8, 2, 3, 2))
    sns.histplot(x=split.n_objects, discrete=True, shrink=0.8, color=BLUE, alpha=1, linewidth=0, ax=grid[0])
    label(grid[0], "objects in a scene", "objects", "scenes", "y")
    grid[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for column, (name, values) in enumerate(ATTRIBUTES.items()):
        numbers = np.bincount(split.codes[:, :, column].ravel(), minlength=len(values) + 1)[1:]
        colors = [np.array(COLORS_RGB[value]) / 255 for value in values] if name == "color" else BLUE
        _bars(grid[column + 1], values, numbers, name, "objects", colors)
        grid[column + 1].tick_params(axis="x", rotation=60)
    figure.suptitle(f"what there is in {split.n_images:,} scenes of {split.label}")
    return figure


def plot_types(split_types: pd.DataFrame, shares: pd.DataFrame, title: str) -> Figure:
    """The 13 question types by group, and the published shares beside this split's.

    `split_types` and `shares` are `types_table` and `published_shares` of rnlib.clevr.summary.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    table, bars = split_types.rename_axis("type").reset_index(), {"saturation": 1, "errorbar": None}
    colors = dict(zip(TYPE_GROUPS, PALETTE, strict=False))
    sns.barplot(table, x="questions", y="type", hue="group", palette=colors, dodge=False, ax=left, **bars)
    label(left, title, "questions", "question type", "x")
    left.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    long = shares.rename_axis("type").melt(var_name="set", value_name="share", ignore_index=False).reset_index()
    sns.barplot(long, x="share", y="type", hue="set", palette=list(PALETTE[: shares.shape[1]]), ax=right, **bars)
    label(right, "compared with CLEVR v1.0", "share of all questions (%)", "", "x")
    for axes, name, columns, place in ((left, "group", 5, "left"), (right, "", 2, "right")):
        handles, texts = axes.get_legend_handles_labels()
        axes.get_legend().remove()
        look: dict[str, Any] = {"title": name, "ncols": columns, "loc": f"outside lower {place}", "frameon": False}
        figure.legend(handles, texts, **look)
    return figure


def plot_lengths(split: Split, title: str) -> Figure:
    """Words of a question (punctuation marks count as words, as they do for the network)."""
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    sns.histplot(x=split.lengths, discrete=True, shrink=0.9, color=BLUE, alpha=1, linewidth=0, ax=axes)
    mean = float(split.lengths.mean())
    axes.axvline(mean, color=ORANGE, lw=2, label=f"mean {mean:.1f}")
    axes.legend()
    label(axes, title, "words in the question", "questions", "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_answers(answers: pd.DataFrame) -> Figure:
    """How often each answer is right, a panel an answer class. `answers`: `answers_table` of rnlib.clevr.summary."""
    widths = [len(values) for values in ANSWER_CLASSES.values()]
    figure, grid = plt.subplots(1, 6, figsize=(13, 3.2), layout="constrained", width_ratios=widths, sharey=True)
    for axes, name, color in zip(grid, ANSWER_CLASSES, PALETTE, strict=False):
        part = answers[answers["answer class"] == name]
        _bars(axes, list(part.index), part["questions"].to_numpy(), name, "questions" if axes is grid[0] else "", color)
        axes.tick_params(axis="x", rotation=0 if name == "number" else 60)
    figure.suptitle("how often each answer is the right one, by answer class")
    return figure


def plot_words(words: pd.DataFrame, title: str, most: int = 40) -> Figure:
    """The most frequent words. `words`: `words_table` of rnlib.clevr.summary."""
    figure, axes = plt.subplots(figsize=(12, 3.4), layout="constrained")
    table = words[:most]
    _bars(axes, list(table.index), table["times per 100 questions"].to_numpy(), title, "times per 100 questions")
    axes.tick_params(axis="x", rotation=70)
    return figure


def plot_question_type_baseline(baseline: pd.DataFrame, title: str) -> Figure:
    """The baseline's answer and accuracy by type. `baseline`: `question_type_baseline` of rnlib.evaluation.metrics."""
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(baseline) + 1.1), layout="constrained")
    table, overall = baseline.iloc[:-1].reset_index(), float(baseline["accuracy"].iloc[-1])
    sns.barplot(table, x="accuracy", y="type", color=BLUE, saturation=1, ax=axes)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for place, (answer, accuracy) in enumerate(zip(table["answer"], table["accuracy"], strict=True)):
        axes.text(accuracy + 1, place, f"always “{answer}”", va="center", fontsize=9, bbox=ground)
    axes.axvline(overall, color=ORANGE, lw=2, label=f"all questions: {overall:.1f} %")
    axes.set_xlim(0, 100)
    axes.legend(loc="upper right")
    label(axes, title, "correct answers (%)", "question type", "x")
    return figure


def plot_for_network(
    image: UInt8[np.ndarray, "height width 3"], squeezed: UInt8[np.ndarray, "3 size size"], cells: int = 8
) -> Figure:
    """The picture as it is, as the network gets it, and with the grid of `cells` x `cells` objects that it becomes."""
    figure, grid = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", width_ratios=(1.5, 1, 1))
    size = squeezed.shape[1]
    small = squeezed.transpose(1, 2, 0)
    file = f"the picture, {image.shape[1]} x {image.shape[0]}"
    titles = (file, f"squeezed to {size} x {size}", f"{cells} x {cells} cells")
    for axes, shown, title in zip(grid, (image, small, small), titles, strict=True):
        axes.imshow(shown)
        axes.set(title=title, xticks=[], yticks=[])
    for edge in np.arange(1, cells) * size / cells - 0.5:
        grid[2].axhline(edge, color="white", lw=0.8)
        grid[2].axvline(edge, color="white", lw=0.8)
    return figure


def plot_tokens(rows: Mapping[str, Integer[np.ndarray, " length"]], words: Sequence[str]) -> Figure:
    """Rows of word numbers as cells with their words; empty cells are padding."""
    figure, axes = plt.subplots(figsize=(13, 0.8 * len(rows) + 0.9), layout="constrained")
    numbers = np.stack(list(rows.values()))
    texts = np.array(["0", *words])[numbers]
    look = {"cmap": "Blues", "vmin": 0, "vmax": 2.5, "cbar": False, "annot_kws": {"rotation": 90, "size": 8}}
    sns.heatmap(numbers > 0, annot=texts, fmt="", yticklabels=list(rows), ax=axes, **look)
    axes.tick_params("y", rotation=0)
    axes.set(xlabel="position", title="a question as a row of words and padding")
    return figure


def _bars(
    axes: Axes, names: Sequence[str], numbers: np.ndarray, title: str, y: str, color: str | list[np.ndarray] = BLUE
) -> None:
    palette = [color] * len(names) if isinstance(color, str) else color
    sns.barplot(x=names, y=numbers, hue=names, palette=palette, saturation=1, legend=False, ax=axes)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    label(axes, title, "", y, "y")
