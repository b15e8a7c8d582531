"""The state of a training at a step: enough to go on from it, bit for bit on the CPU."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rnlib.errors import DataError
from rnlib.files import atomic_write

FORMAT = "rnlib-training-state-1"

# A line of history.csv or steps.csv.
Row = dict[str, int | float]


@dataclass
class Position:
    """Where a training is, and what it has recorded so far.

    `epoch` counts from 1 and is the one under way; `step` steps of it are done. `loss_sum`
    and `questions` are sums over these steps, `seconds` their time; the `recent_` ones are
    sums since the last line of steps.csv.
    """

    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    questions: int = 0
    seconds: float = 0.0
    recent_loss_sum: float = 0.0
    recent_questions: int = 0
    total_steps: int = 0
    best_accuracy: float = -1.0
    history: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Go to the beginning of the next epoch."""
        self.epoch += 1
        self.step = self.questions = 0
        self.loss_sum = self.seconds = 0.0


def save_state(
    path: Path,
    position: Position,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: nn.Module | None,
    config: dict[str, Any],
) -> None:
    """Write the state, atomically. `config` says what is trained, so that nothing else goes on from it."""
    state = {
        "format": FORMAT,
        "config": config,
        "position": vars(position),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": ema.state_dict() if ema else {},
    }
    with atomic_write(path) as file:
        torch.save(state, file)


def load_state(path: Path) -> dict[str, Any]:
    """Read a state (weights_only). Raises DataError where the file is absent or damaged."""
    if not path.is_file():
        raise DataError(f"expected the state of a training at {path}, found none. Only kept epochs can be resumed.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise DataError(f"{path}: expected the format {FORMAT}, found {state['format']}.")
        return state
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{path} is not the state of a training ({str(error).splitlines()[0]}). It is damaged: "
            "resume from a kept epoch (--resume-from) or start over in another folder."
        ) from None


def restore_state(
    state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, ema: nn.Module | None
) -> Position:
    """Put a state into a network, an optimiser and the moving average of the weights; returns where it was."""
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    if ema:
        ema.load_state_dict(state["ema"])
    return Position(**state["position"])
