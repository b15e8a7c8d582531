"""Convolutions taught by scenes what each cell holds: the targets, the training, and where its weights go."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from rnlib.__main__ import main
from rnlib.clevr.constants import ATTRIBUTES
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import part_of
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError, DataError, WeightsError
from rnlib.evaluation.attribution import pair_map
from rnlib.model import RelationNetwork, load_preset
from rnlib.model.checkpoint import Weights, init_convolutions, load_weights, save_weights
from rnlib.model.inputs import NetworkInputs
from rnlib.model.net2net import init_from
from rnlib.model.objects.pixels import DescribedObjects
from rnlib.retrieval.features import pair_features
from rnlib.training.augment import MAX_ANGLE, augment, draw_recoloring, mirror_points, moved_points, recolor
from rnlib.training.cell_recipe import CellRecipe
from rnlib.training.cell_targets import cell_loss, what_cells_hold
from rnlib.training.cell_task import CellClassifier, evaluate_cells, train_cells
from rnlib.training.recipe import Recipe
from rnlib.training.relation_training import train
from rnlib.training.run_trainer import Options

SMALL = {"image_size": 32, "conv_channels": [4, 4, 6], "lstm_hidden": 6, "g_layers": [8, 8, 8], "f_layers": [8, 8]}
QUICK = CellRecipe(epochs=3, batch_size=8, lr=1e-2)
QUIET = Options(verbose=False)


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    train, val = (open_split(tiny_clevr, name, images=32, verbose=False) for name in ("train", "val"))
    return train, val


@given(
    st.integers(-4, 4), st.integers(-4, 4), st.floats(-MAX_ANGLE, MAX_ANGLE), st.integers(20, 40), st.integers(20, 40)
)
def test_points_move_as_the_picture_does(shift_x: int, shift_y: int, angle: float, x: int, y: int) -> None:
    image = torch.zeros(1, 1, 64, 64)
    image[0, 0, y - 2 : y + 3, x - 2 : x + 3] = 1
    draws = np.array([[shift_x, shift_y, angle]], np.float32)
    moved = augment(image, torch.from_numpy(draws))[0, 0].double().numpy()
    rows, columns = np.indices(moved.shape) + 0.5  # centres of the pixels
    found = np.array([(moved * columns).sum(), (moved * rows).sum()]) / moved.sum()
    expected = moved_points(np.array([[[x + 0.5, y + 0.5]]], np.float32), draws, 64)[0, 0]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_a_cell_holds_the_object_whose_centre_lies_in_it_or_one_from_beside_it(splits: tuple[Split, Split]) -> None:
    train = splits[0]
    preset = load_preset("ir-fp", SMALL)
    side = preset.cells_per_side
    assert side == 4
    with Image.open(train.image_path(0)) as image:
        width, height = image.size
    pictures = np.arange(train.n_images)[::-1]
    held, places = what_cells_hold(train, pictures, preset)
    moved = 0
    for row, picture in enumerate(pictures):
        points = train.pixel_coords[picture, :, :2] * (side / width, side / height)
        own = [int(y) * side + int(x) for x, y in points]
        count = int((train.codes[picture, :, 0] != 0).sum())
        nearest_first = sorted(range(count), key=lambda number: train.pixel_coords[picture, number, 2])
        expected: dict[int, int] = {}
        for number in nearest_first:
            expected.setdefault(own[number], number)
        for number in nearest_first:
            x, y = points[number]
            free = [
                (math.hypot(column + 0.5 - x, line + 0.5 - y), line * side + column)
                for line in range(max(0, int(y) - 1), min(side, int(y) + 2))
                for column in range(max(0, int(x) - 1), min(side, int(x) + 2))
                if line * side + column not in expected
            ]
            if number not in expected.values() and free:
                expected[min(free)[1]] = number
                moved += 1
        for cell in range(side**2):
            number = expected.get(cell, -1)
            assert held[row, cell].tolist() == ([0] * 4 if number < 0 else train.codes[picture, number].tolist())
            assert places[row, cell].tolist() == (
                [0] * 3 if number < 0 else train.coordinates[picture, number].tolist()
            )
    assert moved  # the rule was needed


def test_objects_moved_out_of_the_picture_are_in_no_cell(splits: tuple[Split, Split]) -> None:
    train, preset = splits[0], load_preset("ir-fp", SMALL)
    everywhere = np.arange(train.n_images)
    assert not any(found.any() for found in what_cells_hold(train, everywhere, preset, lambda points: points + 32))


def test_a_mirrored_picture_has_its_objects_on_the_other_side(splits: tuple[Split, Split]) -> None:
    train, preset = splits[0], load_preset("ir-fp", SMALL)
    pictures, side = np.arange(train.n_images), preset.cells_per_side
    draws = draw_recoloring(0, 1, train.n_images)
    mirrored = draws[:, 0] > 0
    assert mirrored.any() and not mirrored.all()
    image = torch.rand(train.n_images, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    same_colors = np.concatenate([draws[:, :1], np.ones((len(draws), 3)), np.zeros((len(draws), 1))], 1)
    seen = recolor(image, torch.from_numpy(same_colors.astype(np.float32)))
    assert torch.equal(seen[mirrored], image[mirrored].flip(3)) and torch.equal(seen[~mirrored], image[~mirrored])
    expected = what_cells_hold(train, pictures, preset)[0].reshape(len(pictures), side, side, 4)
    held, _ = what_cells_hold(train, pictures, preset, lambda points: mirror_points(points, mirrored, 32))
    held = held.reshape(expected.shape)
    np.testing.assert_array_equal(held[~mirrored], expected[~mirrored])
    # Which free cell an object is moved to may differ, where two are as near.
    assert (held[mirrored] == expected[mirrored, :, ::-1]).all(3).mean() > 0.95
    assert (held[mirrored] == expected[mirrored]).all(3).mean() < 0.9


def test_colours_change_by_what_is_drawn() -> None:
    draws = draw_recoloring(1, 1, 1000)
    unmirrored = draw_recoloring(1, 1, 1000, mirror=False)
    assert not unmirrored[:, 0].any() and np.array_equal(unmirrored[:, 1:], draws[:, 1:])
    assert 0.4 < draws[:, 0].mean() < 0.6
    assert np.abs(draws[:, 1:4] - 1).max() < 0.145 and np.abs(draws[:, 4]).max() <= 0.04
    assert draws[:, 1:4].std(1).mean() < draws[:, 1:4].mean(1).std()  # a picture's factors are alike
    image = torch.full((1, 3, 1, 1), 0.5)
    draw = torch.tensor([[0, 1.1, 1.0, 0.9, 0.04]])
    torch.testing.assert_close(recolor(image, draw).flatten(), torch.tensor([0.59, 0.54, 0.49]))
    torch.testing.assert_close(recolor(image * 2, draw).flatten(), torch.tensor([1.0, 1.0, 0.94]))


def test_the_loss_is_that_of_each_attribute_and_of_no_object_where_there_is_none() -> None:
    logits = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    held = torch.zeros(2, 3, 4, dtype=torch.long)
    places = torch.zeros(2, 3, 3)
    empty = cell_loss(logits, held, places)
    torch.testing.assert_close(empty, torch.nn.functional.softplus(logits[:, :, 0]).sum())
    held[0, 1] = torch.tensor([8, 1, 3, 2])
    held[1, 2] = torch.tensor([1, 2, 1, 1])
    expected = (torch.nn.functional.softplus(logits[:, :, 0]).sum() - logits[0, 1, 0] - logits[1, 2, 0]) / 2
    begin = 1
    for column, values in enumerate(ATTRIBUTES.values()):
        each = [torch.log_softmax(logits[at][begin : begin + len(values)], 0) for at in ((0, 1), (1, 2))]
        expected = expected - (each[0][held[0, 1, column] - 1] + each[1][held[1, 2, column] - 1]) / 2
        begin += len(values)
    torch.testing.assert_close(cell_loss(logits, held, places), expected)
    places[0, 1] = torch.tensor([0.5, -2.0, 0.7])
    told = torch.zeros(2, 3, 3)
    told[0, 1] = torch.tensor([0.4, -2.02, 0.7])  # 0.1 away counts 0.05, 0.02 away its square / 0.2
    with_places = cell_loss(torch.cat([logits, told], 2), held, places)
    torch.testing.assert_close(with_places, expected + (0.05 + 0.02**2 / 0.2) / 2)
    of_the_first = cell_loss(torch.cat([logits, told], 2), held, places, torch.tensor([True, False]))
    torch.testing.assert_close(of_the_first, expected + 0.05 + 0.02**2 / 0.2)
    of_none = cell_loss(torch.cat([logits, told], 2), held, places, torch.tensor([False, False]))
    torch.testing.assert_close(of_none, expected)


def test_it_learns_and_an_interrupted_training_goes_on_bit_for_bit(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset = load_preset("ir-fp", SMALL)
    whole = train_cells(preset, QUICK, splits, tmp_path / "whole", QUIET)
    history = whole.history()
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]

    def stop(row: dict[str, int | float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cells(preset, QUICK, splits, tmp_path / "parts", Options(verbose=False, on_epoch=stop))
    parts = train_cells(preset, QUICK, splits, tmp_path / "parts", QUIET)
    one, other = (load_file(folder.weights("last")) for folder in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    columns = [name for name in history if name != "seconds"]
    assert history[columns].equals(parts.history()[columns])
    with pytest.raises(ConfigError, match="holds a training with recipe batch_size = 8, and 4 was asked for"):
        train_cells(preset, CellRecipe(epochs=3, batch_size=4, lr=1e-2), splits, tmp_path / "whole", QUIET)


def test_right_answers_are_counted(splits: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that knows the truth but takes every second object's colour for another one."""
    val, preset = splits[1], load_preset("ir-fp", SMALL)
    held = torch.from_numpy(what_cells_hold(val, np.arange(val.n_images), preset)[0])
    logits = torch.zeros(*held.shape[:2], 16)
    occupied = held[:, :, 0] > 0
    logits[:, :, 0] = occupied.float() - 0.5
    wrong = torch.arange(int(occupied.sum())) % 2
    answers = torch.zeros(int(occupied.sum()), 15)
    begin = 0
    for column, values in enumerate(ATTRIBUTES.values()):
        chosen = held[occupied][:, column] - 1
        if column == 0:
            chosen = (chosen + wrong) % 8
        answers[torch.arange(len(answers)), begin + chosen] = 1
        begin += len(values)
    logits[occupied] = torch.cat([logits[occupied][:, :1], answers], 1)
    network = CellClassifier(preset)
    monkeypatch.setattr(network, "forward", lambda images: logits[: len(images)])
    found = evaluate_cells(network, val, "cpu", chunk=val.n_images)
    assert found["val_cell"] == 1 and found["val_shape"] == 1
    assert found["val_color"] == found["val_object"] == pytest.approx(1 - float(wrong.float().mean()))


