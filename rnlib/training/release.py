"""Make a training's best weights a release: the files of `rnlib/weights/`.

NAME.safetensors and NAME.json   the weights, with the metrics of every evaluation
NAME.csv                         the learning curve, which the training notebooks draw among the known ones
NAME.md                          the model card, written from the other two
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pandas as pd
from msgspec import Meta

from rnlib.clevr.constants import QUESTION_TYPES, TYPE_GROUPS
from rnlib.errors import DataError
from rnlib.evaluation.statistics import wilson
from rnlib.files import atomic_write, check_plain_name, make_folder, read_json
from rnlib.model.checkpoint import described, load_weights, save_weights
from rnlib.training.run_folder import TrainingFolder, read_table


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
    history = folder.history("questions", "train_seconds", "val_accuracy")
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
    curve = learning_curve(f"{weights.preset.kind.label}, released {name}", trained_on, history, start)
    with atomic_write(out / f"{name}.csv", "w") as file:
        curve.to_csv(file, index=False)
    with atomic_write(out / f"{name}.md", "w") as file:
        file.write(model_card(name, read_json(target.with_suffix(".json")), curve, about, start))
    return target


class Start(NamedTuple):
    """The released weights that a training began as, and what had gone into them."""

    name: str
    epoch: int
    questions: int
    minutes: float


def _start(origin: Mapping[str, Any], released: Path) -> Start | None:
    """What a training with this provenance began as; None where it began anew.

    Raises DataError where that is not among the weights in `released`, without which the curve would begin nowhere.
    """
    sha256 = origin.get("start", {}).get("init_from")
    if not sha256:
        return None
    for path in sorted(released.glob("*.json")):
        info = read_json(path, dict[str, Any])
        if info.get("sha256") == sha256:
            epoch = described(info, _Trained, path).provenance.epoch
            table = read_table(path.with_suffix(".csv"), ("questions", "minutes"))
            if not 1 <= epoch <= len(table) or table.isna().iloc[epoch - 1][["questions", "minutes"]].any():
                raise DataError(
                    f"{path.with_suffix('.csv')} is damaged: expected questions and minutes of epoch {epoch}, found "
                    f"{len(table)} rows. Release these weights again."
                )
            row = table.iloc[epoch - 1]
            return Start(path.stem, epoch, int(row["questions"]), float(row["minutes"]))
    raise DataError(
        f"expected the weights this training began as (sha256 {sha256[:12]}…) in {released}, found none with it. "
        "Release those first."
    )


def learning_curve(curve: str, trained_on: str, history: pd.DataFrame, start: Start | None = None) -> pd.DataFrame:
    """A row an epoch, with the columns of `rnlib.training.curves.reference_curves`; what the start had seen counts."""
    questions, minutes = (start.questions, start.minutes) if start else (0, 0.0)
    return pd.DataFrame(
        {
            "curve": curve,
            "set": trained_on,
            "questions": questions + history["questions"].astype(int),
            "minutes": (minutes + history["train_seconds"].cumsum() / 60).round(2),
            "accuracy": (100 * history["val_accuracy"]).round(2),
        }
    )


def model_card(name: str, info: Mapping[str, Any], curve: pd.DataFrame, about: str, start: Start | None = None) -> str:
    """The card of released weights, as Markdown."""
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
        f"best of {len(curve)} epochs: number {info['provenance']['epoch']}; curve in [{name}.csv]({name}.csv)",
        *_start_line(start),
        *_convolutions_line(info["provenance"].get("start", {}).get("init_conv", "")),
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


def _start_line(start: Start | None) -> list[str]:
    if not start:
        return []
    return [
        f"- **Start**: it began (rnlib.model.net2net) as the released `{start.name}` at its epoch {start.epoch}, after "
        f"{start.questions:,} questions and {start.minutes:.0f} minutes, which the totals and the curve count too"
    ]


def _convolutions_line(sha256: str) -> list[str]:
    if not sha256:
        return []
    return [f"- **Convolutions**: they began as trained ones, of weights with the sha256 `{sha256}`"]


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
