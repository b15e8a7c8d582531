"""The relation sum: the module that gives Relation Networks their name, and their hot loop.

    RN(O) = f( sum_{i,j} g(o_i, o_j, q) )                      (Santoro et al. 2017, eq. 1)

The question q joins the input of layer `injection` of g: layer 0 in the original, 2 in the
IR presets, whose first two layers then describe pairs of objects whatever is asked and are
computed once a scene. `rnlib.model.pairs` does the sum; `rnlib.model.naive` is the formula as it stands.

The padding rows of a state description are all alike, so a scene of n objects in 12 rows has
only (n + 1)^2 different pairs: the one padding row counts 12 - n times.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from rnlib.model.pairs import Block, sum_over_pairs
from rnlib.model.preset import Preset


class RelationSum(nn.Module):
    """Objects and a question -> the sum of g over all ordered pairs of objects.

    `precision` is that of the products over pairs: "fp32" (that of the weights, strictly), or "bf16" for speed.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.injection = preset.question_injection
        self.mask_padding = preset.mask_padding
        self.precision = "fp32"
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
        """The sum over pairs of rows.

        `present` says which rows are objects: they come first, and the padding rows behind them are
        alike. Pairs with padding rows count as any other, or not at all with the preset's `mask_padding`.
        `scene` says which row of `objects` each question is about; without it, question k is
        about row k.
        """
        if scene is None:
            scene = torch.arange(len(question), device=question.device)
        layers = [(layer.weight, layer.bias) for layer in map(self.linear, range(len(self.layers)))]
        precision = torch.bfloat16 if self.precision == "bf16" else objects.dtype
        joined, bias = layers[self.injection]
        share = question @ joined[:, -self.question_size :].T
        layers[self.injection] = joined[:, : -self.question_size], bias
        (halves, bias), size = layers[0], objects.shape[2]
        first, second = objects @ halves[:, :size].T, objects @ halves[:, size:].T + bias
        blocks, order, numbers = [], [], []
        scenes_before = 0
        for questions, used, last in self._groups(objects.shape[1], present, scene):
            if self.injection == 0:  # every question is a scene of its own
                chosen = scene[questions]
                begin = second[chosen, :used] + share[questions, None]
                blocks.append(Block(first[chosen, :used], begin, last))
            else:
                if present is None:
                    scenes, which = slice(None), scene
                else:
                    scenes, which = scene[questions].unique(return_inverse=True)
                sorting = which.argsort(stable=True)
                questions = questions[sorting]
                numbers.append(which[sorting] + scenes_before)
                blocks.append(Block(first[scenes, :used], second[scenes, :used], last))
                scenes_before += len(blocks[-1].first)
            order.append(questions)
        asked = torch.cat(order)
        if self.injection == 0:
            total = sum_over_pairs(blocks, layers[1:], precision)
        else:
            total = sum_over_pairs(
                blocks, layers[1:], precision, share=share[asked], scene=torch.cat(numbers), joins=self.injection
            )
        return total[asked.argsort()]

    def _groups(
        self, rows: int, present: Bool[Tensor, "scenes objects"] | None, scene: Integer[Tensor, " batch"]
    ) -> Iterator[tuple[Integer[Tensor, " questions"], int, int]]:
        """Questions on scenes of equally many objects, how many rows to look at there, how often the last counts."""
        if present is None:
            yield torch.arange(len(scene), device=scene.device), rows, 1
            return
        counts = present.sum(1)[scene]
        for n in counts.unique().tolist():
            questions = (counts == n).nonzero()[:, 0]
            if self.mask_padding or n == rows:
                yield questions, max(n, 1), 1
            else:
                yield questions, n + 1, rows - n

    def linear(self, index: int) -> nn.Linear:
        """Layer `index` of g."""
        layer = self.layers[index]
        assert isinstance(layer, nn.Linear)
        return layer

    def pair_inputs(
        self, objects: Float[Tensor, "scenes objects size"], layer: int
    ) -> Float[Tensor, "scenes objects objects features"]:
        """What layer `layer` of g reads for each pair, without the question's part.

        Entry [b, i, j] belongs to the input [o_j, o_i]. Raises ValueError behind the layer that the question joins.
        """
        if layer > self.injection:
            raise ValueError(f"the question joins g at layer {self.injection}: features behind it depend on a question")
        n = objects.shape[1]
        first, second = objects[:, None].expand(-1, n, -1, -1), objects[:, :, None].expand(-1, -1, n, -1)
        hidden = torch.cat([first, second], -1)
        for index in range(layer):
            hidden = torch.relu(self.linear(index)(hidden))
        return hidden
