"""One answer with all a person wants to see of it: picture, question, truth, the best answers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from rnlib.clevr.plots import picture
from rnlib.clevr.split import Split


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network answers to a question on a picture.

    `picture` has the size of its file (480x320 in CLEVR); the network sees 128x128 of it.
    `top`: the best answers with their probabilities (0..1), best first. `truth` is empty
    where it is not known (a question of one's own).
    """

    picture: UInt8[np.ndarray, "height width 3"]
    question: str
    truth: str
    type: str
    outcome: str
    top: tuple[tuple[str, float], ...]

    @property
    def given(self) -> str:
        """The network's answer: the first of `top`."""
        return self.top[0][0]

    @property
    def verdict(self) -> str:
        """One line that says what was answered, and whether that is right."""
        if not self.truth:
            return f"answer: {self.given}"
        return f"answer: {self.given} – {self.outcome}" + ("" if self.outcome == "right" else f", truth: {self.truth}")


OUTCOMES = ("right", "wrong", "invalid")


def outcomes(predictions: pd.DataFrame) -> np.ndarray:
    """For each row of a table of predictions: "right", "wrong" (but of the truth's class) or "invalid"."""
    correct, invalid = predictions["correct"].to_numpy(bool), predictions["invalid"].to_numpy(bool)
    return np.where(correct, "right", np.where(invalid, "invalid", "wrong"))


def answer_of(predictions: pd.DataFrame, split: Split, question: int) -> Answer:
    """The answer to question number `question` (from 0) of the split, from its row of the table of predictions."""
    row = predictions.iloc[[question]]
    names, values = row["top_answers"].iloc[0], row["top_probabilities"].iloc[0]
    return Answer(
        picture=picture(split, int(split.image_of_question[question])),
        question=split.question_text(question),
        truth=split.answer_text(question),
        type=split.type_name(question),
        outcome=str(outcomes(row)[0]) if "correct" in row else "",
        top=tuple((str(name), float(value)) for name, value in zip(names, values, strict=True)),
    )
