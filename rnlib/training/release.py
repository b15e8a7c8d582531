"""Make a training's best weights a release: the files of `rnlib/weights/`.

NAME.safetensors and NAME.json   the weights, with the metrics of every evaluation
NAME.csv                         the learning curve, which the training notebooks draw among the known ones
NAME.md                          the model card, written from the other two
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd
from msgspec import Meta

from rnlib.clevr.constants import QUESTION_TYPES, TYPE_GROUPS
from rnlib.errors import DataError
from rnlib.evaluation.statistics import wilson
from rnlib.files import atomic_write, check_plain_name, make_folder, read_json
from rnlib.model.checkpoint import described, load_weights, save_weights
from rnlib.training.run_folder import TrainingFolder, read_table

CURVE = ("curve", "set", "questions", "minutes", "accuracy")


def release(training: Path, name: str, out: Path, trained_on: str, evaluations: Mapping[str, Path], about: str) -> Path:
    """Write the release `name` of a training into `out`; returns the weights file.

    trained_on: the set, such as "synthetic CLEVR", as plots of curves name it; evaluations: folders of `rnlib evaluate`
    by what they evaluated on, such as "synthetic val"; about: sentences on data, machine and limits for the card.
    Raises DataError where an evaluation is of other weights or not there, or where what the training began as is not
    in `out`.
    """
    check_plain_name(name, "release")
    folder = TrainingFolder(training)
    weights = load_weights(folder.weights("best"))
    described(weights.info, _Trained, folder.weights("best"))
    history = folder.history("epoch", "questions", "train_seconds", "val_accuracy")
    metrics = dict(weights.info["metrics"])
    for what, place in evaluations.items():
        metrics[what] = _metrics_of(place, weights.info["sha256"])
    start = _start(weights.info["provenance"], out)
    make_folder(out, "the released weights")
    target = save_weights(
        out / f"{name}.safetensors",
        weights.network,
        weights.vocabulary,
        metrics=metrics,
        provenance=weights.info["provenance"],
    )
    released = history[history["epoch"] <= weights.info["provenance"]["epoch"]]
    curve = learning_curve(f"{weights.preset.kind.label}, released {name}", trained_on, released, start)
    with atomic_write(out / f"{name}.csv", "w") as file:
        curve.to_csv(file, index=False)
    with atomic_write(out / f"{name}.md", "w") as file:
        file.write(model_card(name, read_json(target.with_suffix(".json")), curve, about, len(history)))
    return target


def _start(origin: Mapping[str, Any], released: Path) -> pd.DataFrame | None:
    """The learning curve of the weights that a training with this provenance began as; None where it began anew.

    Raises DataError where those are not among the weights in `released`, without which the curve would begin nowhere.
    """
    sha256 = origin.get("start", {}).get("init_from")
    if not sha256:
        return None
    for path in sorted(released.glob("*.json")):
        if read_json(path, dict[str, Any]).get("sha256") == sha256:
            table = read_table(path.with_suffix(".csv"), CURVE[2:])
            if table.isna().to_numpy().any() or set(table) != set(CURVE):
                raise DataError(
                    f"{path.with_suffix('.csv')} is damaged: expected a value in every row of the columns "
                    f"{', '.join(CURVE)}. Release these weights again."
                )
            return table
    raise DataError(
        f"expected the weights this training began as (sha256 {sha256[:12]}…) in {released}, found none with it. "
        "Release those first."
    )


def learning_curve(curve: str, trained_on: str, history: pd.DataFrame, start: pd.DataFrame | None) -> pd.DataFrame:
    """A row an epoch after those of the start, whose questions and minutes count too.

    Columns: those of `rnlib.training.curves.reference_curves`.
    """
    questions, minutes = (0, 0.0) if start is None else start[["questions", "minutes"]].iloc[-1]
    own = pd.DataFrame(
        {
            "curve": curve,
            "set": trained_on,
            "questions": int(questions) + history["questions"].astype(int),
            "minutes": (minutes + history["train_seconds"].cumsum() / 60).round(2),
            "accuracy": (100 * history["val_accuracy"]).round(2),
        }
    )
    return pd.concat([start, own], ignore_index=True)


def model_card(name: str, info: Mapping[str, Any], curve: pd.DataFrame, about: str, epochs: int) -> str:
    """The card of released weights, as Markdown. epochs: those of the training, of which the best is released."""
    recipe, preset = info["provenance"]["recipe"], info["preset"]
    settings = ", ".join(f"{key} {_setting(value)}" for key, value in recipe.items() if value not in ("", 0, False, []))
    network = ", ".join(f"{key} {value}" for key, value in preset.items() if key != "name")
    lines = [
        f"# {name}",
        "",
        about,
        "",
        f"- **Network**: preset `{preset['name']}` ({network})",
        f"- **Recipe**: {settings}",
        f"- **Training**: on {curve['set'].iloc[-1]}, "
        f"{curve['questions'].iloc[-1]:,} questions in {curve['minutes'].iloc[-1]:.0f} minutes, "
        f"the last training's best of {epochs} epochs: number {info['provenance']['epoch']}; curve in "
        f"[{name}.csv]({name}.csv)",
        *_start_lines(info["provenance"].get("start", {})),
        f"- **sha256**: `{info['sha256']}`",
        f"- **Made with**: rnlib {info['provenance']['rnlib']}, commit {_commit(info['provenance'])}, "
        f"torch {info['provenance']['packages']['torch']}",
        "",
        "Accuracy in percent with 95 % Wilson intervals (questions taken for independent):",
        "",
    ]
    return "\n".join(lines + accuracy_rows(info["metrics"])) + "\n"


def _setting(value: Any) -> str:
    """A value of a recipe for people; of a curriculum, what each stage sets."""
    if not isinstance(value, list):
        return str(value)
    stages = ["{" + ", ".join(f"{key}: {part}" for key, part in stage.items() if part) + "}" for stage in value]
    return f"[{', '.join(stages)}]"


def _start_lines(start: Mapping[str, str]) -> list[str]:
    lines = []
    if start.get("init_from"):
        lines.append(
            f"- **Start**: it began (rnlib.model.net2net) as trained weights, with the sha256 `{start['init_from']}`; "
            "the totals and the curve count what they had seen too"
        )
    if start.get("init_conv"):
        lines.append(
            f"- **Convolutions**: they began as trained ones, of weights with the sha256 `{start['init_conv']}`"
        )
    return lines


def accuracy_rows(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A Markdown table: a row for all questions, each group and each type, a column an evaluation."""
    table = ["| questions | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    table.append("| **all** | " + " | ".join(f"**{_cell(entry)}**" for entry in metrics.values()) + " |")
    for part, names in (("by_group", tuple(TYPE_GROUPS)), ("by_type", QUESTION_TYPES)):
        for name in names:
            if part == "by_type" and name in TYPE_GROUPS:  # count and exist are groups of one type
                continue
            cells = [_cell(entry[part][name]) if name in entry[part] else "–" for entry in metrics.values()]
            table.append(f"| {name} | " + " | ".join(cells) + " |")
    return table


def _cell(entry: Mapping[str, Any]) -> str:
    low, high = wilson(round(entry["accuracy"] * entry["n"]), entry["n"])
    return f"{100 * entry['accuracy']:.2f} ({100 * low:.2f} to {100 * high:.2f}; n = {entry['n']:,})"


def _commit(origin: Mapping[str, Any]) -> str:
    return (origin["git"] or {}).get("commit", "unknown")[:12]


def _metrics_of(place: Path, sha256: str) -> dict[str, Any]:
    """The metrics of an evaluation's folder, if it is of the weights with this sha256."""
    path = place / "metrics.json"
    if not os.path.isfile(path):
        raise DataError(f"expected the folder of an evaluation with {path}, found none. Run 'rnlib evaluate' first.")
    evaluated = read_json(place / "provenance.json", dict[str, Any]).get("sha256")
    if evaluated != sha256:
        raise DataError(
            f"{place} evaluates other weights: expected sha256 {sha256[:12]}…, found {str(evaluated)[:12]}…. "
            "Run 'rnlib evaluate' with the training's best weights."
        )
    read_json(path, _Metrics)
    found: dict[str, Any] = read_json(path)
    return found


class _Accuracy(msgspec.Struct):
    """What is said of the answers to some questions; of a whole evaluation, the groups and types of questions too."""

    n: Annotated[int, Meta(ge=1, le=2**53)]
    accuracy: Annotated[float, Meta(ge=0, le=1)]


class _Metrics(_Accuracy):
    by_group: dict[str, _Accuracy]
    by_type: dict[str, _Accuracy]


class _Origin(msgspec.Struct):
    recipe: dict[str, Any]
    epoch: int
    rnlib: str
    packages: dict[str, str | None]
    git: dict[str, Any] | None
    start: dict[str, str] = {}


class _Trained(msgspec.Struct):
    """What the JSON of a training's weights says, which the card repeats."""

    metrics: dict[str, _Metrics]
    provenance: _Origin
