"""Questions in words back to programs, and the truth of a question on a scene."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnlib.clevr.programs import chains
from rnlib.clevr.schema import ProgramNode, Scene, SceneObject, read_questions, read_scenes
from rnlib.synthesis import execute
from rnlib.synthesis.logical_form import make_program
from rnlib.synthesis.parsing import parse_question
from rnlib.synthesis.scenes import relationships
from rnlib.synthesis.truth import judged, truth_of, truth_of_program


def same(one: list[ProgramNode], other: list[ProgramNode]) -> bool:
    """Whether two programs have the same steps."""
    steps = [[(node.name, node.inputs, node.value_inputs) for node in program] for program in (one, other)]
    return steps[0] == steps[1]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_synthetic_question_is_read_as_its_own_program(tiny_clevr: Path, split: str) -> None:
    families = set()
    for record in read_questions(tiny_clevr / f"questions/CLEVR_{split}_questions.json"):
        question = parse_question(record.question)
        assert question is not None and record.program is not None, record.question
        assert same(make_program(question), record.program), record.question
        families.add(record.question_family_index)
    assert len(families) > 40


def test_every_question_of_the_public_generator_is_read_and_has_its_answer(clevr_official: Path) -> None:
    scenes = {scene.image_index: scene for scene in read_scenes(clevr_official / "scenes/CLEVR_val_scenes.json")}
    records = list(read_questions(clevr_official / "questions/CLEVR_val_questions.json"))
    assert len(records) == 1000
    for record in records:
        truth = truth_of(record.question, scenes[record.image_index])
        assert (truth.answer, truth.problem) == (record.answer_word, ""), record.question


def scene_of(*objects: str) -> Scene:
    """Objects such as "small red rubber cube" in a row from left to right."""
    left = (-0.656311, -0.754490)
    made = []
    for place, words in enumerate(objects):
        size, color, material, shape = words.split()
        x, y = (-(place - 1) * part for part in left)
        made.append(SceneObject((x, y, 0.7 if size == "large" else 0.35), (0, 0, 0), 0.0, size, color, material, shape))
    related = relationships(np.array([item.coordinates for item in made]))
    return Scene(image_index=3, image_filename="x.png", objects=made, relationships=related)


SCENE = scene_of("small red rubber cube", "large red metal sphere", "small blue metal cube")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("How many things are there?", "3"),
        ("how many red objects are there", "2"),
        ("What number of small things are right of the large ball?", "1"),
        ("There is a big shiny ball; how many cubes are to the left of it?", "1"),
        ("What color is the cube right of the sphere?", "blue"),
        ("What color is the cube that is right of the red rubber block?", "blue"),
        ("Is there another red object that has the same size as the ball?", "no"),
        ("Is there a red object that is made of the same material as the blue thing?", ""),
        ("How many other things are the same size as the blue metal block?", "1"),
        ("Are there any other things that are the same material as the ball?", "yes"),
        ("Is there anything else that has the same shape as the red metallic object?", "no"),
        ("How many small things are cubes or balls?", "2"),
        ("What number of things are both right of the red block and left of the blue thing?", "1"),
        ("Are there an equal number of red things and small cubes?", "yes"),
        ("Are there fewer balls than blocks.", "yes"),
        ("Does the ball have the same color as the red rubber thing?", "yes"),
        ("Is there a object in front of the ball?", "no"),
        ("Is there an object in front of the ball?", "no"),
    ],
)
def test_words_get_their_truth(text: str, answer: str) -> None:
    truth = truth_of(text, SCENE)
    assert truth.answer == answer
    assert (truth.problem == "") == bool(answer)
    assert all("[" in step for step in truth.steps)
    if answer:
        assert truth.steps[-1].endswith(f"[{answer}]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "Why?",
        "How many elephants are there?",
        "What color is the red blue cube?",
        "cube cube cube",
        "How many",
    ],
)
def test_what_is_not_in_the_grammar_is_not_guessed_at(text: str) -> None:
    assert parse_question(text) is None
    truth = truth_of(text, SCENE)
    assert (truth.answer, truth.kind, truth.steps) == ("", "", ())
    assert "not of CLEVR's grammar" in truth.problem


WORDS = ("how", "many", "what", "number", "of", "red", "cubes", "is", "there", "a", "the", "same", "as", "left", "?")


@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    truth = truth_of(" ".join(words), SCENE)
    assert bool(truth.answer) != bool(truth.problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "What color is the cube?",
            "it speaks of one cube, and the scene has 2 (small red rubber cube, small blue metal cube).",
        ),
        ("What size is the green shiny thing?", "it speaks of one green metal thing, and the scene has none."),
        (
            "What color is the ball left of the red rubber cube?",
            "it speaks of one sphere left of the small red rubber cube, and the scene has none.",
        ),
    ],
)
def test_a_question_that_does_not_fit_its_scene_is_told_why(text: str, problem: str) -> None:
    truth = truth_of(text, SCENE)
    assert truth.answer == ""
    assert truth.problem == f"The question does not fit this scene: {problem}"
    assert "unique [not one object]" in truth.steps[-1]


def test_steps_say_what_they_come_to() -> None:
    assert truth_of("Is the color of the ball the same as the red block?", SCENE).steps == (
        "A: scene [3 objects] → filter shape: sphere [1 object] → unique [large red metal sphere] → query color [red]",
        "B: scene [3 objects] → filter color: red [2 objects] → filter shape: cube [1 object] → "
        "unique [small red rubber cube] → query color [red]",
        "A and B → equal color [yes]",
    )


def test_the_truth_of_a_program_is_what_executing_it_gives(tiny_clevr: Path) -> None:
    scenes = {scene.image_index: scene for scene in read_scenes(tiny_clevr / "scenes/CLEVR_val_scenes.json")}
    for record in read_questions(tiny_clevr / "questions/CLEVR_val_questions.json"):
        program, scene = record.program or [], scenes[record.image_index]
        truth = truth_of_program(program, scene)
        assert truth.answer == execute(program, scene) == record.answer
        assert [re.sub(r" \[[^]]*\]", "", step) for step in truth.steps] == chains(program)


def test_answers_are_judged_by_the_class_of_the_truth() -> None:
    assert [judged(answer, "3") for answer in ("3", "4", "red", "yes")] == ["right", "wrong", "invalid", "invalid"]
    assert [judged(answer, "13") for answer in ("10", "red")] == ["wrong", "invalid"]  # more than any answer says
