"""Aggregation inside g (AVF-RN) equals a naive double loop, forward and backward; it trains and is saved."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rnlib.clevr.split import open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError
from rnlib.model import RelationNetwork, load_preset, load_weights
from rnlib.model import pair_sum as pair_sum_module
from rnlib.model.reference import naive_forward
from rnlib.training import Options, Recipe, train

SMALL = {"g_layers": [7, 6, 9, 5, 4], "f_layers": [9, 7], "lstm_hidden": 6, "word_embedding": 5, "image_size": 32}


def avf_network(aggregation: int, injection: int) -> RelationNetwork:
    torch.manual_seed(0)
    preset = load_preset("avf-fp", {**SMALL, "aggregation_layer": aggregation, "question_layer": injection})
    network = RelationNetwork(preset, clevr_v1()).double().eval()
    assert network.relations is not None
    with torch.no_grad():
        network.relations.pair_weights.normal_(generator=torch.Generator().manual_seed(1))
    return network


def inputs(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.rand(batch, 3, 32, 32, generator=generator, dtype=torch.float64),
        torch.randint(1, 83, (batch, 9), generator=generator),
    )


def outcome(network: RelationNetwork, value: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    (value * torch.linspace(-1, 1, value.numel(), dtype=torch.float64).view_as(value)).sum().backward()
    gradients = {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}
    return {"value": value.detach(), **gradients}


def double_loop(network: RelationNetwork, visual: Tensor, tokens: Tensor) -> Tensor:
    """One vector at a time: every pair through the layers before the aggregation, weighted, summed, then the rest."""
    preset, relations = network.preset, network.relations
    assert relations is not None
    outputs = []
    for objects, question in zip(network.objects(visual), network.question(tokens), strict=True):
        total, n = torch.zeros(preset.g_layers[preset.aggregation_layer], dtype=torch.float64), len(objects)
        for i, second in enumerate(objects):
            for j, first in enumerate(objects):
                hidden = torch.cat([first, second])
                for layer in relations.layers[: preset.aggregation_layer + 1]:
                    hidden = torch.relu(layer(hidden))
                total = total + relations.pair_weights[i * n + j] * hidden
        for index in range(preset.aggregation_layer + 1, len(relations.layers)):
            if index == preset.question_layer:
                total = torch.cat([total, question])
            total = torch.relu(relations.layers[index](total))
        outputs.append(network.answer(total[None])[0])
    return torch.stack(outputs)


@pytest.mark.parametrize(("aggregation", "injection"), [(0, 1), (2, 3), (2, 4), (3, 4)])
def test_values_and_gradients_equal_the_double_loop(aggregation: int, injection: int) -> None:
    network, (visual, tokens) = avf_network(aggregation, injection), inputs(3)
    expected = outcome(network, double_loop(network, visual, tokens))
    assert "relations.pair_weights" in expected
    for found in (outcome(network, network(visual, tokens)), outcome(network, naive_forward(network, visual, tokens))):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kept", [0, 3000, 1 << 30])
@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
def test_pieces_and_shared_scenes_change_nothing(piece: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pair_sum_module.PIECE, "cpu", piece)
    monkeypatch.setattr(pair_sum_module, "KEPT", {"cpu": kept})
    network, (visual, tokens) = avf_network(2, 3), inputs(7)
    scene = torch.tensor([2, 0, 6, 1, 2, 2, 5])
    expected = outcome(network, naive_forward(network, visual[scene], tokens))
    shared = outcome(network, network.answer_from_objects(network.objects(visual), tokens, scene))
    for name, value in expected.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-9, atol=1e-10)


def test_the_preset_is_the_published_one() -> None:
    preset = load_preset("avf-fp")
    assert preset.g_layers == (256, 256, 256, 512, 256, 256, 256) and preset.aggregation_layer == 3
    network = RelationNetwork(preset, clevr_v1())
    assert network.relations is not None and network.relations.pair_weights.shape == (64 * 64,)
    assert [network.relations.linear(index).in_features for index in range(7)] == [52, 256, 256, 256, 640, 256, 256]
    # Learned weights begin at 1: the plain sum.
    with torch.no_grad():
        objects = torch.rand(2, 64, 26)
        pairs = torch.relu(network.relations.linear(3)(network.relations.pair_inputs(objects, 3)))
        torch.testing.assert_close(network.relations.aggregate(objects), pairs.sum((1, 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "fields", [{"aggregation_layer": 4}, {"question_layer": 3}, {"objects": "state"}, {"aggregation_layer": -1}]
)
def test_a_wrong_aggregation_is_one_clear_error(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="aggregation_layer"):
        load_preset("avf-fp", fields)


def test_a_network_without_aggregation_has_none() -> None:
    network = RelationNetwork(load_preset("ir-fp", {"image_size": 32}), clevr_v1())
    assert network.relations is not None
    with pytest.raises(ValueError, match="after g"):
        network.relations.aggregate(torch.rand(1, 4, 26))
    avf = RelationNetwork(load_preset("avf-fp", {"image_size": 32, "question_layer": 5}), clevr_v1())
    assert avf.relations is not None
    with pytest.raises(ValueError, match="aggregated after layer 3"):
        avf.relations.pair_inputs(torch.rand(1, 4, 26), 4)


def test_it_trains_and_comes_back_from_disk(tiny_clevr: Path, tmp_path: Path) -> None:
    preset = load_preset("avf-fp", SMALL | {"aggregation_layer": 2, "question_layer": 3})
    splits = [open_split(tiny_clevr, name, images=32, verbose=False) for name in ("train", "val")]
    recipe = Recipe(epochs=2, batch_size=60, lr=1e-2, lr_gamma=1.0, group_questions=True)
    folder = train(preset, recipe, splits, tmp_path, Options(vocabulary=clevr_v1(), verbose=False))
    losses = folder.history()["train_loss"]
    assert losses.iloc[1] < losses.iloc[0]
    weights = load_weights(folder.weights("last"))
    assert weights.preset == preset and weights.network.relations is not None
    assert not torch.equal(weights.network.relations.pair_weights, torch.ones(4 * 4))
