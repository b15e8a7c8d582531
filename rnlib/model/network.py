"""The whole network: objects and a question in, log-probabilities of the answers out."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.model.preset import Preset, require_memory
from rnlib.model.question import QuestionEncoder
from rnlib.model.relation import RelationSum


class AnswerHead(nn.Module):
    """f: linear, ReLU, linear, dropout, ReLU, linear, log-softmax."""

    def __init__(self, inputs: int, preset: Preset, answers: int) -> None:
        super().__init__()
        first, second = preset.f_layers
        self.layers = nn.ModuleList([nn.Linear(inputs, first), nn.Linear(first, second), nn.Linear(second, answers)])
        self.dropout = nn.Dropout(preset.dropout)

    def forward(
        self, relation: Float[Tensor, "batch relation"], dropout_mask: Float[Tensor, "batch width"] | None = None
    ) -> Float[Tensor, "batch answers"]:
        hidden = self.layers[1](torch.relu(self.layers[0](relation)))
        hidden = torch.relu(self.dropout(hidden) if dropout_mask is None else hidden * dropout_mask)
        return torch.log_softmax(self.layers[2](hidden), 1)


class RelationNetwork(nn.Module):
    """A Relation Network for a preset and a vocabulary.

    `network(inputs, tokens)`: `inputs` are pictures (batch, 3, size, size) in [0, 1] for a
    "pixels" preset, rows (batch, rows, size) of `state_rows` for a "state" preset, and any
    tensor (it is not looked at) for "none". Output unit k is answer number k + 1.
    """

    def __init__(self, preset: Preset, vocabulary: Vocabulary) -> None:
        """Raises ConfigError for a preset too large for this machine."""
        super().__init__()
        require_memory(preset)
        self.preset = preset
        self.precision = "fp32"
        self.question = QuestionEncoder(preset, len(vocabulary.words))
        self.objects = preset.kind(preset)
        self.relations = RelationSum(preset) if preset.sums_pairs else None
        self.answer = AnswerHead(preset.answer_inputs, preset, len(vocabulary.answers))

    def forward(
        self, inputs: Float[Tensor, "batch ..."], tokens: Integer[Tensor, "batch longest"]
    ) -> Float[Tensor, "batch answers"]:
        return self.answer_from_objects(self.objects(inputs), tokens)

    def answer_from_objects(
        self,
        objects: Float[Tensor, "scenes ..."],
        tokens: Integer[Tensor, "batch longest"],
        scene: Integer[Tensor, " batch"] | None = None,
        dropout_mask: Float[Tensor, "batch width"] | None = None,
    ) -> Float[Tensor, "batch answers"]:
        """The same from objects already computed, which questions can share.

        `scene` says which row of `objects` each question is about; without it, question k is
        about row k. `dropout_mask`: factors of the units before f's last layer, in place of a dropout drawn here.
        """
        question = self.question(tokens)
        if self.relations is None:
            flat = objects.flatten(1)
            return self.answer(torch.cat([flat if scene is None else flat[scene], question], 1), dropout_mask)
        present = self.objects.present(objects)
        return self.answer(self.relations(objects, question, present, scene), dropout_mask)

    def set_precision(self, precision: str) -> None:
        """Convolutions, LSTM and products over pairs in "fp32" or "bf16" from now on; no part of the weights."""
        self.precision = precision
        for part in (self.objects, self.question, self.relations):
            if part is not None:
                part.precision = precision

    def parameter_count(self) -> int:
        """How many numbers training adjusts."""
        return sum(parameter.numel() for parameter in self.parameters())
