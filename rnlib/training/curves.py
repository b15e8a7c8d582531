"""Learning curves as figures, with the published ones to say whether a plateau is normal."""

from itertools import cycle
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnlib.clevr.constants import ANSWER_CLASSES
from rnlib.model.pretrained import shipped_folder
from rnlib.style import MARKERS, PALETTE, label

REFERENCE_FILE = Path(__file__).with_name("reference_curves.csv")


def reference_curves() -> pd.DataFrame:
    """Validation accuracies of whole trainings: published ones, those of this code, and those of released weights.

    Columns: curve (name), set (what it was trained and validated on), questions (seen in training so far), minutes
    (of training, where known), accuracy (percent).
    """
    return pd.concat(_curves(), ignore_index=True).drop_duplicates()


def known_curves(kind: str) -> pd.DataFrame:
    """The reference curves whose names begin with `kind`, and those that they go on from."""
    known = [curves for curves in _curves() if curves["curve"].str.startswith(kind).any()]
    nothing = pd.read_csv(REFERENCE_FILE, nrows=0)
    return pd.concat(known, ignore_index=True).drop_duplicates() if known else nothing


def _curves() -> list[pd.DataFrame]:
    """The curves of each file, where those of released weights go on from others, and each published one."""
    published = [curve for _, curve in pd.read_csv(REFERENCE_FILE).groupby("curve", sort=False)]
    return [*published, *map(pd.read_csv, sorted(shipped_folder().glob("*.csv")))]


def plot_losses(history: pd.DataFrame, title: str) -> Figure:
    """Training and validation loss an epoch."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(history["epoch"], history["train_loss"], color=PALETTE[0], marker="o", ms=3, label="training")
    axes.plot(history["epoch"], history["val_loss"], color=PALETTE[1], marker="s", ms=3, label="validation")
    _label(axes, title, "epoch", "loss (nats per question)")
    axes.legend()
    return figure


def plot_steps(steps: pd.DataFrame, title: str) -> Figure:
    """Training loss every few steps: how it falls within the epochs."""
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    draw_steps(axes, steps, title)
    return figure


def draw_steps(axes: Axes, steps: pd.DataFrame, title: str) -> None:
    """Training loss every few steps, onto axes; without any, a word that says so."""
    axes.plot(steps["step"], steps["train_loss"], color=PALETTE[0], lw=1)
    _label(axes, title, "step", "training loss (nats)")
    if not len(steps):
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no step reported yet", transform=axes.transAxes, ha="center", color="0.4")


def plot_accuracy(history: pd.DataFrame, title: str, column: str = "val_accuracy") -> Figure:
    """Validation accuracy (or, with column "val_invalid", the rate of invalid answers), overall and by answer class."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for color, marker, name in zip(PALETTE, "osv^D<", ANSWER_CLASSES, strict=False):
        values = history[f"{column}_{name}"]
        if values.notna().any():
            axes.plot(history["epoch"], 100 * values, color=color, marker=marker, ms=3, lw=1, alpha=0.8, label=name)
    axes.plot(history["epoch"], 100 * history[column], color=PALETTE[6], lw=2.5, label="all questions")
    quantity = "validation accuracy (%)" if column == "val_accuracy" else "invalid answers (%)"
    _label(axes, title, "epoch", quantity)
    axes.legend(title="answer class", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def plot_against_reference(history: pd.DataFrame, title: str, kind: str) -> Figure:
    """This training's accuracy over the known curves of a `kind`, marked "you are here"."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    draw_against_reference(axes, history, title, kind)
    return figure


def draw_against_reference(axes: Axes, history: pd.DataFrame, title: str, kind: str) -> None:
    """The same onto axes. A history without an epoch leaves the known curves alone."""
    styles = zip(cycle(PALETTE[1:]), cycle(MARKERS), strict=False)
    for (color, marker), (name, curve) in zip(styles, known_curves(kind).groupby("curve", sort=False), strict=False):
        seen, named = curve["questions"] / 1e6, f"{curve['set'].iloc[0]}: {name}"
        axes.plot(seen, curve["accuracy"], "--", color=color, marker=marker, ms=3, lw=1.2, label=named)
    if len(history):
        _draw_here(axes, history)
    axes.set_ylim(0, 102)
    axes.set_xscale("log")
    _label(axes, title, "questions seen in training (millions, logarithmic)", "validation accuracy (%)")
    # Below the axes: within them there is no corner that no curve may come to.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, frameon=False)


def _draw_here(axes: Axes, history: pd.DataFrame) -> None:
    accuracy, seen = 100 * history["val_accuracy"], history["questions"] / 1e6
    here = f"this training (star, you are here: {accuracy.iloc[-1]:.1f} %)"
    axes.plot(seen, accuracy, color=PALETTE[0], lw=2.5, marker="*", ms=15, markevery=[-1], label=here)


def plot_monitor(history: pd.DataFrame, steps: pd.DataFrame, kind: str) -> Figure:
    """What one watches of a training: its loss by step, and its accuracy over the known curves of this `kind`.

    The figure is none of pyplot's, so that a thread can draw it; end a cell with it to show it.
    """
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.35])
    draw_steps(left, steps, "training loss")
    draw_against_reference(right, history, "validation accuracy over known trainings", kind)
    return figure


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    label(axes, title, x, y)
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