def test_its_convolutions_start_a_relation_network(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset = load_preset("ir-fp", SMALL)
    path = train_cells(preset, CellRecipe(epochs=1, batch_size=8), splits, tmp_path / "run", QUIET).weights("best")
    network = RelationNetwork(preset, clevr_v1())
    init_convolutions(network, path)
    stored = load_file(path)
    for name, tensor in network.objects.state_dict().items():
        assert np.array_equal(tensor.numpy(), stored[f"objects.{name}"])
    with pytest.raises(WeightsError, match="expected the format rnlib-weights-1, found rnlib-cells-1"):
        load_weights(path)


def test_it_wants_pictures_and_scenes(splits: tuple[Split, Split], tiny_clevr: Path, tmp_path: Path) -> None:
    train, val = splits
    with pytest.raises(ConfigError, match="a preset that reads pixels, found 'ir-sd'"):
        train_cells(load_preset("ir-sd"), QUICK, (train, val), tmp_path / "a", QUIET)
    with pytest.raises(DataError, match="pictures of 64 pixels, the split has pictures of 32 pixels"):
        train_cells(load_preset("ir-fp", {**SMALL, "image_size": 64}), QUICK, (train, val), tmp_path / "b", QUIET)
    test = open_split(tiny_clevr, "test", images=32, verbose=False)
    with pytest.raises(DataError, match="expected scenes"):
        train_cells(load_preset("ir-fp", SMALL), QUICK, (train, test), tmp_path / "c", QUIET)
    assert not list(tmp_path.iterdir())


def test_the_command_trains_continues_and_refuses(
    tiny_clevr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cells"
    command = ["train-cells", "--preset", "ir-fp", "--clevr", str(tiny_clevr), "--out", str(out), "--device", "cpu"]
    fields = ["--set", "image_size=32", "conv_channels=[4, 4, 6]", "batch_size=8"]
    assert main([*command, *fields, "epochs=1"]) == 0
    assert "best: all attributes of" in capsys.readouterr().out
    assert main([*command, *fields, "epochs=2"]) == 2  # of a cosine over one epoch nothing is left
    assert "recipe epochs = 1, and 2 was asked for" in capsys.readouterr().err
    assert main([*command[:-3], str(out / "wild"), *command[-2:], *fields, "epochs=2", "lr=1e30", "lr_warmup=0"]) == 2
    assert "training diverged" in capsys.readouterr().err
    assert main([*command, *fields, "precision=half"]) == 2
    assert "precision" in capsys.readouterr().err


DESCRIBED = {**SMALL, "describing_channels": [6, 5], "state_rows": 4, "f_layers": [8, 8]}


def test_described_cells_become_rows_as_state_descriptions_have_them() -> None:
    preset = load_preset("detect-fp", DESCRIBED)
    encoder = preset.kind(preset)
    assert isinstance(encoder, DescribedObjects)
    described = torch.randn(2, 16, 19, generator=torch.Generator().manual_seed(0))
    described[:, :, -3] += 10 * torch.arange(16)  # far from one another
    described[0, :, 0] = torch.linspace(-3, -1, 16)
    described[0, 5, 0], described[0, 9, 0] = 2.0, 3.0  # two cells hold an object
    described[1, :, 0] = torch.linspace(1, 2, 16)  # all do, and only four are taken
    rows, cells = encoder.rows(described)
    assert cells[0, :2].tolist() == [9, 5] and cells[1].tolist() == [15, 14, 13, 12]
    assert not rows[0, 2:].any() and rows[1].any(1).all()
    expected = described[0, 9]
    assert torch.equal(rows[0, 0, :3], expected[-3:])
    begin = 0
    for values in ATTRIBUTES.values():
        torch.testing.assert_close(
            rows[0, 0, 3 + begin : 3 + begin + len(values)],
            torch.softmax(expected[1 + begin : 1 + begin + len(values)], 0),
        )
        begin += len(values)


def test_cells_that_tell_of_one_object_make_one_row() -> None:
    preset = load_preset("detect-fp", DESCRIBED)
    encoder = preset.kind(preset)
    assert isinstance(encoder, DescribedObjects)
    described = torch.zeros(1, 16, 19)
    described[0, :, 0] = -20.0
    described[0, :, -3] = 10 * torch.arange(16)
    log_odds = {2: 0.45, 3: 0.4, 7: 0.3, 8: 0.9, 9: 0.2}  # 2 and 3 together 0.85; 7 alone 0.3; 8 and 9 apart
    for cell, probability in log_odds.items():
        described[0, cell, 0] = torch.logit(torch.tensor(probability))
    described[0, 3, -3:] = torch.tensor([20.3, 0.3, 9.0])  # 0.42 from the place that cell 2 tells, whatever z
    described[0, 9, -3:] = torch.tensor([80.4, 0.4, 0.0])  # 0.57 from that of cell 8
    rows, cells = encoder.rows(described)
    assert cells[0, :2].tolist() == [8, 2]
    assert rows[0].any(1).tolist() == [True, True, False, False]


def test_a_network_on_descriptions_goes_on_as_one_that_describes_what_it_sees(tmp_path: Path) -> None:
    """Weights of a network on one-hot state descriptions: the same answers for the same rows."""
    torch.manual_seed(1)
    fields = {name: DESCRIBED[name] for name in ("g_layers", "f_layers", "lstm_hidden")}
    state = RelationNetwork(load_preset("medium-ir-sd", {**fields, "state_rows": 4}), clevr_v1()).eval()
    path = save_weights(tmp_path / "state.safetensors", state, clevr_v1())
    seeing = RelationNetwork(load_preset("detect-fp", DESCRIBED), clevr_v1()).eval()
    before = {name: tensor.clone() for name, tensor in seeing.objects.state_dict().items()}
    init_from(seeing, clevr_v1(), path)
    assert all(torch.equal(before[name], tensor) for name, tensor in seeing.objects.state_dict().items())
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    tokens = torch.randint(1, 80, (3, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        seeing.objects.describe.bias[0] = 1.0  # some cells hold an object
        rows = seeing.objects(pictures)
        assert 0 < int(rows.any(2).sum()) <= 12
        torch.testing.assert_close(seeing(pictures, tokens), state(rows, tokens))
    other = RelationNetwork(load_preset("medium-fp", SMALL), clevr_v1())
    with pytest.raises(WeightsError, match="objects"):
        init_from(other, clevr_v1(), path)


def test_describing_is_taught_and_starts_a_network(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset = load_preset("detect-fp", DESCRIBED)
    folder = train_cells(preset, QUICK, splits, tmp_path / "run", QUIET)
    history = folder.history()
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history["val_distance"].iloc[-1] < history["val_distance"].iloc[0]
    network = RelationNetwork(preset, clevr_v1())
    init_convolutions(network, folder.weights("best"))
    stored = load_file(folder.weights("best"))
    assert np.array_equal(network.objects.describe.weight.detach().numpy(), stored["objects.describe.weight"])
    with pytest.raises(WeightsError, match="kernels"):
        init_convolutions(RelationNetwork(load_preset("ir-fp", SMALL), clevr_v1()), folder.weights("best"))


def test_questions_can_be_learnt_while_cells_are(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset = load_preset("detect-fp", {**DESCRIBED, "state_rows": 10})
    distances = {}
    for weight in (0.0, 10.0):
        recipe = Recipe(epochs=6, batch_size=32, lr=1e-2, lr_max=1e-2, cell_weight=weight, group_questions=True)
        folder = train(preset, recipe, splits, tmp_path / str(weight), Options(verbose=False, vocabulary=clevr_v1()))
        classifier, network = CellClassifier(preset), load_weights(folder.weights("last")).network
        classifier.objects.load_state_dict(network.objects.state_dict())
        distances[weight] = evaluate_cells(classifier, splits[1], "cpu")["val_distance"]
    assert distances[10.0] < 0.8 * distances[0.0]
    with pytest.raises(ConfigError, match="expected one with describing_channels for cell_weight"):
        train(load_preset("ir-fp", SMALL), Recipe(cell_weight=1.0), splits, tmp_path / "none", QUIET)


def test_held_out_scenes_are_not_trained_on(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset, (train, val) = load_preset("ir-fp", SMALL), splits
    recipe = CellRecipe(epochs=1, batch_size=8, held_out=10)
    folder = train_cells(preset, recipe, splits, tmp_path / "a", QUIET)
    parts = part_of(train, 0, train.n_images - 10), part_of(train, train.n_images - 10, train.n_images)
    other = train_cells(preset, CellRecipe(epochs=1, batch_size=8), parts, tmp_path / "b", QUIET)
    one, two = (load_file(run.weights("last")) for run in (folder, other))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    with pytest.raises(ConfigError, match="hold out less than all"):
        train_cells(preset, CellRecipe(held_out=train.n_images), (train, val), tmp_path / "c", QUIET)


def test_where_described_objects_are(splits: tuple[Split, Split]) -> None:
    val = splits[1]
    torch.manual_seed(0)
    preset = load_preset("detect-fp", DESCRIBED)
    weights = Weights(RelationNetwork(preset, val.vocabulary).eval(), preset, val.vocabulary)
    with torch.no_grad():
        weights.network.objects.describe.bias[0] = 1.0
    inputs = NetworkInputs.of(val, preset, val.vocabulary)
    found = pair_map(weights, inputs, 0, inputs.tokens[0, : int(val.lengths[0])])
    assert found is not None and found.cells is None
    described = weights.network.objects.described(inputs.visual(np.array([0])))
    rows, cells = weights.network.objects.rows(described)
    count = int(rows[0].any(1).sum())
    assert len(found.places) == count == len(found.attribution.pairs)
    np.testing.assert_allclose(found.places, (np.stack([cells[0] % 4, cells[0] // 4], 1)[:count] + 0.5) / 4)
    features = pair_features(weights, val, np.arange(4), 0)
    assert all(len(values) == 4 and np.isfinite(values).all() for values in features.values())


def test_describing_needs_pixels_and_masks() -> None:
    with pytest.raises(ConfigError, match="expected describing_channels with objects 'pixels' and mask_padding"):
        load_preset("detect-fp", {"mask_padding": False})
    with pytest.raises(ConfigError, match="describing_channels"):
        load_preset("medium-sd", {"describing_channels": [4]})


def test_without_relations_f_reads_the_described_rows_and_the_question() -> None:
    torch.manual_seed(0)
    network = RelationNetwork(load_preset("detect-fp", {**DESCRIBED, "relations": False}), clevr_v1()).eval()
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    tokens = torch.randint(1, 80, (2, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        read = torch.cat([network.objects(pictures).flatten(1), network.question(tokens)], 1)
        torch.testing.assert_close(network(pictures, tokens), network.answer(read))
    assert read.shape[1] == 4 * 18 + 6
