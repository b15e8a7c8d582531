"""The optimizer of a training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from rnlib.model.network import RelationNetwork
from rnlib.training.recipe import Recipe


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices, AdamW for all other weights, at the same rate.

    Muon makes all singular values of a matrix's averaged gradient about 1, so that the directions in which the gradient
    is large leave the others their share. Its steps are scaled to be as long as Adam's usually are, so that it takes
    Adam's rates and decay. Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; the scale: Liu et
    al. 2025, https://arxiv.org/abs/2502.16982.
    """

    def __init__(
        self, matrices: Sequence[nn.Parameter], others: Sequence[nn.Parameter], lr: float, weight_decay: float
    ) -> None:
        self._parts = [
            torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, fused=True),
        ]
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let both parts work with the groups and the state of the whole, which are saved and restored."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Both parts' state."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Any = None) -> Any:
        """One step of both."""
        for part in self._parts:
            part.step()


def make_optimizer(network: RelationNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """That of the recipe. Muon's matrices are those of LSTM, g and f but for f's last, which gives the answers."""
    if recipe.optimizer != "muon":
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        return kind(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    parts = [network.question.lstm, network.relations, network.answer.layers[:-1]]
    matrices = [weight for part in parts if part for weight in part.parameters() if weight.ndim == 2]
    others = [weight for weight in network.parameters() if all(weight is not matrix for matrix in matrices)]
    return MuonWithAdamW(matrices, others, recipe.lr, recipe.weight_decay)
