"""The question encoder: word embedding, LSTM, its last state."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from rnlib.errors import ConfigError
from rnlib.model.preset import Preset


class QuestionEncoder(nn.Module):
    """Word numbers of questions -> one vector each (Santoro et al. 2017, section 4).

    With `question_padding` "fixed" the LSTM reads the question reversed behind leading
    zeros up to `question_length`. These zeros are part of the function the seed trained.
    With "packed" it reads the words alone. Neither depends on the rest of the batch.
    """

    def __init__(self, preset: Preset, words: int) -> None:
        super().__init__()
        self.padding = preset.question_padding
        self.length = preset.question_length
        self.reverse = preset.reverse_question
        self.embedding = nn.Embedding(words + 1, preset.word_embedding)
        self.lstm = nn.LSTM(preset.word_embedding, preset.lstm_hidden, batch_first=True)

    def forward(self, tokens: Integer[Tensor, "batch longest"]) -> Float[Tensor, "batch hidden"]:
        """`tokens`: word numbers from 1, zero-padded on the right, at least one word each.

        Raises ConfigError for a question of more than `question_length` words.
        """
        lengths = (tokens != 0).sum(1)
        longest = int(lengths.max())
        if longest > self.length:
            raise ConfigError(
                f"expected questions of at most {self.length} words, found one of {longest}. "
                "Use a preset with a greater question_length."
            )
        tokens = tokens[:, :longest].long()
        if self.padding == "fixed":
            tokens = nn.functional.pad(tokens, (0, self.length - longest))
            embedded = self.embedding(tokens.flip(1) if self.reverse else tokens)
            states, _ = self.lstm(embedded)
            return states[:, -1]
        if self.reverse:
            position = lengths[:, None] - 1 - torch.arange(longest, device=tokens.device)
            tokens = torch.where(position >= 0, tokens.gather(1, position.clamp(min=0)), 0)
        packed = pack_padded_sequence(self.embedding(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        return last[0]
