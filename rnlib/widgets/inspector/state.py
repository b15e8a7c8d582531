"""What the answer inspector does, without a front end: filter questions, step through them, ask one's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from rnlib.clevr.constants import QUESTION_TYPES
from rnlib.clevr.plots import picture
from rnlib.clevr.programs import Programs
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import part_of
from rnlib.errors import ConfigError, require_one_of
from rnlib.evaluation.attribution import PairMap, leave_one_out, pair_map
from rnlib.evaluation.examples import OUTCOMES, Answer, answer_of, outcomes
from rnlib.evaluation.model_set import image_size
from rnlib.evaluation.predict import predict, require_answers
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.synthesis.truth import Truth, truth_of
from rnlib.widgets.asking import ask_network
from rnlib.widgets.autocomplete import Word, check_words, suggest_questions

ANY_TYPE, ANY_OUTCOME = "any type", "any outcome"
AT_ONCE = 100  # pictures of another split whose questions are answered when somebody turns to it


@dataclass(frozen=True, eq=False)
class Shown:
    """What is to be seen of an answer: what carried it, the program's steps, and a note where there is no truth."""

    answer: Answer
    pairs: PairMap | None
    steps: list[str]
    note: str = ""


class Inspection:
    """Questions of a split with the answers of one or several models, one question looked at at a time.

    `models` and `predictions` have the same names; a table is what `predict` returns. The
    split needs answers. One can turn to the set's other split with answers, then the questions
    on its first AT_ONCE pictures are answered; `cache` is where its prepared arrays go.
    """

    def __init__(
        self,
        models: Mapping[str, Weights],
        split: Split,
        predictions: Mapping[str, pd.DataFrame],
        device: torch.device | str = "cpu",
        seed: int = 0,
        cache: Path | str | None = None,
    ) -> None:
        if not models or set(models) != set(predictions):
            raise ConfigError(
                f"expected a table of predictions for each model, found models {', '.join(models) or 'none'} "
                f"and tables {', '.join(predictions) or 'none'}."
            )
        require_answers(split)
        self.models, self.split, self.device, self._cache = models, split, device, cache
        for weights in models.values():
            weights.network.to(device).eval()
        self._splits = {split.name: (split, dict(predictions), Programs(split))}
        self._rng = np.random.default_rng(seed)
        self._inputs: dict[tuple[str, str], NetworkInputs] = {}
        known = {split.name, *split.directory.with_answers()}
        self.split_names = [name for name in split.directory.splits() if name in known]
        self.model = next(iter(models))
        self.type, self.outcome = ANY_TYPE, ANY_OUTCOME
        self._turn_to(split.name)
        self.choose()

    def _turn_to(self, name: str) -> None:
        if name not in self._splits:
            whole = open_split(
                self.split.directory.root, name, images=image_size(self.models), cache=self._cache, verbose=False
            )
            part = part_of(whole, 0, min(AT_ONCE, whole.n_images))
            answers = {
                model: predict(weights, part, device=self.device, verbose=False)
                for model, weights in self.models.items()
            }
            self._splits[name] = (part, answers, Programs(part))
        self.split, self.predictions, self._programs = self._splits[name]
        self._outcomes = {model: outcomes(table) for model, table in self.predictions.items()}
        self._types = next(iter(self.predictions.values()))["type"].to_numpy(str)
        if self.type not in self.types:
            self.type = ANY_TYPE
        self.position = 0
        self.chosen = np.arange(0)
        self.asked = ""  # a question of one's own that is looked at in place of the split's

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

    def choose(
        self,
        *,
        model: str | None = None,
        split: str | None = None,
        type: str | None = None,
        outcome: str | None = None,
    ) -> int:
        """Change the filter; returns how many questions it leaves. The question looked at stays if it is among them.

        A question of one's own stays when the model changes. Raises ConfigError for a name that cannot be chosen.
        """
        known_names = {"model": list(self.models), "split": self.split_names, "outcome": self.outcome_names}
        before = self.question
        for what, value in (("model", model), ("split", split), ("type", type), ("outcome", outcome)):
            if value is None:
                continue
            require_one_of(value, self.types if what == "type" else known_names[what], what)
            if what != "split":
                setattr(self, what, value)
            elif value != self.split.name:
                self._turn_to(value)
                before = None
        wanted = np.ones(self.split.n_questions, bool)
        if self.type != ANY_TYPE:
            wanted &= self._types == self.type
        if self.outcome != ANY_OUTCOME:
            wanted &= self._outcomes[self.model] == self.outcome
        self.chosen = np.flatnonzero(wanted)
        again = np.flatnonzero(self.chosen == before)
        self.position = int(again[0]) if len(again) else 0
        if any(value is not None for value in (split, type, outcome)):
            self.asked = ""
        return len(self.chosen)

    def step(self, by: int) -> None:
        """Go `by` questions on (or back); after the last comes the first."""
        self.asked = ""
        if len(self.chosen):
            self.position = (self.position + by) % len(self.chosen)

    def jump(self) -> None:
        """Go to a question drawn at random, another one than this where there is another."""
        if len(self.chosen) > 1:
            self.step(int(self._rng.integers(1, len(self.chosen))))

    def go_to(self, question: int) -> None:
        """Go to question number `question` (from 0). Raises ConfigError where the filter has left it out."""
        found = np.flatnonzero(self.chosen == question)
        if not len(found):
            raise ConfigError(
                f"expected one of the {len(self.chosen):,} questions that the filter leaves, found question "
                f"{question}. The split has 0 to {self.split.n_questions - 1}: choose {ANY_TYPE} and {ANY_OUTCOME} "
                "to reach all."
            )
        self.position, self.asked = int(found[0]), ""

    @property
    def advice(self) -> str:
        """What to change where the filter leaves no question."""
        return (
            f"No question of {self.type} with {self.outcome} in the answers of {self.model}: choose “{ANY_OUTCOME}”, "
            f"“{ANY_TYPE}” or another model."
        )

    def shown(self) -> Shown | None:
        """All of the question looked at, or of one's own in its place; None where the filter leaves none.

        Raises ConfigError where the chosen model cannot read one's own question, which is then given up.
        """
        if self.asked:
            try:
                return self.ask(self.asked)
            except ConfigError:
                self.asked = ""
                raise
        answer = self.answer()
        return Shown(answer, self.pairs(), self.chains()) if answer else None

    def answer(self) -> Answer | None:
        """The chosen model's answer to the question looked at, None where the filter leaves none."""
        if self.question is None:
            return None
        return answer_of(self.predictions[self.model], self.split, self.question)

    def pairs(self) -> PairMap | None:
        """What carried this answer, against the truth where it is wrong. None without a question, or without pairs."""
        if self.question is None:
            return None
        inputs, truth = self._inputs_of_model(), self.split.answer_text(self.question)
        words = inputs.tokens[self.question, : int(self.split.lengths[self.question])]
        row = int(self.split.image_of_question[self.question])
        return pair_map(self.models[self.model], inputs, row, words, truth)

    def left_out(self) -> Float[np.ndarray, "objects objects"]:
        """By how much the margin of `pairs` falls without each pair. Raises ConfigError where there is no map."""
        pairs = self.pairs()
        if pairs is None or self.question is None:
            raise ConfigError("expected a question and a network with pairs of objects, found none: choose others.")
        inputs, found, number = self._inputs_of_model(), pairs.attribution, self.question
        tokens = inputs.question(np.array([number]))
        network = self.models[self.model].network
        with torch.inference_mode():
            objects = network.objects(inputs.visual(self.split.image_of_question[[number]]))
        return leave_one_out(network, objects, tokens, found.answer, found.against)

    def chains(self) -> list[str]:
        """The program of the question looked at, as readable chains."""
        return [] if self.question is None else self._programs.chains(self.question)

    def check(self, text: str) -> list[Word]:
        """Each word of a question that is being typed, and whether the chosen model knows it."""
        weights = self.models[self.model]
        return check_words(text, weights.vocabulary, weights.untrained_words)

    def suggest(self, text: str) -> list[str]:
        """Questions asked about the picture looked at that are nearest to the text: they make sense there."""
        if self.question is None:
            return []
        same = np.flatnonzero(self.split.image_of_question == self.split.image_of_question[self.question])
        return suggest_questions(text, [self.split.question_text(int(number)) for number in same])

    def ask(self, text: str) -> Shown:
        """The chosen model's answer to a question of one's own on the picture looked at, beside the truth.

        The truth comes from the scene, where the split has scenes, by the question's program. Raises ConfigError for
        an unknown word (it names the nearest known ones), an empty or too long question, and where no picture is
        looked at.
        """
        if self.question is None:
            raise ConfigError(
                "expected a picture to ask about, found none: choose a filter that leaves some questions."
            )
        row = int(self.split.image_of_question[self.question])
        truth = Truth(problem="No truth to compare with: the split has no scenes.")
        if self.split.has_scenes:
            truth = truth_of(text, self.split.scene(row))
        weights, inputs = self.models[self.model], self._inputs_of_model()
        answer, pairs = ask_network(weights, inputs, row, text, truth, picture(self.split, row))
        return Shown(answer, pairs, list(truth.steps), truth.problem)

    def put(self, text: str) -> Shown:
        """The same, and the question is looked at from now on, in place of the split's."""
        shown = self.ask(text)
        self.asked = text
        return shown

    def _inputs_of_model(self) -> NetworkInputs:
        """What the chosen model reads of the split; numbered once."""
        key = (self.split.name, self.model)
        if key not in self._inputs:
            weights = self.models[self.model]
            self._inputs[key] = NetworkInputs.of(self.split, weights.preset, weights.vocabulary, self.device)
        return self._inputs[key]
