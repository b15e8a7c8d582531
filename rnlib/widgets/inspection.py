"""What the answer inspector does, without a front end: filter questions, step through them, ask one's own."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from rnlib.clevr.catalogue import QUESTION_TYPES
from rnlib.clevr.plots import picture
from rnlib.clevr.split import Split
from rnlib.errors import ConfigError
from rnlib.evaluation.answers import OUTCOMES, Answer, answer_of, outcomes
from rnlib.evaluation.predictions import TOP
from rnlib.model.inputs import NetworkInputs
from rnlib.model.weights import Weights

ANY_TYPE, ANY_OUTCOME = "any type", "any outcome"


class Inspection:
    """Questions of a split with the answers of one or several models, one question looked at at a time.

    `models` and `predictions` have the same names; a table is what `predict` returns. The
    split needs answers.
    """

    def __init__(
        self,
        models: Mapping[str, Weights],
        split: Split,
        predictions: Mapping[str, pd.DataFrame],
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        if not models or set(models) != set(predictions):
            raise ConfigError(
                f"expected a table of predictions for each model, found models {', '.join(models) or 'none'} "
                f"and tables {', '.join(predictions) or 'none'}."
            )
        self.models, self.split, self.predictions, self.device = models, split, predictions, device
        self._outcomes = {name: outcomes(table) for name, table in predictions.items()}
        self._types = next(iter(predictions.values()))["type"].to_numpy(str)
        self._rng = np.random.default_rng(seed)
        self.type, self.outcome = ANY_TYPE, ANY_OUTCOME
        self.model = next(iter(models))
        self.chosen = np.arange(split.n_questions)
        self.position = 0

    @property
    def types(self) -> list[str]:
        """What a person can choose as type: any, and the types that occur."""
        return [ANY_TYPE, *(name for name in QUESTION_TYPES if (self._types == name).any())]

    @property
    def outcome_names(self) -> list[str]:
        """What a person can choose as outcome."""
        return [ANY_OUTCOME, *OUTCOMES]

    @property
    def question(self) -> int | None:
        """Number (from 0) of the question looked at, None where the filter leaves none."""
        return int(self.chosen[self.position]) if len(self.chosen) else None

    @property
    def place(self) -> str:
        """Where the question stands among those that the filter leaves."""
        if not len(self.chosen):
            return "no such question"
        return f"{self.position + 1:,} of {len(self.chosen):,}"

    def choose(self, *, model: str | None = None, type: str | None = None, outcome: str | None = None) -> int:
        """Change the filter; returns how many questions it leaves. The question looked at stays if it is among them.

        Raises ConfigError for a name that cannot be chosen.
        """
        for what, value, known in (
            ("model", model, list(self.models)),
            ("type", type, self.types),
            ("outcome", outcome, self.outcome_names),
        ):
            if value is not None:
                if value not in known:
                    raise ConfigError(f"expected as {what} one of {', '.join(known)}; found '{value}'.")
                setattr(self, what, value)
        before = self.question
        wanted = np.ones(self.split.n_questions, bool)
        if self.type != ANY_TYPE:
            wanted &= self._types == self.type
        if self.outcome != ANY_OUTCOME:
            wanted &= self._outcomes[self.model] == self.outcome
        self.chosen = np.flatnonzero(wanted)
        again = np.flatnonzero(self.chosen == before)
        self.position = int(again[0]) if len(again) else 0
        return len(self.chosen)

    def step(self, by: int) -> None:
        """Go `by` questions on (or back); behind the last comes the first."""
        if len(self.chosen):
            self.position = (self.position + by) % len(self.chosen)

    def jump(self) -> None:
        """Go to a question drawn at random, another one than this where there is another."""
        if len(self.chosen) > 1:
            self.step(int(self._rng.integers(1, len(self.chosen))))

    def answer(self) -> Answer | None:
        """The chosen model's answer to the question looked at, None where the filter leaves none."""
        if self.question is None:
            return None
        return answer_of(self.predictions[self.model], self.split, self.question)

    def ask(self, text: str) -> Answer:
        """The chosen model's answer to a question of one's own on the picture looked at.

        Raises ConfigError for an unknown word (it names the nearest known ones), an empty or
        too long question, and where no picture is looked at.
        """
        if self.question is None:
            raise ConfigError(
                "expected a picture to ask about, found none: choose a filter that leaves some questions."
            )
        weights = self.models[self.model]
        numbers = weights.vocabulary.encode(text)
        if len(numbers) > weights.preset.question_length:
            raise ConfigError(
                f"expected a question of at most {weights.preset.question_length} words, found {len(numbers)}. "
                "Shorten it."
            )
        row = int(self.split.image_of_question[self.question])
        network = weights.network.to(self.device).eval()
        visual = NetworkInputs.of(self.split, weights.preset, weights.vocabulary, self.device).visual(np.array([row]))
        with torch.inference_mode():
            values = network(visual, torch.tensor([numbers], device=self.device))[0].exp().cpu()
        best = values.argsort(descending=True, stable=True)[:TOP].tolist()
        return Answer(
            picture=picture(self.split, row),
            question=weights.vocabulary.decode(numbers),
            truth="",
            type="",
            outcome="",
            top=tuple((weights.vocabulary.answers[number], float(values[number])) for number in best),
        )
