"""The relation sum: the module that gives Relation Networks their name, and their hot loop.

    RN(O) = f( sum_{i,j} g(o_i, o_j, q) )                      (Santoro et al. 2017, eq. 1)

The question q joins the input of layer `question_layer` of g: layer 0 in the original, 2 in the
IR presets, whose first two layers then describe pairs of objects whatever is asked and are
computed once a scene. `rnlib.model.pair_sum` does the sum; `rnlib.model.reference` is the formula itself.

AVF-RN aggregates inside g: after layer `aggregation_layer`, which does not know the question yet, each pair of cells
counts as much as a learned weight of its own says, and the layers that follow read one vector a scene (Messina et al.
2019).

The padding rows of a state description are all alike, so a scene of n objects in 12 rows has
only (n + 1)^2 different pairs: the one padding row counts 12 - n times.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from rnlib.model.pair_sum import Block, QuestionTerm, sum_over_pairs
from rnlib.model.preset import Preset


class RelationSum(nn.Module):
    """Objects and a question -> the sum of g over all ordered pairs of objects.

    `precision` is that of the products over pairs: "fp32" (that of the weights, strictly), or "bf16" for speed.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.question_layer = preset.question_layer
        self.mask_padding = preset.mask_padding
        self.precision = "fp32"
        inputs = [2 * preset.object_size, *preset.g_layers[:-1]]
        inputs[self.question_layer] += preset.lstm_hidden
        self.question_size = preset.lstm_hidden
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in zip(inputs, preset.g_layers, strict=True)
        )
        self.aggregation_layer = preset.aggregation_layer
        if preset.aggregation_layer is not None:
            self.pair_weights = nn.Parameter(torch.ones(preset.most_objects**2))  # begins as the plain sum

    @torch.no_grad()
    def draw_for_relu(self) -> None:
        """Draw the weights of all layers anew, normal with variance 2 / inputs, and biases 0 (He et al. 2015)."""
        for layer in map(self.linear, range(len(self.layers))):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        objects: Float[Tensor, "scenes objects size"],
        question: Float[Tensor, "batch hidden"],
        present: Bool[Tensor, "scenes objects"] | None = None,
        scene: Integer[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch relation"]:
        """The sum over pairs of rows.

        `present` says which rows are objects: they come first, and the padding rows after them are
        alike. Pairs with padding rows count as any other, or not at all with the preset's `mask_padding`.
        `scene` says which row of `objects` each question is about; without it, question k is
        about row k.
        """
        if scene is None:
            scene = torch.arange(len(question), device=question.device)
        if self.aggregation_layer is not None:
            return self._after_aggregation(self.aggregate(objects)[scene], question)
        layers = [(layer.weight, layer.bias) for layer in map(self.linear, range(len(self.layers)))]
        precision = self._precision(objects)
        joined, bias = layers[self.question_layer]
        term = question @ joined[:, -self.question_size :].T
        layers[self.question_layer] = joined[:, : -self.question_size], bias
        first, second = self._halves(objects)
        blocks, order, numbers = [], [], []
        scenes_before = 0
        for questions, used, multiplicity in self._groups(objects.shape[1], present, scene):
            if self.question_layer == 0:  # every question is a scene of its own
                chosen = scene[questions]
                begin = second[chosen, :used] + term[questions, None]
                blocks.append(Block(first[chosen, :used], begin, multiplicity))
            else:
                if present is None:
                    scenes, which = slice(None), scene
                else:
                    scenes, which = scene[questions].unique(return_inverse=True)
                sorting = which.argsort(stable=True)
                questions = questions[sorting]
                numbers.append(which[sorting] + scenes_before)
                blocks.append(Block(first[scenes, :used], second[scenes, :used], multiplicity))
                scenes_before += len(blocks[-1].first)
            order.append(questions)
        asked = torch.cat(order)
        terms = None
        if self.question_layer > 0:
            terms = QuestionTerm(term[asked], torch.cat(numbers), self.question_layer)
        return sum_over_pairs(blocks, layers[1:], precision, terms)[asked.argsort()]

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

    def aggregate(self, objects: Float[Tensor, "scenes objects size"]) -> Float[Tensor, "scenes features"]:
        """The weighted sum over pairs of what layer `aggregation_layer` of g makes of them, ReLU included.

        Raises ValueError for a preset that does not aggregate inside g.
        """
        if self.aggregation_layer is None:
            raise ValueError("this preset sums its pairs after g, where they depend on a question")
        first, second = self._halves(objects)
        layers = [(layer.weight, layer.bias) for layer in map(self.linear, range(1, self.aggregation_layer + 1))]
        blocks = [Block(first, second)]
        return sum_over_pairs(blocks, layers, self._precision(objects), pair_weight=self.pair_weights)

    def linear(self, index: int) -> nn.Linear:
        """Layer `index` of g."""
        layer = self.layers[index]
        assert isinstance(layer, nn.Linear)
        return layer

    def pair_inputs(
        self, objects: Float[Tensor, "scenes objects size"], layer: int
    ) -> Float[Tensor, "scenes objects objects features"]:
        """What layer `layer` of g reads for each pair, without the question's part.

        Entry [b, i, j] belongs to the input [o_j, o_i]. Raises ValueError for a layer after the one that the question
        joins, and after the aggregation.
        """
        if layer > self.question_layer:
            raise ValueError(
                f"the question joins g at layer {self.question_layer}: later features depend on the question"
            )
        if self.aggregation_layer is not None and layer > self.aggregation_layer:
            raise ValueError(f"pairs are aggregated after layer {self.aggregation_layer} of g: later layers have none")
        if layer == 0:
            n = objects.shape[1]
            first, second = objects[:, None].expand(-1, n, -1, -1), objects[:, :, None].expand(-1, -1, n, -1)
            return torch.cat([first, second], -1)
        first, second = self._halves(objects)
        hidden = torch.relu(first[:, None] + second[:, :, None])
        for index in range(1, layer):
            hidden = torch.relu(self.linear(index)(hidden))
        return hidden

    def _halves(
        self, objects: Float[Tensor, "scenes objects size"]
    ) -> tuple[Float[Tensor, "scenes objects width"], Float[Tensor, "scenes objects width"]]:
        """What each object adds to the first layer of g as o_j, and as o_i (with the bias); without the question."""
        layer, size = self.linear(0), objects.shape[2]
        return objects @ layer.weight[:, :size].T, objects @ layer.weight[:, size : 2 * size].T + layer.bias

    def _precision(self, objects: Tensor) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else objects.dtype

    def _after_aggregation(
        self, aggregated: Float[Tensor, "batch features"], question: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch relation"]:
        """The layers of g after the aggregation, of which one reads the question too."""
        assert self.aggregation_layer is not None
        hidden = aggregated
        for index in range(self.aggregation_layer + 1, len(self.layers)):
            if index == self.question_layer:
                hidden = torch.cat([hidden, question], 1)
            hidden = torch.relu(self.linear(index)(hidden))
        return hidden
