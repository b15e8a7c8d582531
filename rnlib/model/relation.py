"""The relation sum: the module that gives Relation Networks their name, and their hot loop.

    RN(O) = f( sum_{i,j} g(o_i, o_j, q) )                      (Santoro et al. 2017, eq. 1)

The question q joins the input of layer `injection` of g: layer 0 in the original, 2 in the
IR presets, whose first two layers then describe pairs of objects whatever is asked.

A layer that reads a concatenation is a sum of smaller products, so that the first one is
W [o_j, o_i, q] + b = W_1 o_j + W_2 o_i + (W_3 q + b): three products over objects and
questions instead of one over all pairs. Whatever comes before the question joins is computed
once a scene and shared by the questions on it. The naive double loop is the tests' oracle.
"""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rnlib.model.preset import Preset

# Bytes of pair activations held at once. To evaluate, small parts stay in the processor's cache; to train, a batch
# whose activations do not fit goes in parts, each of which is computed again when it is differentiated.
EVALUATION_MEMORY = 1 << 26
TRAINING_MEMORY = 1 << 32


class RelationSum(nn.Module):
    """Objects and a question -> the sum of g over all ordered pairs of objects."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.injection = preset.question_injection
        inputs = [2 * preset.object_size, *preset.g_layers[:-1]]
        inputs[self.injection] += preset.lstm_hidden
        self.question_size = preset.lstm_hidden
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in zip(inputs, preset.g_layers, strict=True)
        )

    def forward(
        self,
        objects: Float[Tensor, "scenes objects size"],
        question: Float[Tensor, "batch hidden"],
        present: Bool[Tensor, "scenes objects"] | None = None,
        scene: Integer[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch relation"]:
        """The sum over pairs; with `present`, over pairs of present objects only.

        `scene` says which row of `objects` each question is about; without it, question k is
        about row k.
        """
        size = self.part_size(objects)
        parts = []
        for start in range(0, len(question), size):
            part = slice(start, start + size)
            if scene is None:
                arguments = (objects[part], question[part], None if present is None else present[part], None)
            else:
                rows, which = torch.unique(scene[part], return_inverse=True)
                arguments = (objects[rows], question[part], None if present is None else present[rows], which)
            if torch.is_grad_enabled() and size < len(question):
                parts.append(checkpoint(self._sum, *arguments, use_reentrant=False))
            else:
                parts.append(self._sum(*arguments))
        return torch.cat(parts)

    def linear(self, index: int) -> nn.Linear:
        """Layer `index` of g."""
        layer = self.layers[index]
        assert isinstance(layer, nn.Linear)
        return layer

    def part_size(self, objects: Float[Tensor, "scenes objects size"]) -> int:
        """How many questions' pairs are held at once: as many as the memory limits allow, at least one."""
        pairs = objects.shape[1] ** 2
        widths = sum(self.linear(index).out_features for index in range(len(self.layers)))
        memory = TRAINING_MEMORY if torch.is_grad_enabled() else EVALUATION_MEMORY
        return max(1, memory // (pairs * 2 * widths * objects.element_size()))

    def pair_inputs(
        self,
        objects: Float[Tensor, "scenes objects size"],
        layer: int,
        question: Float[Tensor, "batch hidden"] | None = None,
        scene: Integer[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "rows objects objects features"]:
        """What layer `layer` of g reads for each pair, without the question's part.

        Entry [b, i, j] belongs to the input [o_j, o_i]. `question` may be left out up to and
        including the injection layer; up to there a row is a scene, behind it a question.
        """
        n = objects.shape[1]
        if layer == 0:
            first, second = objects[:, None].expand(-1, n, -1, -1), objects[:, :, None].expand(-1, -1, n, -1)
            return torch.cat([first, second], -1)
        weight, bias = self.linear(0).weight, self.linear(0).bias
        size = objects.shape[2]
        hidden = (objects @ weight[:, :size].T)[:, None] + (objects @ weight[:, size : 2 * size].T)[:, :, None] + bias
        hidden = torch.relu(self._inject(hidden, 0, question, scene))
        for index in range(1, layer):
            linear = self.linear(index)
            if index == self.injection:
                hidden = nn.functional.linear(hidden, linear.weight[:, : hidden.shape[-1]], linear.bias)
                hidden = self._inject(hidden, index, question, scene)
            else:
                hidden = linear(hidden)
            hidden = torch.relu(hidden)
        return hidden

    def _inject(
        self,
        hidden: Float[Tensor, "scenes objects objects features"],
        index: int,
        question: Float[Tensor, "batch hidden"] | None,
        scene: Integer[Tensor, " batch"] | None,
    ) -> Float[Tensor, "rows objects objects features"]:
        """Add the question's share of layer `index`, where that is the injection layer."""
        if index != self.injection:
            return hidden
        if question is None:
            raise ValueError(f"the question joins g at layer {index}: features behind it depend on a question")
        share = question @ self.linear(index).weight[:, -self.question_size :].T
        return (hidden if scene is None else hidden[scene]) + share[:, None, None]

    def _sum(
        self,
        objects: Float[Tensor, "scenes objects size"],
        question: Float[Tensor, "batch hidden"],
        present: Bool[Tensor, "scenes objects"] | None,
        scene: Integer[Tensor, " batch"] | None,
    ) -> Float[Tensor, "batch relation"]:
        hidden = self.pair_inputs(objects, len(self.layers), question, scene)
        if present is None:
            return hidden.sum((1, 2))
        pairs = (present[:, :, None] & present[:, None]).to(hidden.dtype)
        if scene is not None:
            pairs = pairs[scene]
        return torch.einsum("bij,bijf->bf", pairs, hidden)
