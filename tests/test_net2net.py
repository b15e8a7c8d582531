"""A larger network that begins as a smaller one gives the same answers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import Vocabulary, clevr_v1
from rnlib.errors import WeightsError
from rnlib.model import RelationNetwork, load_preset, load_weights, save_weights
from rnlib.model.inputs import NetworkInputs
from rnlib.model.net2net import init_from
from rnlib.training import Options, make_recipe, train

SMALL = {"g_layers": [16, 12, 8], "f_layers": [10, 9], "lstm_hidden": 7, "word_embedding": 5}


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    return tuple(open_split(tiny_clevr, name, images=None, verbose=False) for name in ("train", "val"))  # type: ignore[return-value]


def answers(network: RelationNetwork, split: Split) -> torch.Tensor:
    inputs = NetworkInputs.of(split, network.preset, split.vocabulary)
    questions = torch.arange(20)
    visual = inputs.visual(split.image_of_question[questions.numpy()])
    with torch.no_grad():
        answered: torch.Tensor = network.eval()(visual, inputs.question(questions.numpy()))
    return answered


@pytest.mark.parametrize(
    ("preset", "larger"),
    [
        ("medium-sd", {}),
        ("medium-sd", {"g_layers": [20, 18, 16], "f_layers": [11, 30]}),
        ("medium-sd", {"g_layers": [80, 75, 20, 14, 9], "question_layer": 2, "f_layers": [11, 9]}),
        ("original-sd", {"g_layers": [60, 16, 12, 8], "question_layer": 1}),
        ("ir-sd", {"g_layers": [16, 12, 30]}),
        ("question-only", {"f_layers": [20, 20]}),
        ("medium-sd", {"relations": False, "f_layers": [20, 20]}),
    ],
)
def test_it_gives_the_same_answers(
    preset: str, larger: dict[str, object], splits: tuple[Split, Split], tmp_path: Path
) -> None:
    vocabulary = splits[0].vocabulary
    torch.manual_seed(3)
    small = RelationNetwork(load_preset(preset, {**SMALL, "relations": larger.get("relations", True)}), vocabulary)
    path = save_weights(tmp_path / "small.safetensors", small, vocabulary)
    large = RelationNetwork(load_preset(preset, {**SMALL, **larger}), vocabulary)
    before = answers(large, splits[1])
    init_from(large, vocabulary, path)
    expected = answers(small, splits[1])
    torch.testing.assert_close(answers(large, splits[1]), expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(before, expected, atol=1e-3)


@pytest.mark.parametrize("larger", [{}, {"g_layers": [9, 8, 9, 12, 10]}])
def test_learned_weights_of_pairs_come_along(larger: dict[str, object], tiny_clevr: Path, tmp_path: Path) -> None:
    val = open_split(tiny_clevr, "val", images=32, verbose=False)
    sizes = {**SMALL, "g_layers": [8, 7, 9, 6, 5], "question_layer": 3, "aggregation_layer": 2, "image_size": 32}
    torch.manual_seed(3)
    small = RelationNetwork(load_preset("avf-fp", sizes), val.vocabulary)
    assert small.relations is not None
    torch.nn.init.uniform_(small.relations.pair_weights, -1, 1)
    path = save_weights(tmp_path / "small.safetensors", small, val.vocabulary)
    large = RelationNetwork(load_preset("avf-fp", {**sizes, **larger}), val.vocabulary)
    init_from(large, val.vocabulary, path)
    torch.testing.assert_close(answers(large, val), answers(small, val), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("larger", "found"),
    [
        ({"g_layers": [16, 12]}, "3 layers of g"),
        ({"g_layers": [80, 16, 12, 8]}, "layers can be added before the question only"),
        ({"g_layers": [40, 16, 12, 8], "question_layer": 1}, "72 units to carry a pair"),
        ({"g_layers": [16, 11, 8]}, "a layer of 12 units"),
        ({"f_layers": [10, 8]}, "a layer of 9 units"),
        ({"lstm_hidden": 8}, "lstm_hidden 7"),
        ({"state_attributes": "codes"}, "state_attributes one-hot"),
    ],
)
def test_a_network_without_room_is_refused(
    larger: dict[str, object], found: str, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    vocabulary = splits[0].vocabulary
    small = RelationNetwork(load_preset("medium-sd", SMALL), vocabulary)
    path = save_weights(tmp_path / "small.safetensors", small, vocabulary)
    large = RelationNetwork(load_preset("medium-sd", {**SMALL, **larger}), vocabulary)
    with pytest.raises(WeightsError, match=found):
        init_from(large, vocabulary, path)


def test_another_vocabulary_is_refused(splits: tuple[Split, Split], tmp_path: Path) -> None:
    vocabulary = splits[0].vocabulary
    small = RelationNetwork(load_preset("medium-sd", SMALL), vocabulary)
    path = save_weights(tmp_path / "small.safetensors", small, vocabulary)
    with pytest.raises(WeightsError, match="another one"):
        init_from(small, Vocabulary(words=vocabulary.words[::-1], answers=vocabulary.answers), path)


def test_a_training_starts_as_the_weights_and_learns_with_the_new_units(
    splits: tuple[Split, Split], tmp_path: Path
) -> None:
    preset = load_preset("medium-sd", {**SMALL, "dropout": 0})
    vocabulary = clevr_v1()
    options = Options(vocabulary=vocabulary, verbose=False)
    start = train(preset, make_recipe({"epochs": 1}), splits, tmp_path / "small", options)
    larger = load_preset("medium-sd", {**SMALL, "dropout": 0, "g_layers": [80, 75, 20, 14, 9], "question_layer": 2})
    recipe = make_recipe({"epochs": 1, "lr": 1e-9, "lr_gamma": 1, "weight_decay": 0})
    options = replace(options, init_from=start.weights("best"))
    grown = train(larger, recipe, splits, tmp_path / "large", options)
    assert grown.history()["val_loss"][0] == pytest.approx(start.history()["val_loss"][0], rel=1e-4)
    assert grown.metrics()["accuracy"] == start.metrics()["accuracy"]
    recipe = make_recipe({"epochs": 1, "lr": 1e-3, "lr_gamma": 1})
    trained = train(larger, recipe, splits, tmp_path / "trained", options)
    joined = [load_weights(run.weights("last")).network.relations.layers[2].weight for run in (grown, trained)]
    reads_new_units = [weight[:16, 72:75].abs().max().item() for weight in joined]  # 72 units carry a pair
    assert reads_new_units[0] < 1e-6 < 1e-4 < reads_new_units[1]
