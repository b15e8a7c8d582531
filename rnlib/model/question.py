"""The question encoder: word embedding, LSTM, its last state."""

from functools import cache

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.errors import ConfigError
from rnlib.model.preset import Preset

# Questions that go through the LSTM together: those of like length, at least so many.
TOGETHER = 64


@cache
def _has_bfloat16_lstm() -> bool:
    """Whether this processor has one: unlike a product, torch computes it by bfloat16 instructions or not at all."""
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(8, 8)(torch.zeros(1, 1, 8))
    except RuntimeError:
        return False
    return True


class QuestionEncoder(nn.Module):
    """Word numbers of questions -> one vector each (Santoro et al. 2017, section 4).

    The LSTM reads the question reversed, after leading zeros up to `question_length` (with
    `reverse_question` false: the question, then zeros). These zeros are part of the function the
    seed trained. A vector does not depend on the rest of the batch. `precision` is that of the
    LSTM's products on a CPU that has instructions for it: "fp32", or "bf16" for speed. A GPU computes them in float32:
    torch's autocast would make them float16 there, whose small gradients vanish.
    """

    def __init__(self, preset: Preset, words: int) -> None:
        super().__init__()
        self.length = preset.question_length
        self.reverse = preset.reverse_question
        self.precision = "fp32"
        self.embedding = nn.Embedding(words + 1, preset.word_embedding)
        self.lstm = nn.LSTM(preset.word_embedding, preset.lstm_hidden, batch_first=True)

    @torch.no_grad()
    def set_forget_bias(self, bias: float) -> None:
        """Let the forget gates begin at `bias` (added to torch's random one, about 0): at 2, a word costs 12 %.

        Source: Gers et al. 2000, Jozefowicz et al. 2015.
        """
        hidden, biases = self.lstm.hidden_size, self.lstm.bias_hh_l0
        assert isinstance(biases, Tensor)
        biases[hidden : 2 * hidden] += bias

    def forward(self, tokens: Integer[Tensor, "batch longest"]) -> Float[Tensor, "batch hidden"]:
        """`tokens`: word numbers from 1, zero-padded on the right, at least one word each.

        Raises ConfigError for a question of more than `question_length` words.
        """
        kind = tokens.device.type
        bfloat16 = self.precision == "bf16" and kind == "cpu" and _has_bfloat16_lstm()
        with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            vectors = self._read(tokens)
        return vectors.to(self.embedding.weight.dtype)

    def _read(self, tokens: Integer[Tensor, "batch longest"]) -> Float[Tensor, "batch hidden"]:
        if tokens.is_cuda and self.reverse:
            return self.read_together(tokens)
        lengths = (tokens != 0).sum(1)
        longest = int(lengths.max())
        self._require_room(longest)
        if not self.reverse:
            states, _ = self.lstm(self.embedding(nn.functional.pad(tokens, (0, self.length - longest)).long()))
            return states[:, -1]
        # The state after so many zeros is the same for all questions: it is computed once, and the longest questions,
        # which have the fewest zeros before them, come first.
        order = lengths.argsort(descending=True, stable=True)
        state, zeros = None, 0
        vectors = []
        for start in range(0, len(order), TOGETHER):
            rows = order[start : start + TOGETHER]
            words = int(lengths[rows[0]])
            if self.length - words > zeros:
                padding = self.embedding.weight[0].expand(1, self.length - words - zeros, -1)
                _, state = self.lstm(padding, state)
                zeros = self.length - words
            begin = None if state is None else tuple(part.expand(-1, len(rows), -1).contiguous() for part in state)
            states, _ = self.lstm(self.embedding(tokens[rows, :words].long().flip(1)), begin)
            vectors.append(states[:, -1])
        return torch.cat(vectors)[order.argsort()]

    def read_together(self, tokens: Integer[Tensor, "batch longest"]) -> Float[Tensor, "batch hidden"]:
        """The same for reversed questions, all in one pass and without asking for their lengths.

        What a GPU does best: more zeros are read, but the processor never waits for it.
        """
        longest = tokens.shape[1]
        self._require_room(longest)
        state = None
        if longest < self.length:
            _, state = self.lstm(self.embedding.weight[0].expand(1, self.length - longest, -1))
            state = tuple(part.expand(-1, len(tokens), -1).contiguous() for part in state)
        states, _ = self.lstm(self.embedding(tokens.long().flip(1)), state)
        return states[:, -1]

    def _require_room(self, longest: int) -> None:
        if longest > self.length:
            raise ConfigError(
                f"expected questions of at most {self.length} words, found one of {longest}. "
                "Use a preset with a greater question_length."
            )
