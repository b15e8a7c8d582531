"""A line of the history: as a row of history.csv, and for a person."""

from typing import Any

from rnlib.clevr.catalogue import ANSWER_CLASSES
from rnlib.training.recipe import Recipe
from rnlib.training.state import Position, Row


def history_row(position: Position, recipe: Recipe, loss: float, metrics: dict[str, Any]) -> Row:
    """A line of history.csv: learning rate, questions asked so far, losses, accuracy, invalid rate, by class too."""
    row: Row = {
        "epoch": position.epoch,
        "lr": recipe.lr_at(position.epoch),
        "batch_size": recipe.batch_at(position.epoch),
        "questions": position.questions + (position.history[-1]["questions"] if position.history else 0),
        "train_loss": loss,
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


def epoch_line(row: Row, epochs: int) -> str:
    """A history line for a person."""
    return (
        f"epoch {row['epoch']:>3.0f}/{epochs}  lr {row['lr']:.1e}  train loss {row['train_loss']:.4f}  "
        f"val loss {row['val_loss']:.4f}  val accuracy {100 * row['val_accuracy']:.2f} %  "
        f"invalid {100 * row['val_invalid']:.2f} %  {row['questions_per_second']:,.0f} questions/s"
    )
