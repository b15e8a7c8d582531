"""The state of a training at a step: enough to go on from it, bit for bit on the CPU."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import nn

from rnlib.errors import DataError, reason
from rnlib.files import atomic_write
from rnlib.model.torch_file import read_torch_file
from rnlib.training.curriculum import GAIN
from rnlib.training.recipe import Stage

FORMAT = "rnlib-training-state-1"

# A line of history.csv or steps.csv.
Row = dict[str, int | float]


@dataclass
class Position:
    """Where a training is, and what it has recorded so far.

    `epoch` counts from 1 and is the one under way; `step` steps of it are done. `stage` is that of the curriculum,
    from 0 (as many as it has: after it), `stage_epoch` the epoch within it; `stage_accuracy` its best held-out
    accuracy so far and `without_gain` the epochs since. `loss_sum`
    and `questions` are sums over these steps, `seconds` their time; the `recent_` ones are
    sums since the last line of steps.csv.
    """

    epoch: int = 1
    step: int = 0
    stage: int = 0
    stage_epoch: int = 1
    stage_accuracy: float = -1.0
    without_gain: int = 0
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
        self.stage_epoch += 1
        self.step = self.questions = 0
        self.loss_sum = self.seconds = 0.0

    def judge(self, accuracy: float, curriculum: Sequence[Stage]) -> bool:
        """Take in the held-out accuracy of the epoch that has just ended; whether it ends its stage."""
        if self.stage == len(curriculum):
            return False
        if accuracy >= self.stage_accuracy + GAIN:
            self.stage_accuracy, self.without_gain = accuracy, 0
        else:
            self.without_gain += 1
        return curriculum[self.stage].is_over(self.stage_epoch, accuracy, self.without_gain)

    def next_stage(self) -> None:
        """Go to the first epoch of the next stage."""
        self.stage += 1
        self.stage_epoch, self.stage_accuracy, self.without_gain = 1, -1.0, 0

    def curriculum_epochs(self, curriculum: Sequence[Stage]) -> int | None:
        """Epochs that the curriculum took, None while it lasts."""
        return self.epoch - self.stage_epoch if self.stage == len(curriculum) else None

    def epochs_done(self, curriculum: Sequence[Stage]) -> int:
        """Finished epochs after the curriculum."""
        return self.stage_epoch - 1 if self.stage == len(curriculum) else 0


def save_state(
    path: Path,
    position: Position,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    ema: nn.Module | None,
    config: dict[str, Any],
) -> None:
    """Write the state, atomically. `config` says what is trained, so that nothing else continues from it."""
    state = {
        "format": FORMAT,
        "config": config,
        "position": vars(position),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": ema.state_dict() if ema else {},
    }
    buffer = io.BytesIO()  # torch's writer would make something else of the error that tells of a full disk
    torch.save(state, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


class _State(msgspec.Struct):
    """What is in the file of a state."""

    format: Literal["rnlib-training-state-1"]
    config: dict[str, dict[str, Any]]
    position: Position
    network: dict[str, Any]
    optimizer: dict[str, Any]
    ema: dict[str, Any]


def load_state(path: Path) -> dict[str, Any]:
    """Read a state (weights_only). Raises DataError where the file is absent or damaged."""
    if not os.path.exists(path):
        raise DataError(f"expected the state of a training at {path}, found none. Only kept epochs can be resumed.")
    try:
        state = read_torch_file(path)
    except ValueError as error:
        raise _no_state(path, str(error)) from None
    try:
        msgspec.convert(state, _State)
    except msgspec.ValidationError as error:
        raise _no_state(path, reason(error)) from None
    except AttributeError:  # msgspec asks it for its keys
        raise _no_state(path, "a tensor where named values were expected") from None
    whole: dict[str, Any] = state
    return whole


def _no_state(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path} is not the state of a training ({problem}). It is damaged: resume from a kept epoch (--resume-from) "
        "or start over in another folder."
    )


def restore_state(
    path: Path, state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, ema: nn.Module | None
) -> Position:
    """Put a state, read from `path`, into a network, an optimiser and the moving average of the weights.

    Returns where the training was. Raises DataError where the state does not fit.
    """
    try:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state["optimizer"]["state"]})
        by_muon = {parameter: "ns_steps" in group for group in optimizer.param_groups for parameter in group["params"]}
        for parameter, kept in optimizer.state.items():
            _check_moments(kept, parameter.shape, by_muon[parameter])
        if ema:
            ema.load_state_dict(state["ema"])
        return msgspec.convert(state["position"], Position)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_state(path, reason(error)) from None


def _check_moments(kept: Any, shape: torch.Size, muon: bool) -> None:
    """Raise KeyError, ValueError, TypeError or AttributeError for moments of a weight that its optimiser cannot use."""
    for name in ["momentum_buffer"] if muon else ["exp_avg", "exp_avg_sq"]:
        if kept[name].shape != shape:
            raise ValueError(f"its {name} has the shape {list(kept[name].shape)}")
    if not muon:
        kept["step"].item()
