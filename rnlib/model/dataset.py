"""A split as a torch data set, for loops of one's own: `DataLoader(ClevrDataset(split, preset), batch_size=64)`."""

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.utils.data import Dataset

from rnlib.clevr.split import Split
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import DataError
from rnlib.model.inputs import NetworkInputs
from rnlib.model.preset import Preset


class ClevrDataset(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The questions of a split as examples that `RelationNetwork` takes, one at a time, in the file's order."""

    def __init__(self, split: Split, preset: Preset, vocabulary: Vocabulary | None = None) -> None:
        """vocabulary: numbers words and answers; None: the split's own.

        Raises DataError for a split without questions or answers, or without what the preset reads; ConfigError for
        unknown words.
        """
        split.require_questions()
        if not split.has_answers:
            raise DataError(
                f"expected answers in {split.directory.questions(split.name)}, found none. Use another split."
            )
        self.inputs = NetworkInputs.of(split, preset, vocabulary or split.vocabulary)

    def __len__(self) -> int:
        return self.inputs.split.n_questions

    def __getitem__(
        self, number: int
    ) -> tuple[Float[Tensor, "..."], Integer[Tensor, " question_length"], Integer[Tensor, ""]]:
        """A picture (3, size, size) in [0, 1] or state rows; word numbers padded with zeros; the answer's unit.

        Raises IndexError past the last question.
        """
        if not -len(self) <= number < len(self):
            raise IndexError(f"expected a question number below {len(self)}, found {number}")
        questions = np.array([number % len(self)])
        visual = self.inputs.visual(self.inputs.split.image_of_question[questions])[0]
        tokens = torch.zeros(self.inputs.preset.question_length, dtype=torch.long)
        words = self.inputs.question(questions)[0]
        tokens[: len(words)] = words
        return visual, tokens, self.inputs.answer(questions)[0]
