"""A line of the history: as a row of history.csv, and for a person."""

from typing import Any

from rnlib.clevr.constants import ANSWER_CLASSES
from rnlib.training.recipe import Recipe
from rnlib.training.resume_state import Position, Row


def history_row(
    position: Position, recipe: Recipe, loss: float, metrics: dict[str, Any], stage_metrics: dict[str, Any]
) -> Row:
    """A line of history.csv: learning rate, questions asked so far, losses, accuracy, invalid rate, by class too.

    Columns stage_: of the held-out questions of the stage (numbered from 1; after the curriculum: of all).
    """
    row: Row = {
        "epoch": position.epoch,
        "stage": position.stage + 1,
        "lr": recipe.lr_at(position.epoch, curriculum=position.curriculum_epochs(recipe.curriculum)),
        "batch_size": recipe.batch_at(position.epoch),
        "questions": position.questions + (position.history[-1]["questions"] if position.history else 0),
        "train_loss": loss,
        "stage_loss": stage_metrics["loss"],
        "stage_accuracy": stage_metrics["accuracy"],
        "val_loss": metrics["loss"],
        "val_accuracy": metrics["accuracy"],
        "val_invalid": metrics["invalid"],
    }
    for name in ANSWER_CLASSES:
        entry = metrics["by_answer_class"].get(name, {"accuracy": float("nan"), "invalid": float("nan")})
        row[f"val_accuracy_{name}"] = entry["accuracy"]
        row[f"val_invalid_{name}"] = entry["invalid"]
    row["questions_per_second"] = position.questions / max(position.seconds, 1e-9)
    row["train_seconds"] = position.seconds
    return row


def epoch_line(row: Row, recipe: Recipe, stage: int) -> str:
    """A history line for a person. stage: of the curriculum, from 0, in which the training continues."""
    stages = len(recipe.curriculum)
    if row["stage"] <= stages:
        where = f"epoch {row['epoch']:>3.0f}  stage {row['stage']}/{stages}"
        accuracy = (
            f"accuracy in the stage {100 * row['stage_accuracy']:.2f} %, of all {100 * row['val_accuracy']:.2f} %"
        )
    else:
        where = f"epoch {row['epoch']:>3.0f}" + ("" if stages else f"/{recipe.epochs}")
        accuracy = f"val accuracy {100 * row['val_accuracy']:.2f} %  invalid {100 * row['val_invalid']:.2f} %"
    line = (
        f"{where}  lr {row['lr']:.1e}  train loss {row['train_loss']:.4f}  val loss {row['stage_loss']:.4f}  "
        f"{accuracy}  {row['questions_per_second']:,.0f} questions/s"
    )
    if stage + 1 > row["stage"]:
        line += f"\nstage {row['stage']} ends after {row['epoch']} epochs and {row['questions']:,} questions"
    return line
