"""What a network reads of a split, numbered by the vocabulary of its weights and ready on its device."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from rnlib.clevr.split import Split
from rnlib.clevr.unknown_words import require_known_words
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError, require_one_of
from rnlib.model.preset import Preset


@dataclass(frozen=True)
class NetworkInputs:
    """The questions of a split as `vocabulary` numbers them, and its pictures or state rows as `preset` wants them.

    visual: numbers of pictures (rows of the split) -> what the network reads of them, on the device.
    """

    split: Split
    preset: Preset
    tokens: Integer[np.ndarray, "questions longest"]
    answers: Integer[np.ndarray, " questions"]
    visual: Callable[[np.ndarray], Tensor]
    device: torch.device

    @classmethod
    def of(
        cls,
        split: Split,
        preset: Preset,
        vocabulary: Vocabulary,
        device: torch.device | str = "cpu",
        resident: bool = False,
    ) -> "NetworkInputs":
        """The inputs of a network; `resident`: with all pictures in the memory of the device, for a GPU that has room.

        Raises DataError where the split lacks what the preset reads, ConfigError for unknown words or answers.
        """
        split.require_questions()
        tokens = translate_tokens(split, vocabulary)
        longest = int(split.lengths.max())
        if longest > preset.question_length:
            raise ConfigError(
                f"preset '{preset.name}' reads questions of at most {preset.question_length} words; "
                f"{split.directory.questions(split.name)} has one of {longest}. Override question_length."
            )
        device = torch.device(device)
        visual = preset.kind.source(preset, split, device, resident)
        return cls(split, preset, tokens, translate_answers(split, vocabulary), visual, device)

    def question(self, questions: np.ndarray) -> Integer[Tensor, "batch longest"]:
        """The word numbers of the given questions, as wide as the longest of them, on the device."""
        longest = int(self.split.lengths[questions].max(initial=1))
        return upload(self.tokens[questions, :longest], self.device)

    def answer(self, questions: np.ndarray) -> Integer[Tensor, " batch"]:
        """The output units (from 0) of the answers of the given questions, on the device."""
        return upload(self.answers[questions].astype(np.int64) - 1, self.device)


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device. A GPU fetches it from pinned memory while the processor goes on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def pictures_of(
    split: Split, rows: Integer[np.ndarray, " batch"], device: torch.device | str
) -> Float[Tensor, "batch 3 size size"]:
    """Pictures of a split in [0, 1], on a device. The split must have some (`require_pictures`)."""
    images: np.ndarray = split.images  # type: ignore[assignment]  # the caller's promise
    return torch.from_numpy(images[rows]).to(device).float() / 255


def require_pictures(split: Split, preset: Preset) -> None:
    """Raise DataError unless the split has pictures of the size that the preset reads."""
    if split.images is None or split.images.shape[-1] != preset.image_size:
        found = "no pictures" if split.images is None else f"pictures of {split.images.shape[-1]} pixels"
        raise DataError(
            f"preset '{preset.name}' reads pictures of {preset.image_size} pixels, the split has {found}. "
            f"Open it with images={preset.image_size}."
        )


def translate_tokens(split: Split, vocabulary: Vocabulary) -> Integer[np.ndarray, "questions longest"]:
    """The split's questions in the word numbers of `vocabulary`. ConfigError names the first unknown word."""
    require_known_words(split, vocabulary)
    return vocabulary.word_table_from(split.vocabulary)[split.tokens]


def translate_answers(split: Split, vocabulary: Vocabulary) -> Integer[np.ndarray, " questions"]:
    """The split's answers in the numbers of `vocabulary`; 0 where it has none. ConfigError names an unknown one."""
    table = vocabulary.answer_table_from(split.vocabulary)
    unknown = np.flatnonzero((table == 0)[split.answers] & (np.asarray(split.answers) != 0))
    if len(unknown):
        question = int(unknown[0])
        answer = split.answer_text(question)
        raise ConfigError(
            f"question number {question} of {split.directory.questions(split.name)} has the answer "
            f"'{answer}', which is not among the {len(vocabulary.answers)} answers of the vocabulary "
            f"({', '.join(vocabulary.answers)}). Use weights trained with it (train --vocabulary clevr-v1.0)."
        )
    return table[split.answers]


def choose_device(name: str = "auto") -> torch.device:
    """ "auto" is the first CUDA GPU where there is one, else the CPU. ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    require_one_of(name, ("auto", "cpu", "cuda"), "device")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("the device cuda was asked for, but torch finds no CUDA GPU. Use --device cpu or auto.")
    return torch.device(name)
