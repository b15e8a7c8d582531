"""A curriculum: the questions of each stage, when it ends, what is mixed in, and that it can be interrupted."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from rnlib.clevr import Split, clevr_v1, open_split
from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.subsets import join, part_of, with_questions
from rnlib.errors import ConfigError, DataError
from rnlib.model import load_preset
from rnlib.model.inputs import NetworkInputs
from rnlib.synthesis import synthesize
from rnlib.training import Options, TrainingFolder, make_recipe, train
from rnlib.training.curriculum import GAIN, StageScenes, lay_out
from rnlib.training.recipe import Stage
from rnlib.training.resume_state import Position
from rnlib.training.sampler import epoch_order
from rnlib.training.trainer import Trainer
from tests.test_training import RECIPE, SMALL, assert_same

STAGES: list[dict[str, Any]] = [
    {"objects": 1, "families": ["zero_hop"], "scenes": 12, "epochs": 2, "target": None},
    {"objects": 2, "fewest": 2, "steps": 6, "scenes": 10, "target": 1.0, "patience": 1, "epochs": 4},
    {"objects": 5, "steps": 14, "epochs": 1},
]


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    return tuple(open_split(tiny_clevr, name, images=32, verbose=False) for name in ("train", "val"))  # type: ignore[return-value]


def stages(entries: list[dict[str, Any]]) -> list[Stage]:
    return [msgspec.convert(entry, Stage) for entry in entries]


def run(splits: tuple[Split, Split], out: Path, **recipe: Any) -> TrainingFolder:
    fields = {**RECIPE, "curriculum": STAGES, "replay": 0.25, "epochs": 1, **recipe}
    preset = load_preset("ir-fp", {**SMALL, "g_layers": [8, 8, 8]})
    return train(preset, make_recipe(fields), splits, out, Options(vocabulary=clevr_v1(), verbose=False))


def test_each_stage_has_the_questions_it_names(splits: tuple[Split, Split], tmp_path: Path) -> None:
    joined, pools = lay_out(stages(STAGES), *splits, clevr_v1(), StageScenes(3, 32, tmp_path, False))
    assert len(pools) == 4
    objects = (joined.codes[:, :, 0] != 0).sum(1)[joined.image_of_question]
    first, second, third, last = (pool.questions for pool in pools)
    assert set(objects[first]) == {1} and set(joined.families[first]) <= set(FAMILY_GROUPS["zero_hop"])
    assert set(objects[second]) == {2} and joined.program_lengths[second].max() <= 6
    easy = (objects <= 5) & (joined.program_lengths <= 14) & (np.arange(joined.n_questions) < splits[0].n_questions)
    assert list(third) == list(np.flatnonzero(easy))
    assert list(last) == list(range(splits[0].n_questions))
    assert joined.n_images == splits[0].n_images + 12 + 10
    assert pools[-1].held_out is splits[1]
    for pool, most in zip(pools[:2], (1, 2), strict=True):
        scenes = np.unique(pool.held_out.image_of_question)
        assert len(scenes) == 1 and set((pool.held_out.codes[scenes, :, 0] != 0).sum(1)) == {most}


def test_joined_splits_keep_questions_answers_and_pictures(splits: tuple[Split, Split], tmp_path: Path) -> None:
    made = synthesize(tmp_path, train=5, val=0, seed=9, objects=(1, 2), images=32, verbose=False)
    other = open_split(made, "train", images=32, verbose=False)
    vocabulary = clevr_v1()
    joined = join([splits[0], other], vocabulary)
    begin = splits[0].n_questions
    for number in (0, begin - 1, begin, joined.n_questions - 1):
        source, own = (splits[0], number) if number < begin else (other, number - begin)
        assert joined.question_text(number) == source.question_text(own)
        assert joined.answer_text(number) == source.answer_text(own)
        row = int(joined.image_of_question[number])
        assert joined.images is not None and source.images is not None
        np.testing.assert_array_equal(
            joined.images[np.array([row])], source.images[np.array([source.image_of_question[own]])]
        )
        codes = source.codes[source.image_of_question[own]]
        np.testing.assert_array_equal(joined.codes[row][: len(codes)], codes)
    rows = np.array([joined.n_images - 1, 0, joined.n_images - 1, 3])
    assert joined.images is not None
    np.testing.assert_array_equal(np.asarray(joined.images)[rows], joined.images[rows])
    preset = load_preset("original-fp", SMALL)
    one = NetworkInputs.of(joined, preset, vocabulary).visual(rows)
    np.testing.assert_array_equal(one[1], NetworkInputs.of(splits[0], preset, vocabulary).visual(np.array([0]))[0])
    larger = open_split(synthesize(tmp_path / "b", train=2, val=0, images=64, verbose=False), "train", images=64)
    with pytest.raises(DataError, match="pictures of one size"):
        join([splits[0], larger], vocabulary)


def test_some_questions_of_a_split(splits: tuple[Split, Split]) -> None:
    chosen = np.array([7, 3, 50])
    some = with_questions(splits[0], chosen)
    assert some.n_questions == 3 and some.n_images == splits[0].n_images
    assert [some.question_text(i) for i in range(3)] == [splits[0].question_text(int(i)) for i in chosen]
    assert some.fingerprint != with_questions(splits[0], chosen[::-1].copy()).fingerprint


def test_earlier_stages_stay_in_the_mixture() -> None:
    images = np.repeat(np.arange(60), 10)
    earlier, own = [np.arange(200), np.arange(200, 300)], np.arange(300, 600)
    for group in (False, True):
        recipe = make_recipe({"replay": 0.25, "group_questions": group})
        order, other = (epoch_order(recipe, epoch, images, own, earlier) for epoch in (5, 6))
        assert len(order) == len(set(order)) == 400 and set(own) <= set(order)
        assert (order == epoch_order(recipe, 5, images, own, earlier)).all()
        assert set(order) - set(own) != set(other) - set(own)  # drawn anew in each epoch
        assert set(images[order]) & set(range(20)) and set(images[order]) & set(range(20, 30))
        if group:
            assert (np.diff(images[order]) != 0).sum() == len(set(images[order])) - 1
    assert set(epoch_order(make_recipe({}), 5, images, own, earlier)) == set(own)
    everything = epoch_order(make_recipe({"replay": 0.9}), 5, images, own, earlier)  # asks for more than there is
    assert sorted(everything) == list(range(600))


@pytest.mark.parametrize(
    ("stage", "accuracies", "epochs"),
    [
        ({"objects": 1, "target": 0.9, "patience": 2}, [0.5, 0.7, 0.91, 0.95], 3),
        ({"objects": 1, "target": 0.9, "patience": 2}, [0.5, 0.6, 0.6, 0.6 + GAIN / 2], 4),
        ({"objects": 1, "target": 0.9, "patience": 2}, [0.5, 0.6, 0.55, 0.65, 0.6, 0.6], 6),
        ({"objects": 1, "target": None, "patience": None, "epochs": 3}, [0.9, 0.99, 1.0], 3),
        ({"objects": 1}, [0.95], 1),
    ],
)
def test_a_stage_ends_by_its_held_out_accuracy(stage: dict[str, Any], accuracies: list[float], epochs: int) -> None:
    curriculum, position = stages([stage]), Position()
    ended = []
    for accuracy in accuracies[:epochs]:
        ended.append(position.judge(accuracy, curriculum))
        position.next_epoch()
    assert ended == [False] * (epochs - 1) + [True]
    assert position.curriculum_epochs(curriculum) is None and position.epochs_done(curriculum) == 0
    position.next_stage()
    assert position.curriculum_epochs(curriculum) == epochs
    assert position.judge(1.0, curriculum) is False  # nothing ends the epochs after a curriculum but their number
    position.next_epoch()
    assert position.epochs_done(curriculum) == 1 and position.curriculum_epochs(curriculum) == epochs


def test_the_history_tells_stage_and_its_accuracy(splits: tuple[Split, Split], tmp_path: Path) -> None:
    folder = run(splits, tmp_path)
    history = folder.history()
    stage = list(history["stage"])
    assert stage == sorted(stage) and stage[:2] == [1, 1] and stage.count(1) == 2 and stage[-1] == 4
    assert 2 <= stage.count(2) <= 4 and stage.count(3) == stage.count(4) == 1
    last = history.iloc[-1]
    assert last["stage_accuracy"] == last["val_accuracy"]
    assert (history["stage_accuracy"] != history["val_accuracy"]).any()
    assert folder.epochs_done(make_recipe({"curriculum": STAGES})) == 1
    # 12 scenes of the first stage, and a third of that of the stages before in the second
    own = history.loc[history["stage"] == 1, "questions"].iloc[0]
    assert history["questions"].diff()[history["stage"] == 4].item() == pytest.approx(240 / 0.75, abs=1)
    assert own <= 120


@pytest.mark.slow
def test_interrupted_within_a_stage_equals_uninterrupted(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"ema": 0.9, "lr_schedule": "cosine", "group_questions": True}
    whole = run(splits, tmp_path / "whole", **options)
    step, calls = Trainer.step, 0

    def interrupted(loop: Any, *batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls in (2, 6, 9):  # within the first stage, in the second, at an epoch's end
            os.kill(os.getpid(), signal.SIGINT)
        return step(loop, *batch)

    monkeypatch.setattr(Trainer, "step", interrupted)
    interruptions = 0
    while True:
        try:
            parts = run(splits, tmp_path / "parts", **options)
            break
        except KeyboardInterrupt:
            interruptions += 1
            if interruptions == 2:  # the stages' sets are made again, the same
                shutil.rmtree(tmp_path / "parts" / "stages")
    assert interruptions == 3
    assert_same(whole, parts)


def test_the_first_epochs_do_not_depend_on_later_stages(splits: tuple[Split, Split]) -> None:
    """Old recipes with fixed stages ask the same questions in the same order as without stages of their own."""
    recipe = make_recipe({"curriculum": [{"objects": 4, "epochs": 1}]})
    train_split = splits[0]
    objects = (train_split.codes[:, :, 0] != 0).sum(1)[train_split.image_of_question]
    easy = np.flatnonzero(objects <= 4)
    order = epoch_order(recipe, 1, train_split.image_of_question, easy)
    assert list(order) == list(np.random.default_rng([recipe.seed, 1, 0]).permutation(easy))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"objects": 2, "fewest": 3}, "fewest objects to be at most"),
        ({"objects": 2, "families": ["zero_hops"]}, "found 'zero_hops'"),
        ({"objects": 2, "families": [70, 90]}, "found '90'"),
        ({"objects": 2, "target": None, "patience": None}, "a target, patience or epochs"),
        ({"objects": 0}, r"curriculum\[0\]"),
        ({"objects": 2, "step": 3}, "step"),
        ("1:2:3", "curriculum"),
    ],
)
def test_a_wrong_stage_is_one_clear_error(entry: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_recipe({"curriculum": [entry]})


def test_what_a_stage_needs_must_be_there(splits: tuple[Split, Split], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stage 1 of the curriculum .* found none"):
        run(splits, tmp_path / "a", curriculum=[{"objects": 1}])
    with pytest.raises(
        DataError, match=r"stage 1 of the curriculum among the 1 trained on, found none.*train_questions"
    ):
        run(splits, tmp_path / "a", curriculum=[{"objects": 3, "families": ["zero_hop"]}], train_questions=1)
    blind = replace(part_of(splits[0], 0, 20), scenes=None)
    with pytest.raises(DataError, match="expected scenes for stage 1"):
        run((blind, splits[1]), tmp_path / "b", curriculum=[{"objects": 3}])
    assert not (tmp_path / "a" / "run.json").exists()
