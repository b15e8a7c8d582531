"""Minimal pairs: valid scenes that differ in one thing, questions with two answers, networks of known consistency."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from test_questions import idle_steps

from rnlib.__main__ import main
from rnlib.clevr import check_directory, open_split
from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.schema import ProgramNode, QuestionRecord, Scene, read_questions, read_scenes
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation.consistency import ANY_CHANGE, consistency
from rnlib.evaluation.plots import plot_consistency
from rnlib.synthesis import execute, synthesize
from rnlib.synthesis.editing import ambiguous, outside, too_close
from rnlib.synthesis.families import FAMILIES
from rnlib.synthesis.minimal_pairs import CHANGES, degenerate, sample_pair
from rnlib.synthesis.questions import ask
from rnlib.synthesis.scenes import sample_scene
from rnlib.synthesis.visibility import Solids, visible_pixels

PAIRS = 40
SIZES = {"train": 0, "val": 0, "minimal_pairs": PAIRS, "seed": 4, "images": None, "verbose": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return synthesize(tmp_path_factory.mktemp("pairs") / "set", workers=1, **SIZES)


def pairs_of(made: Path) -> list[tuple[tuple[Scene, Scene], tuple[QuestionRecord, QuestionRecord]]]:
    scenes = list(read_scenes(made / "scenes/CLEVR_pairs_scenes.json"))
    questions = list(read_questions(made / "questions/CLEVR_pairs_questions.json"))
    assert len(scenes) == len(questions) == 2 * PAIRS
    return [((scenes[i], scenes[i + 1]), (questions[i], questions[i + 1])) for i in range(0, 2 * PAIRS, 2)]


def test_scenes_differ_in_what_the_question_names(made):
    changes = set()
    for (one, other), (first, second) in pairs_of(made):
        different = [(a, b) for a, b in zip(one.objects, other.objects, strict=True) if a != b]
        assert len(different) == 1
        ((a, b),) = different
        names = {name for name in ATTRIBUTES if getattr(a, name) != getattr(b, name)}
        if a.coordinates[:2] != b.coordinates[:2]:
            names.add("position")
        assert names == {first.change} == {second.change} and a.rotation == b.rotation
        changes.add(first.change)
    assert changes == set(CHANGES)


def test_both_scenes_keep_clevrs_rules(made):
    for scenes, _ in pairs_of(made):
        for scene in scenes:
            assert not (too_close(scene) or ambiguous(scene) or outside(scene))


def test_nothing_is_hidden_in_either_scene():
    rng = np.random.default_rng(1)
    for _ in range(6):
        pair = sample_pair(rng, FAMILIES, (3, 8), (480, 320))
        for scene in pair.scenes:
            assert visible_pixels(pair.view.camera, Solids.of_scene(scene)).min() >= 200


def test_questions_are_the_same_well_posed_and_have_two_answers(made):
    for number, (scenes, questions) in enumerate(pairs_of(made)):
        first, second = questions
        assert first.question == second.question and first.program == second.program
        assert first.question_family_index == second.question_family_index
        assert first.answer != second.answer
        assert (first.question_index, first.partner) == (2 * number, 2 * number + 1)
        assert (second.question_index, second.partner) == (2 * number + 1, 2 * number)
        for scene, question in zip(scenes, questions, strict=True):
            assert execute(question.program, scene) == question.answer
            assert not degenerate(question.program, scene)
            assert not idle_steps(question.program, scene, question.answer)
            assert question.image_index == scene.image_index == question.question_index


def steps(*named: tuple[str, ...]) -> list[ProgramNode]:
    """A chain of steps, each with its values."""
    return [
        ProgramNode(function=name, inputs=[place - 1] if place else [], value_inputs=values)
        for place, (name, *values) in enumerate(named)
    ]


def test_no_question_that_is_asked_is_degenerate():
    rng = np.random.default_rng(3)
    scenes = [sample_scene(rng, (3, 10), (480, 320))[0] for _ in range(80)]
    asked = [(question, scene) for i, scene in enumerate(scenes) for question in ask(Random(i), scene, FAMILIES, 10)]
    assert len({question.question_family_index for question, _ in asked}) > 80
    assert not [question.question for question, scene in asked if degenerate(question.program, scene)]


def test_questions_moved_to_other_scenes_are_degenerate_where_a_step_is_idle():
    """Against the independent check of the tests of questions."""
    rng = np.random.default_rng(4)
    scenes = [sample_scene(rng, (4, 6), (480, 320))[0] for _ in range(60)]
    seen = 0
    for i, (scene, other) in enumerate(pairwise(scenes)):
        for question in ask(Random(i), scene, FAMILIES, 10):
            try:
                answer = execute(question.program, other)
                if idle_steps(question.program, other, answer):
                    seen += 1
                    assert degenerate(question.program, other), question.question
            except DataError:
                continue
    assert seen > 5


def test_degenerate_questions_that_are_known():
    scene, _ = sample_scene(np.random.default_rng(0), (5, 5), (480, 320))
    words = [[(f"filter_{name}", getattr(item, name)) for name in ATTRIBUTES] for item in scene.objects]
    assert len(set(map(tuple, words))) == 5
    relation = next(name for name, rows in scene.relationships.items() if 0 in rows[1])
    back = next(name for name, rows in scene.relationships.items() if 1 in rows[0])
    to_it = [("scene",), *words[1], ("unique",), ("relate", relation)]
    query = [("unique",), ("query_color",)]
    assert degenerate(steps(*to_it, *words[0], *query), scene)  # the only one of its description anyway
    assert not degenerate(steps(("scene",), *words[0], *query), scene)
    assert not degenerate(steps(*to_it, *words[0], ("count",)), scene)
    assert degenerate(steps(*to_it, *words[1], ("count",)), scene)  # none, but for the object spoken of
    assert degenerate(
        steps(*to_it, *words[0], ("unique",), ("relate", back), *words[1], *query), scene
    )  # there and back


def test_the_same_bytes_again_and_with_more_processes_and_after_a_loss(made, tmp_path):
    files = ("scenes/CLEVR_pairs_scenes.json", "questions/CLEVR_pairs_questions.json")
    again = synthesize(tmp_path / "again", workers=2, **SIZES)
    (again / files[1]).unlink()
    synthesize(again, workers=1, **SIZES)
    for name in files:
        assert (again / name).read_bytes() == (made / name).read_bytes()
    few = synthesize(tmp_path / "few", workers=1, **(SIZES | {"minimal_pairs": 9}))
    assert (
        json.loads((few / files[0]).read_bytes())["scenes"] == json.loads((made / files[0]).read_bytes())["scenes"][:18]
    )


def test_pairs_beside_other_splits_leave_them_as_they_are(tmp_path):
    sizes = {"train": 3, "val": 2, "seed": 1, "images": 32, "workers": 1, "verbose": False}
    alone, both = synthesize(tmp_path / "alone", **sizes), synthesize(tmp_path / "both", minimal_pairs=2, **sizes)
    for path in alone.glob("*/*"):
        assert (both / path.relative_to(alone)).read_bytes() == path.read_bytes()
    assert json.loads((alone / "synthesis.json").read_bytes())["arguments"].keys().isdisjoint({"minimal_pairs"})
    pictures = np.load(both / "images/CLEVR_pairs_32.npy")
    assert len(pictures) == 4 and (pictures[0] != pictures[1]).any()
    assert [row["split"] for row in check_directory(both)] == ["train", "val", "pairs"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minimal_pairs": -1}, "minimal_pairs"),
        ({"minimal_pairs": 2, "cogent": True, "train": 1}, "0 with cogent"),
        ({"minimal_pairs": 1, "objects": (1, 1), "families": ["two_hop"]}, "Allow more objects"),
    ],
)
def test_what_cannot_be_made_is_one_error(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        synthesize(tmp_path / "set", workers=1, **(SIZES | change))


def answers(split, right: np.ndarray, answer: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"correct": right, "answer": answer})


def test_consistency_of_networks_that_are_known(made, tmp_path):
    split = open_split(made, "pairs", images=None, cache=tmp_path, verbose=False)
    truth = [split.answer_text(i) for i in range(2 * PAIRS)]
    changes = [questions[0].change for _, questions in pairs_of(made)]
    perfect = consistency(answers(split, np.ones(2 * PAIRS, bool), truth), split)
    assert (perfect["both right"] == 100).all() and (perfect["same answer"] == 0).all()
    assert perfect["pairs"].to_dict() == {ANY_CHANGE: PAIRS} | {name: changes.count(name) for name in set(changes)}
    blind = consistency(
        answers(split, np.arange(2 * PAIRS) % 2 == 0, [truth[i - i % 2] for i in range(2 * PAIRS)]), split
    )
    assert (blind[["both right", "one right", "same answer"]] == [0, 100, 100]).all(axis=None)
    moved = np.repeat([change == "position" for change in changes], 2)
    found = consistency(answers(split, ~moved, truth), split)
    assert found.loc["position", ["both right", "none right"]].tolist() == [0, 100]
    assert found.loc["color", "both right"] == 100
    assert found.loc[ANY_CHANGE, "both right"] == pytest.approx(100 * (1 - moved.mean()))
    (axes,) = plot_consistency({"perfect": perfect, "blind": blind}, "pairs").axes
    assert axes.get_yticklabels()[0].get_text() == f"{ANY_CHANGE} ({PAIRS})"


def test_splits_without_pairs_have_none_and_damaged_ones_are_refused(made, tiny_clevr, tmp_path):
    val = open_split(tiny_clevr, "val", images=None, cache=tmp_path, verbose=False)
    assert consistency(answers(val, np.ones(val.n_questions, bool), [""] * val.n_questions), val) is None
    content = json.loads((made / "questions/CLEVR_pairs_questions.json").read_bytes())
    content["questions"][3]["partner"] = 0
    folder = tmp_path / "damaged"
    (folder / "questions").mkdir(parents=True)
    (folder / "questions/CLEVR_pairs_questions.json").write_text(json.dumps(content))
    split = open_split(folder, "pairs", images=None, cache=tmp_path, verbose=False)
    with pytest.raises(DataError, match="name each other"):
        consistency(answers(split, np.ones(2 * PAIRS, bool), ["yes"] * 2 * PAIRS), split)


def test_made_and_evaluated_from_the_command_line(tmp_path, capsys):
    make = ["data", "synthesize", "--out", str(tmp_path / "set"), "--train", "0", "--val", "0", "--minimal-pairs", "8"]
    assert main([*make, "--images", "none", "--workers", "1"]) == 0
    evaluate = ["evaluate", "--weights", "medium-sd", "--clevr", str(tmp_path / "set"), "--split", "pairs"]
    assert main([*evaluate, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    assert "both right" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "run/metrics.json").read_bytes())
    assert metrics["consistency"][ANY_CHANGE]["pairs"] == 8


def test_pairs_that_cannot_be_made_leave_the_folder_free_for_another_set(tmp_path: Path) -> None:
    options = {"train": 0, "val": 0, "minimal_pairs": 1, "objects": (1, 1), "images": None, "families": ("comparison",)}
    with pytest.raises(ConfigError, match="expected minimal pairs on scenes of 1 to 1 objects"):
        synthesize(tmp_path / "out", verbose=False, **options)
    assert not (tmp_path / "out").exists()
