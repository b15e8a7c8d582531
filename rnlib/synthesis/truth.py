"""The true answer to a question in words where the scene is known, and how it comes about step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnlib.clevr.constants import CLASS_OF_ANSWER, SYNONYMS
from rnlib.clevr.programs import chains
from rnlib.clevr.schema import Program, Scene, SceneObject
from rnlib.synthesis.execution import execute, node_values
from rnlib.synthesis.families import ORDER
from rnlib.synthesis.logical_form import make_program
from rnlib.synthesis.parsing import parse_question

NOT_IN_GRAMMAR = (
    "No truth to compare with: the question is not of CLEVR's grammar. Word it as CLEVR does, for example “How many "
    "red things are left of the small cube?”"
)


@dataclass(frozen=True)
class Truth:
    """What a question comes to on a scene.

    answer: the true answer; "" where there is none. kind: the question type; "" outside the grammar.
    steps: the program as `rnlib.clevr.programs.chains`, each step with what it comes to.
    problem: why there is no answer, for people; "" where there is one.
    """

    answer: str = ""
    kind: str = ""
    steps: tuple[str, ...] = ()
    problem: str = ""


def truth_of(text: str, scene: Scene) -> Truth:
    """The truth of a question in words on a scene."""
    question = parse_question(text)
    if question is None:
        return Truth(problem=NOT_IN_GRAMMAR)
    return truth_of_program(make_program(question), scene)


def truth_of_program(program: Program, scene: Scene) -> Truth:
    """The truth of a program on a scene; the program must be of CLEVR's functions."""
    values: list[Any] = []
    notes: list[str] = []
    problem = ""
    for place, node in enumerate(program):
        if node.name == "unique" and len(values[node.inputs[0]]) != 1:
            problem = _not_one(program, place, values, scene)
            notes.append("not one object")
            break
        values = node_values(program[: place + 1], scene, values)
        notes.append(_note(node.name, values[-1], scene))
    steps = tuple(chains(program, notes))
    return Truth("" if problem else execute(program, scene), program[-1].name, steps, problem)


def named(item: SceneObject) -> str:
    """An object in words: "small red rubber cube"."""
    return " ".join(getattr(item, name) for name in ORDER)


def _note(function: str, value: Any, scene: Scene) -> str:
    if isinstance(value, list):
        return f"{len(value)} object{'' if len(value) == 1 else 's'}"
    if function == "unique":
        return named(scene.objects[value])
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _not_one(program: Program, place: int, values: Sequence[Any], scene: Scene) -> str:
    """Why `unique` at `place` of a program has no answer: what it speaks of, and what of that there is."""
    words: dict[str, str] = {}
    at = program[place].inputs[0]
    found = [named(scene.objects[i]) for i in values[at]]
    while program[at].name.startswith("filter_"):
        words[program[at].name.removeprefix("filter_")] = program[at].value_inputs[0]
        at = program[at].inputs[0]
    described = " ".join(words[name] for name in ORDER if name in words) + ("" if "shape" in words else " thing")
    node = program[at]
    if node.name == "relate":
        anchor = named(scene.objects[values[node.inputs[0]]])
        described += f" {SYNONYMS[node.value_inputs[0]][0]} the {anchor}"
    elif node.name.startswith("same_"):
        described += f" of the same {node.name.removeprefix('same_')}"
    elif node.name == "intersect":
        described += " in both relations"
    there = f"{len(found)} ({', '.join(found)})" if found else "none"
    return f"The question does not fit this scene: it speaks of one {described.strip()}, and the scene has {there}."


def judged(answer: str, truth: str) -> str:
    """How an answer compares with the truth: "right", "wrong", or "invalid" (of another class than the truth's)."""
    if answer == truth:
        return "right"
    return "wrong" if CLASS_OF_ANSWER.get(answer) == CLASS_OF_ANSWER.get(truth, "number") else "invalid"
