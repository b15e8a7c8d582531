"""Figures of an evaluation: accuracy with intervals, and single answers beside their pictures."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from rnlib.clevr.constants import GROUP_OF_TYPE
from rnlib.evaluation.answers import Answer
from rnlib.evaluation.models import ALL
from rnlib.style import MARKERS, PALETTE

# A bar of the true answer is blue, any other orange: told apart with any colour vision.
TRUE_BAR, OTHER_BAR = PALETTE[0], PALETTE[4]


def plot_by_type(accuracies: pd.DataFrame, guess: pd.Series, title: str) -> Figure:
    """Accuracy of every model on each question type, groups apart, with 95 % intervals.

    `accuracies` is `accuracy_table`'s; `guess` is `best_guess`'s, drawn as a grey line.
    """
    chosen = accuracies[accuracies["by"].isin(["overall", "type"])]
    names = [ALL, *(name for name in chosen.loc[chosen["by"] == "type", "name"].unique())]
    places = _places(names)
    figure, axes = plt.subplots(figsize=(8.5, 1.6 + 0.36 * len(names)), layout="constrained")
    for place, name in zip(places, names, strict=True):
        axes.plot([guess[name]] * 2, [place - 0.36, place + 0.36], color="0.55", lw=4, zorder=1)
    axes.plot([], [], color="0.55", lw=4, label="most frequent answer of the type")
    models = list(chosen["model"].unique())
    for number, model in enumerate(models):
        rows = chosen[chosen["model"] == model].set_index("name").loc[names]
        offset = 0.5 * ((number + 0.5) / len(models) - 0.5)
        reach = [rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]
        axes.errorbar(
            rows["accuracy"], np.array(places) + offset, xerr=np.array(reach), fmt=MARKERS[number % len(MARKERS)],
            color=PALETTE[number % len(PALETTE)], ms=5, lw=1.6, capsize=2.5, label=model,
        )  # fmt: skip
    counts = chosen.drop_duplicates("name").set_index("name")["questions"]
    axes.set_yticks(places, [f"{name}  ({counts[name]:,})" for name in names])
    axes.set_ylim(max(places) + 0.6, -0.6)
    axes.set_xlim(-1, 101)
    axes.xaxis.set_major_locator(MultipleLocator(10))
    axes.set(
        title=title,
        xlabel="questions answered right (%), with 95 % Wilson interval",
        ylabel="question type (questions)",
    )
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def plot_classes(accuracies: pd.DataFrame, title: str) -> Figure:
    """For each answer class and model: how many answers are right, of the right class but wrong, and invalid."""
    chosen = accuracies[accuracies["by"] == "answer class"]
    models = list(chosen["model"].unique())
    figure, grid = plt.subplots(
        1,
        len(models),
        figsize=(min(2.4 + 2.6 * len(models), 10), 3.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, model in zip(grid[0], models, strict=True):
        rows = chosen[chosen["model"] == model]
        left = np.zeros(len(rows))
        wrong = 100 - rows["accuracy"] - rows["invalid"]
        for label, values, color in (
            ("right", rows["accuracy"], PALETTE[0]),
            ("wrong, of the right class", wrong, PALETTE[5]),
            ("invalid: of another class", rows["invalid"], PALETTE[1]),
        ):
            axes.barh(rows["name"], values, left=left, color=color, label=label)
            left = left + values.to_numpy()
        axes.invert_yaxis()
        axes.set(title=model, xlabel="questions (%)", xlim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)
    # With shared axes each inversion turns all of them: leave it turned exactly once.
    grid[0][0].set_ylim(len(rows) - 0.5, -0.5)
    grid[0][0].set_ylabel("class of the true answer")
    figure.suptitle(title)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


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
    names = [name for name, _ in answer.top]
    values = np.array([probability for _, probability in answer.top])
    places = list(range(len(names)))
    axes.barh(places, 100 * values, color=[TRUE_BAR if name == answer.truth else OTHER_BAR for name in names])
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    for place, value in zip(places, values, strict=True):
        axes.text(100 * value + 1.5, place, f"{100 * value:.1f}", va="center", fontsize=8)
    axes.set_xlim(0, 112)
    axes.xaxis.set_major_locator(MultipleLocator(25))
    axes.set_xlabel("probability (%), the truth in blue" if answer.truth in names else "probability (%)", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _places(names: Sequence[str]) -> list[float]:
    """A place for each name from above: a gap between the overall row, and between groups of types."""
    places, place, before = [], 0.0, ""
    for name in names:
        group = GROUP_OF_TYPE.get(name, name)
        if before and group != before:
            place += 0.5
        places.append(place)
        place, before = place + 1, group
    return places
