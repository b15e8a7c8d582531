"""Training: the recipe's arithmetic, augmentation, and above all that an interruption changes nothing."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from rnlib.clevr import Split, clevr_v1, open_split
from rnlib.clevr.subsets import part_of, with_questions
from rnlib.errors import ConfigError, DataError, WeightsError
from rnlib.model import load_preset, load_weights
from rnlib.model.inputs import NetworkInputs
from rnlib.training import (
    Options,
    Saving,
    TrainingFolder,
    make_recipe,
    plot_accuracy,
    plot_against_reference,
    plot_losses,
    recipe_of,
    reporting,
    train,
)
from rnlib.training.augment import MAX_ANGLE, augment, draw_augmentations, padding
from rnlib.training.plots import plot_augmentations
from rnlib.training.sampler import chosen_questions, epoch_order
from rnlib.training.trainer import Trainer, moving_average

SMALL = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8, "word_embedding": 4, "image_size": 32}
RECIPE = {"epochs": 3, "batch_size": 40, "lr": 1e-3, "lr_gamma": 1, "log_every": 2, "seed": 3}


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    return tuple(open_split(tiny_clevr, name, images=32, verbose=False) for name in ("train", "val"))  # type: ignore[return-value]


def run(splits: tuple[Split, Split], out: Path, preset: str = "original-sd", **options: Any) -> TrainingFolder:
    fields = {**RECIPE, **options.pop("recipe", {})}
    overrides = {**SMALL, **options.pop("overrides", {})}
    return train(
        load_preset(preset, overrides),
        make_recipe(fields),
        splits,
        out,
        Options(vocabulary=clevr_v1(), **{"verbose": False, **options}),
    )


def tensors(folder: TrainingFolder, name: str = "last") -> dict[str, torch.Tensor]:
    return load_weights(folder.weights(name)).network.state_dict()


def assert_same(first: TrainingFolder, second: TrainingFolder) -> None:
    """Weights bit for bit, and all of the history that is not a time."""
    for name, tensor in tensors(first).items():
        assert torch.equal(tensor, tensors(second)[name]), name
    timeless = [column for column in first.history() if "second" not in column]
    pd.testing.assert_frame_equal(first.history()[timeless], second.history()[timeless])
    pd.testing.assert_frame_equal(first.steps(), second.steps())


# --- the recipe ----------------------------------------------------------------------


def test_the_default_recipe_is_the_seeds() -> None:
    recipe = make_recipe({})
    assert (recipe.batch_size, recipe.weight_decay, recipe.clip_norm, recipe.epochs) == (640, 1e-4, 50, 350)
    assert [recipe.lr_at(epoch) for epoch in (1, 18, 19, 39, 130, 139, 350)] == pytest.approx(
        [5e-6, 5e-6, 1e-5, 2e-5, 3.2e-4, 5e-4, 5e-4]
    )
    assert make_recipe({"lr_max": 6.4e-4}).lr_at(139) == pytest.approx(6.4e-4)


@given(epoch=st.integers(1, 400), gamma=st.floats(1, 3), step=st.integers(1, 50))
def test_rate_and_batch_grow_and_stay_below_their_cap(epoch: int, gamma: float, step: int) -> None:
    recipe = make_recipe(
        {"lr_gamma": gamma, "lr_step": step, "batch_gamma": gamma, "batch_step": step, "batch_size": 32}
    )
    assert recipe.lr_at(epoch) <= recipe.lr_at(epoch + 1) <= max(recipe.lr_max, recipe.lr)
    assert recipe.batch_at(epoch) <= recipe.batch_at(epoch + 1) <= recipe.batch_max


def test_gamma_one_is_a_constant_rate_even_above_the_cap() -> None:
    assert make_recipe({"lr": 1e-3, "lr_gamma": 1}).lr_at(200) == 1e-3
    far = make_recipe({"lr_gamma": 10, "lr_step": 1, "batch_gamma": 10, "batch_step": 1, "lr_max": 1e-3})
    assert far.lr_at(100_000) == 1e-3 and far.batch_at(100_000) == far.batch_max


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learning_rat": 1}, "learning_rat"),
        ({"lr": "fast"}, "lr"),
        ({"lr": 0}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"optimizer": "sgd"}, "optimizer"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message}.*The fields of a recipe are"):
        make_recipe(fields)


@pytest.mark.parametrize(
    "fields", [{"lr": 1e-3, "lr_gamma": 2}, {"batch_size": 1000, "batch_gamma": 2, "batch_max": 640}]
)
def test_a_start_above_the_cap_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"expected a start of at most (lr|batch)_max"):
        make_recipe(fields)


def test_a_folder_without_its_state_is_not_begun_anew(splits: tuple[Split, Split], tmp_path: Path) -> None:
    folder = run(splits, tmp_path / "run", recipe={"epochs": 1})
    before = folder.weights("best").read_bytes()
    shutil.rmtree(folder.state().parent)
    for epochs in (1, 2):
        with pytest.raises(ConfigError, match="holds a training without its state"):
            run(splits, tmp_path / "run", recipe={"epochs": epochs})
    assert folder.weights("best").read_bytes() == before


def test_tables_lost_between_the_state_and_them_come_back(splits: tuple[Split, Split], tmp_path: Path) -> None:
    folder = run(splits, tmp_path / "run", recipe={"epochs": 1})
    history = folder.history_file.read_bytes()
    folder.history_file.unlink()
    assert run(splits, tmp_path / "run", recipe={"epochs": 1}).history_file.read_bytes() == history


def test_two_starts_for_the_same_convolutions_are_refused(splits: tuple[Split, Split], tmp_path: Path) -> None:
    file = run(splits, tmp_path / "run", "ir-fp", recipe={"epochs": 1}).weights("last")
    with pytest.raises(ConfigError, match="each gives the convolutions"):
        run(splits, tmp_path / "other", "ir-fp", init_conv=file, init_from=file)
    assert not (tmp_path / "other" / "run.json").exists()


def test_text_is_converted_as_yaml_may_leave_it() -> None:
    assert make_recipe({"lr": "1e-4", "epochs": "7"}).lr == 1e-4


def test_an_epoch_asks_every_question_once_in_an_order_of_its_own() -> None:
    images = np.repeat(np.arange(10), 10)
    recipe = make_recipe({})
    first, second = epoch_order(recipe, 1, images), epoch_order(recipe, 2, images)
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any() and (first == epoch_order(recipe, 1, images)).all()
    some = make_recipe({"train_questions": 30})
    chosen = chosen_questions(some, np.arange(100), images)
    assert len(set(chosen)) == 30 and (chosen == chosen_questions(some, np.arange(100), images)).all()
    assert sorted(epoch_order(some, 1, images, chosen)) == list(chosen)
    with pytest.raises(DataError, match="at least 30 training questions, found 20"):
        chosen_questions(some, np.arange(20), images)


@pytest.mark.parametrize(("train_pictures", "count"), [("20%", 2), (3, 3), ("0.1 %", 1)])
def test_training_pictures_are_a_number_or_a_share_and_bring_all_their_questions(
    train_pictures: int | str, count: int
) -> None:
    images = np.repeat(np.arange(10), 10)
    recipe = make_recipe({"train_pictures": train_pictures})
    chosen = chosen_questions(recipe, np.arange(100), images)
    assert len(chosen) == 10 * count and len(set(images[chosen])) == count
    fewer = chosen_questions(make_recipe({"train_pictures": train_pictures, "train_questions": 5}), chosen, images)
    assert len(fewer) == 5 and set(fewer) <= set(chosen)


@pytest.mark.parametrize("wrong", ["a tenth", "0%", "101%", -1])
def test_other_numbers_of_training_pictures_are_refused(wrong: int | str) -> None:
    with pytest.raises(ConfigError, match="expected train_pictures to be a number of pictures or a share"):
        make_recipe({"train_pictures": wrong})


def test_more_training_pictures_than_there_are_is_an_error() -> None:
    recipe = make_recipe({"train_pictures": 11})
    with pytest.raises(DataError, match="at least 11 training pictures with questions, found 10"):
        chosen_questions(recipe, np.arange(100), np.repeat(np.arange(10), 10))


def test_grouping_keeps_a_pictures_questions_together() -> None:
    images = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 10))
    order = epoch_order(make_recipe({"group_questions": True}), 1, images)
    assert sorted(order) == list(range(100))
    assert (np.diff(images[order]) != 0).sum() == 9
    assert (images[order] != images[epoch_order(make_recipe({"group_questions": True}), 2, images)]).any()


def test_warm_up_and_cosine() -> None:
    recipe = make_recipe({"lr": 1e-3, "lr_warmup": 0.5, "lr_schedule": "cosine", "epochs": 4})
    assert recipe.lr_at(1, 0.25) == pytest.approx(5e-4)
    assert recipe.lr_at(1, 0.5) == pytest.approx(1e-3)
    assert recipe.lr_at(3, 0.25) == pytest.approx(5e-4)  # the middle between 0.5 and 4
    assert recipe.lr_at(4, 1.0) == pytest.approx(0, abs=1e-9)
    assert recipe.lr_at(9, 1.0, None) == pytest.approx(1e-3)  # a curriculum lasts
    assert recipe.lr_at(2, 1.0, 2) == pytest.approx(1e-3)
    assert recipe.lr_at(4, 1.0, 2) == pytest.approx(5e-4)
    assert recipe.lr_at(6, 1.0, 2) == pytest.approx(0, abs=1e-9)


def test_a_cosine_does_not_grow() -> None:
    """The default growth (lr_gamma 2 up to lr_max) is that of the schedule step alone: lr may exceed lr_max."""
    grown, constant = (make_recipe({"lr": 1e-3, "lr_schedule": "cosine", "lr_gamma": gamma}) for gamma in (2, 1))
    assert [grown.lr_at(epoch) for epoch in (1, 40, 350)] == [constant.lr_at(epoch) for epoch in (1, 40, 350)]
    assert grown.lr_at(1, 0.0) == 1e-3 > grown.lr_max


def test_a_recipe_is_picked_out_of_a_trainings_parameters() -> None:
    recipe = recipe_of({"epochs": 7, "run": "mine", "dropout": 0.1, "lr_schedule": "cosine"})
    assert recipe == make_recipe({"epochs": 7, "lr_schedule": "cosine"})
    with pytest.raises(ConfigError, match="lr_schedule"):
        recipe_of({"lr_schedule": "linear"})


def test_forget_gates_begin_where_they_are_told(splits: tuple[Split, Split], tmp_path: Path) -> None:
    recipe = {"epochs": 1, "lr": 1e-9}
    plain = tensors(run(splits, tmp_path / "a", recipe=recipe))["question.lstm.bias_hh_l0"]
    open_gates = tensors(run(splits, tmp_path / "b", recipe={**recipe, "forget_bias": 2}))["question.lstm.bias_hh_l0"]
    torch.testing.assert_close(open_gates - plain, torch.tensor([0.0] * 8 + [2.0] * 8 + [0.0] * 16))


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9},
        {"lr_warmup": 1.5, "lr_schedule": "cosine"},
        {"symmetries": True},
        {"symmetries": True, "group_questions": True},
        {"optimizer": "muon", "weight_decay": 0.1},
    ],
)
def test_every_option_of_a_recipe_survives_an_interruption(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    whole = run(splits, tmp_path / "whole", recipe=options)
    calls = 0
    step = Trainer.step

    def interrupted_step(loop: Any, *batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(loop, *batch)

    monkeypatch.setattr(Trainer, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        run(splits, tmp_path / "cut", recipe=options)
    assert_same(whole, run(splits, tmp_path / "cut", recipe=options))


def test_muon_moves_matrices_by_its_own_steps_and_other_weights_as_adam_does(
    splits: tuple[Split, Split], tmp_path: Path
) -> None:
    def weights(name: str, **fields: object) -> dict[str, torch.Tensor]:
        recipe = {"epochs": 1, "batch_size": 10**6, "lr": 1e-3, "weight_decay": 0, "clip_norm": 0, **fields}
        return load_weights(run(splits, tmp_path / name, recipe=recipe).weights("last")).network.state_dict()

    muon, adam, start = weights("muon", optimizer="muon"), weights("adam"), weights("start", lr=1e-30)
    matrices = set()
    for name, before in start.items():
        step = muon[name] - before
        if torch.equal(muon[name], adam[name]):
            continue
        matrices.add(name)
        values = torch.linalg.svdvals(step.double()) / (1e-3 * 0.2 * max(step.shape) ** 0.5)
        assert 0.6 < values.max() < 1.3, name  # 1 if orthogonal; torch's iteration ends between 0.7 and 1.2
    g_and_f = {
        f"{part}.layers.{layer}.weight" for part, layers in (("relations", 3), ("answer", 2)) for layer in range(layers)
    }
    assert matrices == g_and_f | {"question.lstm.weight_ih_l0", "question.lstm.weight_hh_l0"}


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_moments_that_are_none_are_refused(splits: tuple[Split, Split], tmp_path: Path, optimizer: str) -> None:
    recipe = {"epochs": 1, "optimizer": optimizer}
    folder = run(splits, tmp_path / "run", recipe=recipe)
    whole = torch.load(folder.state(), weights_only=True)
    kept = whole["optimizer"]["state"]
    spoilt = [{**kept, number: wrong} for number in (0, max(kept)) for wrong in (None, [], {}, {"momentum_buffer": 1})]
    spoilt += [{**kept, 99: kept[0]}, {**kept, "a": kept[0]}]
    if optimizer == "muon":
        spoilt += [{**kept, 0: kept[max(kept)]}, {**kept, max(kept): kept[0]}]
    for state in spoilt:
        torch.save({**whole, "optimizer": {**whole["optimizer"], "state": state}}, folder.state())
        with pytest.raises(DataError, match="is not the state of a training"):
            run(splits, tmp_path / "run", recipe={**recipe, "epochs": 2})


def test_a_moving_average_follows_quickly_at_first_and_slowly_later() -> None:
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(layer.weight)
    average = moving_average(layer, 0.99)
    average.update_parameters(layer)
    torch.nn.init.ones_(layer.weight)
    followed = []
    for _ in range(2000):
        average.update_parameters(layer)
        followed.append(1 - float(average.module.weight.detach()))
    assert followed[0] == pytest.approx(2 / 11)
    assert followed[19] < 1e-4
    average.module.weight.data.zero_()
    average.update_parameters(layer)
    assert float(average.module.weight.detach()) == pytest.approx(0.01)


class Recorder:
    """In place of a SummaryWriter."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.flushed = folder, {}, 0
        RECORDERS.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value

    def flush(self) -> None:
        self.flushed += 1


