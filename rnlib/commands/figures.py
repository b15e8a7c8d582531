"""`rnlib figures`: the key figures of a run, a training or an evaluation at the size of a slide, as SVG and PDF."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rnlib.clevr.constants import ANSWER_CLASSES
from rnlib.errors import DataError
from rnlib.evaluation import compute_metrics
from rnlib.evaluation.calibration import reliability_table
from rnlib.evaluation.confusion import ANSWERS, confusion_matrix
from rnlib.evaluation.plots import plot_by_type, plot_calibration, plot_class_confusion
from rnlib.evaluation.predict import read_predictions
from rnlib.evaluation.tables import accuracy_table
from rnlib.files import atomic_write, read_json
from rnlib.model.objects import KINDS
from rnlib.style import as_slide
from rnlib.training.curves import plot_accuracy, plot_against_reference, plot_losses
from rnlib.training.run_folder import TrainingFolder

FORMATS = ("svg", "pdf")

Named = Iterator[tuple[str, Figure]]


def run_figures(options: argparse.Namespace) -> None:
    """`figures`."""
    written = write_figures(options.source, options.out)
    print(f"{len(written)} figures as {' and '.join(FORMATS)} in {options.out}: {', '.join(written)}")


def write_figures(source: Path, out: Path) -> list[str]:
    """Write the figures of every training and evaluation in the folder `source` into `out`; returns their names.

    Trainings are folders with history.csv and run.json, evaluations have predictions.parquet or predictions/*.parquet.
    Raises DataError where there is neither.
    """
    trainings = sorted(path.parent for path in source.rglob("history.csv") if (path.parent / "run.json").is_file())
    predictions: dict[Path, dict[str, Path]] = {}
    for path in sorted(source.rglob("*.parquet")):
        if path.name == "predictions.parquet":
            predictions.setdefault(path.parent, {})[_name(path.parent, source)] = path
        elif path.parent.name == "predictions":
            predictions.setdefault(path.parent.parent, {})[path.stem] = path
    if not trainings and not predictions:
        raise DataError(
            f"expected in {source} a training (history.csv with run.json) or an evaluation (predictions.parquet), "
            "found neither. Give the folder of a run, of 'train --out' or of 'evaluate --out'."
        )
    figures = [(_name(folder, source), _of_training(*_history(folder))) for folder in trainings]
    for folder, files in predictions.items():
        tables = {name: read_predictions(path) for name, path in files.items()}
        answered = {name: table for name, table in tables.items() if "correct" in table}
        if answered:
            figures.append((_name(folder, source), _of_evaluation(answered)))
    return [what for name, several in figures for what in _write(several, name, out)]


def _name(folder: Path, source: Path) -> str:
    """A name for a folder within `source`, or for `source` itself."""
    parts = folder.resolve().relative_to(source.resolve()).parts
    return "-".join(parts) if parts else source.resolve().name


def _history(folder: Path) -> tuple[pd.DataFrame, str]:
    """A training's table, and the kind of its objects: none for a classifier of attributes or cells."""
    training = TrainingFolder(folder)
    if "val_accuracy" not in training.history():
        return training.history(), ""
    objects = str(read_json(folder / "run.json", dict[str, dict[str, Any]]).get("preset", {}).get("objects"))
    if objects not in KINDS:
        raise DataError(
            f"{folder / 'run.json'} is damaged: expected a preset with objects out of {', '.join(KINDS)}, found "
            f"{objects}. Copy it again, or continue the training."
        )
    classes = [f"val_accuracy_{name}" for name in ANSWER_CLASSES]
    return training.history("train_loss", "val_loss", "questions", "val_accuracy", *classes), KINDS[objects].label


def _of_training(history: pd.DataFrame, kind: str) -> Named:
    if not kind:
        return
    yield "learning_curve", plot_against_reference(history, f"Validation accuracy, {kind}", kind)
    yield "loss", plot_losses(history, f"Loss, {kind}")
    yield "answer_classes", plot_accuracy(history, f"Validation accuracy by class of answer, {kind}")


def _of_evaluation(tables: dict[str, pd.DataFrame]) -> Named:
    accuracies = accuracy_table({name: compute_metrics(table) for name, table in tables.items()})
    yield "by_type", plot_by_type(accuracies, None, "Accuracy by type of question")
    reliability = {name: reliability_table(table) for name, table in tables.items()}
    yield "calibration", plot_calibration(reliability, "Confidence and accuracy")
    for name, table in tables.items():
        if not (table["truth"].isin(ANSWERS) & table["answer"].isin(ANSWERS)).all():
            print(f"{name}: no confusions, for there are answers that CLEVR does not have", flush=True)
            continue
        yield f"classes_{name}", plot_class_confusion(confusion_matrix(table), f"{name}: classes of answers")


def _write(figures: Named, name: str, out: Path) -> list[str]:
    written = []
    for what, figure in figures:
        as_slide(figure)
        for ending in FORMATS:
            with atomic_write(out / f"{name}-{what}.{ending}") as file:
                figure.savefig(file, format=ending)
        plt.close(figure)
        written.append(f"{name}-{what}")
    return written
