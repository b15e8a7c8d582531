"""What is in a split, as tables and words for people: objects, programs, question types, answers, words.

Everything that counts works on the arrays of a Split, so it takes no longer than a
moment on 700,000 questions; single questions and scenes are read from the JSON files.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
import pandas as pd

from rnlib.clevr.constants import ANSWER_CLASSES, ATTRIBUTES, CLASS_OF_ANSWER, GROUP_OF_TYPE, QUESTION_TYPES
from rnlib.clevr.programs import records_of
from rnlib.clevr.schema import ProgramNode, QuestionRecord, Scene
from rnlib.clevr.split import Split

# Questions of CLEVR v1.0's val split (149,991 in all) by group, or by type where that is published.
PUBLISHED_VAL_COUNTS = {
    "count": 35_422,
    "exist": 20_196,
    "compare numbers": 13_541,
    "query_size": 13_513,
    "query_color": 13_544,
    "query_material": 13_404,
    "query_shape": 13_273,
    "compare attribute": 27_098,
}


def say_what_is_missing(split: Split) -> None:
    """Print one line where a split lacks scenes, programs, answers or pictures; nothing where it is complete."""
    parts = {
        "scenes": split.has_scenes,
        "programs": split.has_programs,
        "answers": split.has_answers,
        "pictures": split.has_pictures,
    }
    missing = [name for name, there in parts.items() if not there]
    if missing:
        grey = "; grey fields stand for its pictures" if "pictures" in missing else ""
        print(f"'{split.name}' has no {', no '.join(missing)}: what needs them is left out{grey}.")


def question_records(split: Split, questions: Sequence[int]) -> list[QuestionRecord]:
    """The questions of these numbers (from 0, in the file's order), from the question file."""
    wanted = set(questions)
    records = enumerate(islice(records_of(split), max(wanted, default=-1) + 1))
    found = {number: record for number, record in records if number in wanted}
    return [found[number] for number in questions]


def shortest_of_each_type(split: Split) -> list[int]:
    """The number of the question with the shortest program of each type that occurs, in the order of QUESTION_TYPES."""
    order = np.argsort(split.program_lengths, kind="stable")
    types, first = np.unique(split.types[order], return_index=True)
    return [int(order[place]) for kind, place in zip(types, first, strict=True) if kind < len(QUESTION_TYPES)]


def objects_table(scene: Scene) -> pd.DataFrame:
    """The objects of a scene, a row each: attributes, place in the world (units), place in the picture (pixels)."""
    rows = []
    for item in scene.objects:
        x, y, z = item.coordinates
        across, down, depth = item.pixel_coords
        place = {"x": x, "y": y, "z": z, "pixel x": across, "pixel y": down, "depth": depth}
        rows.append({name: getattr(item, name) for name in ATTRIBUTES} | place)
    return pd.DataFrame(rows).round(2).rename_axis("object")


def node_text(node: ProgramNode) -> str:
    """One step of a program in words: "filter color: red"."""
    values = f": {', '.join(node.value_inputs)}" if node.value_inputs else ""
    return node.name.replace("_", " ") + values


def program_text(program: Sequence[ProgramNode]) -> str:
    """A program as a chain from the scene to the answer; where two chains meet, each is in brackets."""

    def chain(number: int) -> str:
        node = program[number]
        before = [chain(earlier) for earlier in node.inputs]
        if len(before) > 1:
            before = [" and ".join(f"[{part}]" for part in before)]
        return " → ".join([*before, node_text(node)])

    return chain(len(program) - 1)


def types_table(split: Split) -> pd.DataFrame:
    """Questions of each of the 13 types (index): group, questions, share in percent."""
    counts = np.bincount(split.types, minlength=256)[: len(QUESTION_TYPES)]
    groups = [GROUP_OF_TYPE[kind] for kind in QUESTION_TYPES]
    table = pd.DataFrame({"group": groups, "questions": counts, "share": 100 * counts / split.n_questions})
    return table.set_axis(pd.Index(QUESTION_TYPES, name="type"))


def published_shares(split: Split) -> pd.DataFrame:
    """Shares (percent) of the kinds of question whose number in CLEVR's val split is published, here and there."""
    table = types_table(split)
    here = [table["share"][(table.index == name) | (table["group"] == name)].sum() for name in PUBLISHED_VAL_COUNTS]
    there = 100 * np.array(list(PUBLISHED_VAL_COUNTS.values())) / sum(PUBLISHED_VAL_COUNTS.values())
    index = pd.Index(PUBLISHED_VAL_COUNTS, name="questions")
    return pd.DataFrame({"this split": here, "CLEVR v1.0 val": there}, index=index)


def answers_table(split: Split) -> pd.DataFrame:
    """How often each of the 28 answers (index) is the right one: answer class, questions."""
    counts = dict(zip(split.vocabulary.answers, np.bincount(split.answers, minlength=256)[1:], strict=False))
    answers = [answer for group in ANSWER_CLASSES.values() for answer in group]
    table = pd.DataFrame(
        {
            "answer class": [CLASS_OF_ANSWER[answer] for answer in answers],
            "questions": [int(counts.get(answer, 0)) for answer in answers],
        }
    )
    return table.set_axis(pd.Index(answers, name="answer"))


def words_table(split: Split) -> pd.DataFrame:
    """How often each word of the vocabulary (index) occurs in the questions: number, times, times per 100 questions.

    Sorted by frequency; the punctuation marks are left out.
    """
    counts = np.bincount(split.tokens.ravel(), minlength=len(split.vocabulary.words) + 1)[1:]
    table = pd.DataFrame({"number": np.arange(1, len(counts) + 1), "times": counts})
    table["times per 100 questions"] = (100 * counts / split.n_questions).round(1)
    table = table.set_axis(pd.Index(split.vocabulary.words, name="word"))
    return table[table.index.str.isalnum()].sort_values("times", ascending=False, kind="stable")