RECORDERS: list[Recorder] = []


def test_tensorboard_gets_the_rows_of_both_tables(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Recorder))
    folder = run(splits, tmp_path, recipe={"epochs": 2}, tensorboard=True)
    recorder = RECORDERS.pop()
    assert recorder.folder == str(tmp_path / "tensorboard") and recorder.flushed == 2
    for row in folder.steps().to_dict("records"):
        assert recorder.scalars["steps/train_loss", row["step"]] == pytest.approx(row["train_loss"])
    for row in folder.history().to_dict("records"):
        assert recorder.scalars["epochs/val_accuracy", row["epoch"]] == pytest.approx(row["val_accuracy"])


def test_a_log_file_gets_a_line_now_and_then(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An epoch may take hours, and a terminal's bar is not there."""
    monkeypatch.setattr(reporting, "LINE_EVERY", -1.0)
    run(splits, tmp_path, recipe={"epochs": 1}, verbose=True)
    pattern = r"^epoch 1: (\d+) of (\d+) steps after \d+ s, about (\d+) s to go$"
    lines = [list(map(int, line)) for line in re.findall(pattern, capsys.readouterr().out, re.MULTILINE)]
    assert [step for step, _, _ in lines] == list(range(1, lines[0][1] + 1))
    assert lines[-1][2] == 0


def test_without_the_package_tensorboard_there_is_one_clear_error(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="expected the package tensorboard for --tensorboard, found none"):
        run(splits, tmp_path, tensorboard=True)


def test_symmetries_are_those_of_state_descriptions(splits: tuple[Split, Split], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'original-fp' reads pixels"):
        run(splits, tmp_path / "run", "original-fp", recipe={"symmetries": True})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("preset", ["ir-sd", "question-only"])
def test_symmetries_change_what_is_trained_on(splits: tuple[Split, Split], tmp_path: Path, preset: str) -> None:
    folders = [
        run(splits, tmp_path / str(moving), preset, recipe={"epochs": 1, "symmetries": moving})
        for moving in (False, True)
    ]
    plain, moved = (folder.steps()["train_loss"] for folder in folders)
    assert plain[0] != moved[0]
    assert abs(plain[0] - moved[0]) < 0.1


def test_a_cosine_fixes_the_number_of_epochs(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run(splits, tmp_path / "run", recipe={"lr_schedule": "cosine", "epochs": 1})
    with pytest.raises(ConfigError, match="recipe epochs = 1, and 2 was asked for"):
        run(splits, tmp_path / "run", recipe={"lr_schedule": "cosine", "epochs": 2})


def test_a_group_of_one_question_trains_as_if_ungrouped(splits: tuple[Split, Split], tmp_path: Path) -> None:
    """One question a picture, one batch an epoch: both ways then do the same arithmetic, in another order."""
    first_of_each = np.unique(splits[0].image_of_question, return_index=True)[1]
    one = with_questions(splits[0], first_of_each)
    runs = [
        run(
            (one, splits[1]),
            tmp_path / str(grouped),
            "ir-fp",
            recipe={"batch_size": 640, "augment": False, "group_questions": grouped},
            overrides={"dropout": 0},
        )
        for grouped in (False, True)
    ]
    ungrouped, grouped = (folder.history()["train_loss"].to_numpy() for folder in runs)
    np.testing.assert_allclose(grouped, ungrouped, rtol=1e-4)


# --- augmentation --------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(-8, 8), st.integers(-8, 8))
def test_a_shift_is_pad_and_crop(x: int, y: int) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, (8, 8, 8, 8))
    expected = padded[:, :, 8 - y : 40 - y, 8 - x : 40 - x]
    torch.testing.assert_close(augment(image, torch.tensor([[x, y, 0.0]])), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("angle", [-MAX_ANGLE, 0.02, MAX_ANGLE])
def test_a_rotation_is_torchvisions(angle: float) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = v2.functional.rotate(image, math.degrees(angle), interpolation=v2.InterpolationMode.BILINEAR)
    torch.testing.assert_close(augment(image, torch.tensor([[0.0, 0.0, angle]])), expected, atol=1e-4, rtol=0)


def test_a_rotated_shift_is_the_crop_rotated() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 10:20, 12:22] = 1
    shifted = augment(image, torch.tensor([[5.0, -3.0, 0.0]]))
    expected = augment(shifted, torch.tensor([[0.0, 0.0, MAX_ANGLE]]))
    torch.testing.assert_close(augment(image, torch.tensor([[5.0, -3.0, MAX_ANGLE]])), expected, atol=0.06, rtol=0)


def test_each_picture_of_a_batch_gets_its_own_augmentation() -> None:
    images = torch.rand(1, 3, 32, 32).expand(4, -1, -1, -1)
    draws = torch.from_numpy(draw_augmentations(0, 1, 4, 128))
    together = augment(images, draws)
    for row in range(4):
        torch.testing.assert_close(together[row : row + 1], augment(images[row : row + 1], draws[row : row + 1]))


def test_augmentations_cover_their_range_and_are_keyed_by_seed_and_epoch() -> None:
    draws = draw_augmentations(1, 2, 10_000, 128)
    assert set(np.unique(draws[:, :2])) == set(range(-8, 9))
    assert padding(128) == 8 and padding(64) == 4
    assert -MAX_ANGLE <= draws[:, 2].min() < -0.04 and 0.04 < draws[:, 2].max() <= MAX_ANGLE
    assert (draws == draw_augmentations(1, 2, 10_000, 128)).all()
    assert (draws != draw_augmentations(1, 3, 10_000, 128)).any() and (
        draws != draw_augmentations(2, 2, 10_000, 128)
    ).any()


@pytest.mark.parametrize(("preset", "moved"), [("original-fp", True), ("detect-fp", False)])
def test_shown_augmentations_are_those_of_the_preset(preset: str, moved: bool) -> None:
    """Pictures are moved with a plain network; a network that describes cells sees them in place, recoloured."""
    picture = np.full((3, 32, 32), 128, np.uint8)
    picture[:, :16, :16] = 255
    first, *later = [axes for axes in plot_augmentations(load_preset(preset), picture, 3, 5).axes if axes.images]
    assert first.get_title() == "as it is" and len(later) == 5
    place = first.images[0].get_array()[:, :, 0] > 0.75
    for axes in later:
        shown = axes.images[0].get_array()
        assert ((shown[:, :, 0] > 0.75) != place).any() == moved
        assert ("px" in axes.get_title()) == moved


# --- the loop ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "preset", ["original-fp", "original-sd", "ir-fp", "ir-sd", "question-only", "cnn-lstm", "detect-fp"]
)
def test_all_presets_train_and_leave_a_complete_folder(
    splits: tuple[Split, Split], tmp_path: Path, preset: str
) -> None:
    folder = run(splits, tmp_path / "run", preset, recipe={"epochs": 2})
    history, steps = folder.history(), folder.steps()
    assert history["epoch"].tolist() == [1, 2]
    for name in ("train_loss", "val_loss", "val_accuracy", "val_invalid", "lr", "questions_per_second"):
        assert history[name].notna().all(), name
    assert {"val_accuracy_number", "val_invalid_color"} <= set(history)
    assert steps["step"].tolist() == list(range(2, 2 * math.ceil(splits[0].n_questions / 40) + 1, 2))
    for name in ("last", "best"):
        weights = load_weights(folder.weights(name))
        assert weights.info["metrics"]["val"]["n"] == splits[1].n_questions
        assert weights.info["provenance"]["recipe"]["seed"] == 3
    for figure in (
        plot_losses(history, "t"),
        plot_accuracy(history, "t"),
        plot_accuracy(history, "t", "val_invalid"),
        plot_against_reference(history, "t", "state descriptions"),
    ):
        assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_title() for axes in figure.axes)


