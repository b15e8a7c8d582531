"""One question about one picture or scene: from files or memory to an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, WeightsError
from rnlib.model.checkpoint import Weights

TOP = 5


@dataclass(frozen=True)
class Reply:
    """The most probable answers with their probabilities (0 to 1), the best first."""

    top: tuple[tuple[str, float], ...]

    @property
    def answer(self) -> str:
        """The most probable answer."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """Its probability, from 0 to 1."""
        return self.top[0][1]


def answer(
    weights: Weights,
    picture: Path | str | UInt8[np.ndarray, "height width 3"] | None,
    question: str,
    *,
    scene: Path | str | Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> Reply:
    """What a network answers to a question in plain words.

    picture: a file (PNG, JPEG) or RGB values (0 to 255) of any size, which is squeezed to the preset's square; networks
    that read no pictures do not look at it. scene: for a network on state descriptions, a scene as in CLEVR's scene
    files, or such a file; of a file with several scenes, that of the picture's name. Raises ConfigError for an unknown
    word (with the nearest known ones), a question of no words or too many, or if what the network reads is not given;
    DataError for a picture or scene that cannot be read.
    """
    network = weights.network.to(device).eval()
    numbers = encode_question(weights, question)
    visual = weights.preset.kind.example(weights.preset, picture, scene).to(device)
    with torch.inference_mode():
        log_probability = network(visual, torch.tensor([numbers], device=device))[0].float().cpu().numpy()
    if np.isnan(log_probability).any():
        raise WeightsError(f"expected an answer from {weights.name or 'the network'}, found NaN. Take other weights.")
    return Reply(top_answers(weights.vocabulary, log_probability))


def encode_question(weights: Weights, question: str) -> list[int]:
    """The numbers of a question's words. ConfigError for unknown words, no words, or more than the preset reads."""
    numbers = weights.vocabulary.encode(question)
    if len(numbers) > weights.preset.question_length:
        raise ConfigError(
            f"expected a question of at most {weights.preset.question_length} words, found {len(numbers)}. Shorten it."
        )
    return numbers


def top_answers(
    vocabulary: Vocabulary, log_probability: Float[np.ndarray, " answers"]
) -> tuple[tuple[str, float], ...]:
    """The TOP most probable answers with their probabilities, the best first."""
    best = np.argsort(-log_probability, kind="stable")[:TOP]
    return tuple((vocabulary.answers[number], float(np.exp(log_probability[number]))) for number in best)
