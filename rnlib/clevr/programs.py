"""Functional programs of a split's questions, as a person reads them.

The prepared arrays keep only the length of a program. The program itself is read from the question file when somebody
wants to see it: the file is cut into raw questions once (0.3 s for the 150,000 of val), and one of them decoded.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec

from rnlib.clevr.schema import ProgramNode, QuestionRecord, raw_questions, read_questions
from rnlib.clevr.split import Split

ARROW = " → "


class Programs:
    """The programs of a split by the question's number. Nothing is read before the first is asked for."""

    def __init__(self, split: Split) -> None:
        self._numbers = split.question_numbers
        self._path = split.directory.questions(split.name)
        self._decoder = msgspec.json.Decoder(QuestionRecord)

    @cached_property
    def _raw(self) -> list[msgspec.Raw]:
        return raw_questions(self._path)

    def chains(self, question: int) -> list[str]:
        """The program of question number `question` (from 0) as `chains` gives it; none where the file has none."""
        return chains(self._decoder.decode(self._raw[int(self._numbers[question])]).program or [])


def records_of(split: Split) -> Iterator[QuestionRecord]:
    """The questions of a split, or of a part of one, as they stand in its file, in the split's order."""
    path = split.directory.questions(split.name)
    if split.numbers is None:
        yield from read_questions(path)
        return
    raw, decoder = raw_questions(path), msgspec.json.Decoder(QuestionRecord)
    for number in split.numbers:
        yield decoder.decode(raw[int(number)])


def chains(program: Sequence[ProgramNode], notes: Sequence[str] = ()) -> list[str]:
    """A program as chains of steps, a line each, the last one giving the answer.

    notes: what the first nodes come to, put in brackets after their steps.

    Where two branches meet, each is a line of its own with a letter, by which the next line speaks of it:
    "A: scene → filter color: red → count", "B: …", "A and B → greater than".
    """
    lines: list[str] = []

    def chain(position: int) -> str:
        node = program[position]
        step = node.name.replace("_", " ") + "".join(f": {value}" for value in node.value_inputs)
        step += f" [{notes[position]}]" if position < len(notes) else ""
        if not node.inputs:
            return step
        if len(node.inputs) == 1:
            return chain(node.inputs[0]) + ARROW + step
        letters = []
        for source in node.inputs:
            line = chain(source)
            letters.append("ABCDEFGHIJ"[len(lines)])
            lines.append(f"{letters[-1]}: {line}")
        return " and ".join(letters) + ARROW + step

    if program:
        lines.append(chain(len(program) - 1))
    return lines