@pytest.mark.slow
def test_training_learns_a_small_set_by_heart(splits: tuple[Split, Split], tmp_path: Path) -> None:
    wide = {"g_layers": [64, 64, 64], "f_layers": [64, 64], "lstm_hidden": 32, "dropout": 0, "mask_padding": True,
            "state_attributes": "one-hot"}  # fmt: skip
    folder = run(splits, tmp_path / "run", overrides=wide, recipe={"epochs": 40, "lr": 3e-3})
    losses = folder.history()["train_loss"]
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    splits: tuple[Split, Split], tmp_path: Path
) -> None:
    first, second, other = (
        run(splits, tmp_path / name, "ir-fp", recipe={"epochs": 1, "seed": seed})
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert_same(first, second)
    assert any(not torch.equal(tensor, tensors(other)[name]) for name, tensor in tensors(first).items())


def test_reversing_questions_is_a_choice(splits: tuple[Split, Split], tmp_path: Path) -> None:
    forward = run(splits, tmp_path / "a", recipe={"epochs": 1}, overrides={"reverse_question": False})
    backward = run(splits, tmp_path / "b", recipe={"epochs": 1})
    assert forward.history()["train_loss"].iloc[0] != backward.history()["train_loss"].iloc[0]


COMMAND = """
import sys, torch
from rnlib.clevr import clevr_v1, open_split
from rnlib.model import load_preset
from rnlib.training import Options, Saving, make_recipe, train
clevr, out, preset = sys.argv[1:4]
overrides, recipe, threads = map(eval, sys.argv[4:])
torch.set_num_threads(threads)
splits = [open_split(clevr, name, images=32, verbose=False) for name in ("train", "val")]
train(load_preset(preset, overrides), make_recipe(recipe), splits, out,
      Options(vocabulary=clevr_v1(), saving=Saving(checkpoint_minutes=0)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["original-fp", "ir-sd"])
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    splits: tuple[Split, Split], tiny_clevr: Path, tmp_path: Path, preset: str
) -> None:
    whole = run(splits, tmp_path / "whole", preset, recipe={"epochs": 4})
    out = tmp_path / "killed"
    arguments = [
        str(tiny_clevr),
        str(out),
        preset,
        repr(SMALL),
        repr({**RECIPE, "epochs": 4}),
        str(torch.get_num_threads()),
    ]
    for _ in range(2):  # killed twice, each time in the middle of an epoch
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        before = state_time(out)
        begin = time.monotonic()
        while process.poll() is None and state_time(out) == before and time.monotonic() - begin < 120:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output.decode()
    resumed = run(splits, out, preset, recipe={"epochs": 4})
    assert_same(whole, resumed)


def state_time(out: Path) -> int:
    """When the state was last written."""
    file = TrainingFolder(out).state()
    return file.stat().st_mtime_ns if file.exists() else 0


def test_an_interrupt_ends_the_step_and_leaves_a_state_to_continue(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(splits, tmp_path / "whole")
    row_after: list[float] = []
    step = Trainer.step

    def interrupted_step(loop: Any, *batch: Any) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGINT)
        return step(loop, *batch)

    def interrupt(row: dict[str, int | float]) -> None:
        row_after.append(row["epoch"])

    monkeypatch.setattr(Trainer, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt, match="the state is saved, run again to continue"):
        run(splits, tmp_path / "cut", on_epoch=interrupt)
    assert row_after == []  # it came in the first epoch
    monkeypatch.setattr(Trainer, "step", step)
    assert_same(whole, run(splits, tmp_path / "cut"))


@pytest.mark.parametrize("preset", ["original-sd", "ir-fp"])
def test_many_time_limits_equal_one_long_training(
    splits: tuple[Split, Split], tmp_path: Path, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {"epochs": 2, "group_questions": True, "ema": 0.9, "batch_size": 60}
    whole = run(splits, tmp_path / "whole", preset, recipe=recipe)
    out, calls = tmp_path / "parts", 0
    while not (out / "history.csv").is_file() or len(TrainingFolder(out).history()) < 2:
        parts = run(splits, out, preset, recipe=recipe, saving=Saving(time_limit=1e-9))  # ends after every step
        calls += 1
    assert calls >= int(whole.history()["questions"].iloc[-1]) // 60
    assert_same(whole, parts)


def test_a_negative_time_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="time_limit of 0 minutes"):
        Saving(time_limit=-1.0)


def test_held_out_scenes_validate_and_are_not_trained_on(splits: tuple[Split, Split], tmp_path: Path) -> None:
    train_split, val_split = splits
    kept = train_split.n_images - 5
    asked = train_split.image_of_question < kept
    folder = run(splits, tmp_path / "held", recipe={"epochs": 1, "held_out": 5})
    assert folder.history()["questions"].iloc[0] == asked.sum()
    info = load_weights(folder.weights("best")).info
    assert set(info["metrics"]) == {"held_out"}
    assert info["metrics"]["held_out"]["n"] == (~asked).sum()
    # Without the held-out scenes the training is the same, whatever it is validated on.
    part = part_of(train_split, 0, kept)
    direct = run((part, val_split), tmp_path / "direct", recipe={"epochs": 1})
    for name, tensor in tensors(folder).items():
        assert torch.equal(tensor, tensors(direct)[name]), name
    with pytest.raises(ConfigError, match=f"less than all {train_split.n_images}"):
        run(splits, tmp_path / "all", recipe={"epochs": 1, "held_out": train_split.n_images})


def test_an_interrupt_after_the_last_step_is_not_swallowed(splits: tuple[Split, Split], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="stopped after epoch 1; the state is saved"):
        run(splits, tmp_path / "cut", recipe={"epochs": 1}, on_epoch=lambda _: os.kill(os.getpid(), signal.SIGINT))


def test_kept_epochs_can_be_evaluated_and_resumed(splits: tuple[Split, Split], tmp_path: Path) -> None:
    whole = run(splits, tmp_path / "whole", recipe={"epochs": 4}, saving=Saving("every:2"))
    assert load_weights(whole.weights("epoch_0002")).info["provenance"]["epoch"] == 2
    assert not whole.weights("epoch_0001").exists()
    branch = run(splits, tmp_path / "branch", recipe={"epochs": 4}, resume_from=whole.weights("epoch_0002"))
    assert_same(whole, branch)
    assert branch.weights("best").exists()
    short = {"recipe": {"epochs": 4}, "resume_from": whole.weights("epoch_0002"), "saving": Saving(time_limit=1e-9)}
    for _ in range(2):  # a branch that has no weights of its own yet goes on as well
        assert not run(splits, tmp_path / "short", **short).weights("best").exists()
    again = run(splits, branch.root, recipe={"epochs": 5}, resume_from=whole.weights("epoch_0002"))
    assert again.history()["epoch"].tolist() == [1, 2, 3, 4, 5]  # it went on, and did not branch off once more
    with pytest.raises(ConfigError, match="Give another folder with --out"):
        run(splits, whole.root, recipe={"epochs": 5}, resume_from=whole.weights("epoch_0002"))
    with pytest.raises(ConfigError, match="holds 4 epochs, and 4 were asked for"):
        run(splits, tmp_path / "none", recipe={"epochs": 4}, resume_from=whole.weights("epoch_0004"))


def test_fewer_epochs_than_done_are_refused(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run(splits, tmp_path / "a", recipe={"epochs": 2})
    with pytest.raises(ConfigError, match="holds 2 epochs, and 1 were asked for"):
        run(splits, tmp_path / "a", recipe={"epochs": 1})


def test_an_error_before_the_first_step_does_not_take_the_folder(splits: tuple[Split, Split], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 10,000 training questions"):
        run(splits, tmp_path / "a", recipe={"train_questions": 10_000})
    assert not (tmp_path / "a").exists()
    run(splits, tmp_path / "a", recipe={"train_questions": 40, "epochs": 1})


def test_epochs_can_be_added(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run(splits, tmp_path / "a", recipe={"epochs": 2})
    assert_same(run(splits, tmp_path / "a"), run(splits, tmp_path / "b"))


def test_a_folder_of_another_training_is_not_continued(splits: tuple[Split, Split], tmp_path: Path) -> None:
    before = run(splits, tmp_path / "run", recipe={"epochs": 1})
    content = before.weights("last").read_bytes()
    with pytest.raises(ConfigError, match=r"recipe lr = 0.001, and 0.002 was asked for"):
        run(splits, tmp_path / "run", recipe={"lr": 2e-3})
    with pytest.raises(ConfigError, match="preset name = original-sd"):
        run(splits, tmp_path / "run", "ir-fp")
    assert before.weights("last").read_bytes() == content


def test_a_damaged_state_is_refused(splits: tuple[Split, Split], tmp_path: Path) -> None:
    folder = run(splits, tmp_path / "run", recipe={"epochs": 1})
    folder.state().write_bytes(folder.state().read_bytes()[:1000])
    with pytest.raises(DataError, match="is not the state of a training"):
        run(splits, tmp_path / "run")
    with pytest.raises(DataError, match="Only kept epochs can be resumed"):
        run(splits, tmp_path / "branch", resume_from=folder.weights("epoch_0007"))


def test_init_conv_starts_from_other_convolutions(splits: tuple[Split, Split], tmp_path: Path) -> None:
    source = run(splits, tmp_path / "source", "original-fp", recipe={"epochs": 1})
    plain = run(splits, tmp_path / "plain", "ir-fp", recipe={"epochs": 1})
    moved = run(splits, tmp_path / "moved", "ir-fp", recipe={"epochs": 1}, init_conv=source.weights("last"))
    assert plain.history()["train_loss"].iloc[0] != moved.history()["train_loss"].iloc[0]
    with pytest.raises(ConfigError, match="start init_conv"):
        run(splits, tmp_path / "moved", "ir-fp", recipe={"epochs": 2}, init_conv=plain.weights("last"))
    with pytest.raises(WeightsError, match="only from pixels to pixels"):
        run(splits, tmp_path / "wrong", "ir-sd", init_conv=source.weights("last"))
    assert not (tmp_path / "wrong").exists()


def test_divergence_is_said(splits: tuple[Split, Split], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training diverged. Use a lower lr"):
        run(splits, tmp_path / "run", recipe={"lr": 1e18, "clip_norm": 0})


def test_the_test_split_cannot_be_trained_on(tiny_clevr: Path, splits: tuple[Split, Split], tmp_path: Path) -> None:
    test = open_split(tiny_clevr, "test", images=None, verbose=False)
    with pytest.raises(DataError, match="has no answers"):
        run((test, splits[1]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("keep", ["all", "every:0", "every:x"])
def test_a_wrong_keep(keep: str) -> None:
    with pytest.raises(ConfigError, match="every:N"):
        Saving(keep)


def test_a_network_that_reads_pictures_needs_them_in_its_size(tiny_clevr: Path) -> None:
    without = open_split(tiny_clevr, "val", images=None, verbose=False)
    with pytest.raises(DataError, match="reads pictures of 128 pixels, the split has no pictures"):
        NetworkInputs.of(without, load_preset("ir-fp"), clevr_v1())
    small = open_split(tiny_clevr, "val", images=32, verbose=False)
    with pytest.raises(DataError, match="has pictures of 32 pixels"):
        NetworkInputs.of(small, load_preset("ir-fp"), clevr_v1())
    test = open_split(tiny_clevr, "test", images=None, verbose=False)
    with pytest.raises(DataError, match=r"reads state descriptions, but .* does not exist"):
        NetworkInputs.of(test, load_preset("ir-sd"), clevr_v1())
