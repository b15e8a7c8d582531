"""Contributions of pairs: the sums they must give, and the objects that they must find where the answer is known."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnlib.clevr import open_split
from rnlib.clevr.constants import SHAPES, VIEW
from rnlib.clevr.schema import read_questions, read_scenes
from rnlib.clevr.split import Split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError
from rnlib.evaluation import predict
from rnlib.evaluation.attribution import (
    COMPLETE,
    Attribution,
    PairMap,
    leave_one_out,
    pair_attribution,
    pair_map,
)
from rnlib.evaluation.examples import answer_of
from rnlib.evaluation.plots.examples import plot_explained, plot_pair_matrix
from rnlib.model import NetworkInputs, RelationNetwork, Weights, load_preset, load_weights

SMALL = {"g_layers": [9, 8, 7], "f_layers": [6, 5], "lstm_hidden": 6, "word_embedding": 5, "image_size": 32}
MASKED = {"mask_padding": True, "state_rows": 6}
CASES = {
    "original-fp": ("original-fp", {}),
    "ir-fp": ("ir-fp", {}),
    "ir-sd": ("ir-sd", {"state_rows": 6}),
    "original-sd masked": ("original-sd", MASKED),
}


def a_network(case: str) -> tuple[RelationNetwork, Tensor, Tensor]:
    """An untrained network in float64, with inputs of one question; three objects where it reads states."""
    name, overrides = CASES[case]
    torch.manual_seed(0)
    network = RelationNetwork(load_preset(name, {**SMALL, **overrides}), clevr_v1()).eval().double()
    if network.preset.objects == "pixels":
        visual = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    else:
        visual = torch.rand(1, 6, network.preset.object_size, dtype=torch.float64)
        visual[:, 3:] = 0
    return network, visual, torch.randint(1, 83, (1, 9))


def g(network: RelationNetwork, first: Tensor, second: Tensor, question: Tensor) -> Tensor:
    """g of one pair, layer by layer, as in the paper."""
    assert network.relations is not None
    hidden = torch.cat([first, second])
    for index, layer in enumerate(network.relations.layers):
        if index == network.preset.question_layer:
            hidden = torch.cat([hidden, question])
        hidden = torch.relu(layer(hidden))
    return hidden


def summed_pairs(network: RelationNetwork, visual: Tensor, tokens: Tensor) -> tuple[dict[tuple[int, int], Tensor], int]:
    """g of each pair that the network sums, one at a time, and the number of objects."""
    with torch.no_grad():
        rows, question = network.objects(visual)[0], network.question(tokens)[0]
        objects = len(rows) if network.preset.objects == "pixels" else 3
        used = range(objects if network.preset.mask_padding else len(rows))
        return {(i, j): g(network, rows[i], rows[j], question) for i in used for j in used}, objects


def margin(network: RelationNetwork, total: Tensor, answer: int, against: int) -> float:
    with torch.no_grad():
        values = network.answer(total[None])[0]
    return float(values[answer] - values[against])


def found_in(network: RelationNetwork, visual: Tensor, tokens: Tensor, **answers: int) -> Attribution:
    with torch.no_grad():
        objects = network.objects(visual)
    return pair_attribution(network, objects, tokens, **answers)


@pytest.mark.parametrize("case", CASES)
def test_a_share_is_the_pairs_part_of_the_way_from_no_scene_to_the_whole_sum(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By finite differences: the margin's slope along the pair's output, averaged over the way."""
    monkeypatch.setattr("rnlib.evaluation.attribution.STEPS", 16)
    network, visual, tokens = a_network(case)
    found = found_in(network, visual, tokens)
    outputs, objects = summed_pairs(network, visual, tokens)
    total, step, places = torch.stack(list(outputs.values())).sum(0), 1e-6, (np.arange(16) + 0.5) / 16
    for (i, j), output in list(outputs.items())[:: max(len(outputs) // 4, 1)]:
        if i >= objects or j >= objects:
            continue
        slopes = []
        for place in places:
            above, below = (
                margin(network, place * total + h * output, found.answer, found.against) for h in (step, -step)
            )
            slopes.append((above - below) / (2 * step))
        assert found.pairs[i, j] == pytest.approx(np.mean(slopes), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_the_margin_is_what_there_is_without_a_scene_and_the_shares(case: str) -> None:
    network, visual, tokens = a_network(case)
    for scale in (1, 300):  # nearly straight, and with bends on the way
        with torch.no_grad():
            network.answer.layers[0].weight *= scale
        found = found_in(network, visual, tokens)
        total = torch.stack(list(summed_pairs(network, visual, tokens)[0].values())).sum(0)
        assert found.without_scene == pytest.approx(margin(network, 0 * total, found.answer, found.against))
        assert found.margin == pytest.approx(margin(network, total, found.answer, found.against))
        missed = found.margin - found.without_scene - found.pairs.sum() - found.padding
        assert abs(missed) < COMPLETE
        assert found.by_object.sum() == pytest.approx(found.pairs.sum())
        assert (found.padding == 0) == (case in ("original-fp", "ir-fp", "original-sd masked"))


def test_more_steps_are_taken_until_the_shares_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    network, visual, tokens = a_network("ir-sd")
    with torch.no_grad():
        network.answer.layers[0].weight *= 300
        network.answer.layers[0].bias.uniform_(-99, 99)
    missed = []
    for most in (1, 2**14):
        monkeypatch.setattr("rnlib.evaluation.attribution.STEPS", 1)
        monkeypatch.setattr("rnlib.evaluation.attribution.MOST_STEPS", most)
        found = found_in(network, visual, tokens)
        missed.append(abs(found.margin - found.without_scene - found.pairs.sum() - found.padding))
    assert missed[0] > COMPLETE > missed[1]


@pytest.mark.parametrize(
    "name",
    ["detect-fp", "medium-sd", "medium-ir-sd", "original_fp_epoch_493.pth", "ir_fp_epoch_312.pth"],
)
def test_the_shares_of_released_networks_are_complete_on_all_families(
    name: str, clevr_official: Path, request: pytest.FixtureRequest
) -> None:
    """To a tenth of a nat, and the title's figures add up, on a question of each of the 90 families."""
    weights = load_weights(request.getfixturevalue("seed_weights") / name if name.endswith(".pth") else name)
    split = open_split(clevr_official, "val", images=weights.preset.picture_size, verbose=False)
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
    families, firsts = np.unique(split.families, return_index=True)
    assert len(families) == 90
    for question in firsts:
        words = inputs.tokens[question, : int(split.lengths[question])]
        found = pair_map(weights, inputs, int(split.image_of_question[question]), words)
        assert found is not None
        shares = found.attribution
        missed = shares.margin - shares.without_scene - shares.pairs.sum() - shares.padding
        assert abs(missed) < 0.1
        whole, *parts = map(float, re.findall(r"[+-]\d+\.\d", found.title))
        assert whole == pytest.approx(sum(parts)) == pytest.approx(shares.margin, abs=0.051)


@pytest.mark.parametrize("case", CASES)
def test_leaving_a_pair_out_is_the_network_without_that_pair(case: str) -> None:
    network, visual, tokens = a_network(case)
    found = found_in(network, visual, tokens)
    with torch.no_grad():
        left_out = leave_one_out(network, network.objects(visual), tokens, found.answer, found.against)
    outputs, objects = summed_pairs(network, visual, tokens)
    assert left_out.shape == (objects, objects)
    whole = margin(network, sum(outputs.values(), torch.tensor(0.0)), found.answer, found.against)
    assert found.margin == pytest.approx(whole)
    for i in range(objects):
        for j in range(objects):
            others = torch.stack([output for pair, output in outputs.items() if pair != (i, j)]).sum(0)
            without = margin(network, others, found.answer, found.against)
            assert left_out[i, j] == pytest.approx(whole - without, rel=1e-6, abs=1e-9)


def test_the_log_probabilities_and_the_answers_are_the_networks() -> None:
    network, visual, tokens = a_network("ir-sd")
    with torch.no_grad():
        expected = network(visual, tokens)[0].numpy()
    found = found_in(network, visual, tokens)
    np.testing.assert_allclose(found.log_probability, expected, rtol=1e-9)
    assert [found.answer, found.against] == np.argsort(-expected)[:2].tolist()
    assert found.margin > 0
    other = found_in(network, visual, tokens, answer=found.against, against=found.answer)
    np.testing.assert_allclose(other.pairs, -found.pairs)
    assert other.without_scene == -found.without_scene
    assert found_in(network, visual, tokens, against=found.answer).against == found.against


def test_both_orders_of_a_pair_count_as_one_when_the_strongest_are_sought() -> None:
    pairs = np.array([[1.0, -3.0, 0.5], [-4.0, 2.0, 0.0], [0.5, 0.0, 6.0]])
    found = Attribution(0, 1, np.array([-0.1, -2.0]), 0.0, pairs, 0.0)
    assert found.strongest(4) == [(0, 1, -7.0), (2, 2, 6.0), (1, 1, 2.0), (0, 0, 1.0)]
    assert len(found.strongest(99)) == 6
    assert found.by_object.tolist() == [-2.0, -1.5, 6.5]
    assert found.margin == pytest.approx(1.9)


def test_a_network_without_pairs_has_no_contributions(tiny_clevr: Path) -> None:
    network = RelationNetwork(load_preset("question-only"), clevr_v1())
    with pytest.raises(ConfigError, match="reads the question alone"):
        pair_attribution(network, torch.zeros(1, 1, 1), torch.ones(1, 3, dtype=torch.long))
    split = open_split(tiny_clevr, "val", images=None, verbose=False)
    weights = Weights(network, network.preset, clevr_v1())
    inputs = NetworkInputs.of(split, network.preset, clevr_v1())
    assert pair_map(weights, inputs, 0, np.array([1, 2, 3])) is None


# Known answers: "What color is the <shape>?" is carried by the pairs of that very object.


def the_one(split: Split, question: int) -> int:
    """The object that "What color is the <shape>?" is about."""
    row, shape = int(split.image_of_question[question]), split.question_text(question).rstrip("?").split()[-1]
    (target,) = np.flatnonzero(split.codes[row, :, 2] == SHAPES.index(shape) + 1)
    return int(target)


def explained(weights: Weights, split: Split) -> list[tuple[int, PairMap]]:
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
    maps = []
    for question in range(split.n_questions):
        words = inputs.tokens[question, : int(split.lengths[question])]
        found = pair_map(weights, inputs, int(split.image_of_question[question]), words)
        assert found is not None
        maps.append((question, found))
    return maps


@pytest.mark.slow
def test_a_question_about_one_object_lights_up_its_pairs(color_questions: Path, color_weights: Path) -> None:
    split = open_split(color_questions, "val", images=None, verbose=False)
    weights = load_weights(color_weights)
    assert predict(weights, split, verbose=False)["correct"].mean() > 0.95  # well trained, or nothing follows
    best_object, best_pair, share, places = [], [], [], []
    for question, found in explained(weights, split):
        target = the_one(split, question)
        shares, pairs = found.attribution.by_object, found.attribution.pairs
        best_object.append(int(shares.argmax()) == target)
        best_pair.append(target in np.unravel_index(pairs.argmax(), pairs.shape))
        share.append(shares[target] / pairs.sum())
        places.append(found.places[target] * VIEW)
        row = int(split.image_of_question[question])
        np.testing.assert_allclose(places[-1], split.pixel_coords[row, target, :2], rtol=1e-5)
    assert np.mean(best_object) > 0.95
    assert np.mean(best_pair) > 0.95
    assert np.median(share) > 0.7  # of all that speaks for the answer, with two or three objects in the scene


@pytest.mark.slow
def test_leaving_out_agrees_with_the_shares_on_a_trained_network(color_questions: Path, color_weights: Path) -> None:
    split = open_split(color_questions, "val", images=None, verbose=False)
    weights = load_weights(color_weights)
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
    agreement = []
    for question, found in explained(weights, split)[:40]:
        visual, tokens = inputs.visual(split.image_of_question[[question]]), inputs.question(np.array([question]))
        pairs = found.attribution
        left_out = leave_one_out(weights.network, visual, tokens, pairs.answer, pairs.against)  # rows are objects
        agreement.append(np.corrcoef(left_out.ravel(), pairs.pairs.ravel())[0, 1])
    assert np.median(agreement) > 0.95


@pytest.mark.slow
def test_released_weights_look_where_the_object_is(clevr_official: Path, seed_weights: Path) -> None:
    """Zero-hop queries on official pictures: the brightest of 64 cells is within one of the object's centre."""
    split = open_split(clevr_official, "val", verbose=False)
    weights = load_weights(seed_weights / "original_fp_epoch_493.pth")
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
    scenes = {scene.image_index: scene for scene in read_scenes(split.directory.scenes("val"))}
    near = []
    for number, question in enumerate(read_questions(split.directory.questions("val"))):
        names = [node.name for node in question.program or []]
        if len(near) == 20:
            break
        if not names[-1].startswith("query") or {"relate", "intersect", "union"} & set(names) or len(names) > 7:
            continue
        if any(name.startswith("same") for name in names):
            continue
        objects = scenes[question.image_index].objects
        for node in question.program or []:
            if node.name.startswith("filter"):
                objects = [item for item in objects if getattr(item, node.name[7:]) == node.value_inputs[0]]
        (target,) = objects
        words = inputs.tokens[number, : int(split.lengths[number])]
        found = pair_map(weights, inputs, int(split.image_of_question[number]), words)
        assert found is not None and found.cells == (8, 8)
        if found.answer == question.answer_word:
            place = found.places[found.attribution.by_object.argmax()] * 8
            centre = np.array(target.pixel_coords[:2]) / VIEW * 8
            near.append(float(np.abs(place - centre).max()) <= 1)
    assert len(near) == 20
    assert np.mean(near) >= 0.75  # a cell drawn at random: 0.06


def test_figures_of_an_explained_answer(tiny_clevr: Path) -> None:
    split = open_split(tiny_clevr, "val", images=32, verbose=False)
    for name in ("ir-fp", "ir-sd", "question-only"):
        torch.manual_seed(0)
        preset = load_preset(name, SMALL)
        weights = Weights(RelationNetwork(preset, clevr_v1()).eval(), preset, clevr_v1(), name=name)
        answer = answer_of(predict(weights, split, verbose=False), split, 0)
        inputs = NetworkInputs.of(split, preset, clevr_v1())
        pairs = pair_map(weights, inputs, 0, inputs.tokens[0, : int(split.lengths[0])], answer.truth)
        figure = plot_explained(answer, pairs)
        if pairs is None:
            assert name == "question-only" and len(figure.axes) == 2
            continue
        assert (pairs.answer, pairs.against) == (answer.given, answer.truth)
        assert f"evidence for “{answer.given}” over “{answer.truth}”" in figure.axes[1].get_title(loc="left").replace(
            "\n", " "
        )
        assert ((pairs.places > 0) & (pairs.places < 1)).all()
        lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
        assert len(lines) == sum(i != j for i, j, _ in pairs.attribution.strongest(6))
        with torch.no_grad():
            row = weights.network.objects(inputs.visual(np.array([0]))), inputs.question(np.array([0]))
        found = pairs.attribution
        left_out = leave_one_out(weights.network, *row, found.answer, found.against)
        shown = [
            axes.collections[0].get_array().reshape(found.pairs.shape)
            for axes in plot_pair_matrix(pairs, left_out).axes[:2]
        ]
        np.testing.assert_allclose(shown[0], found.pairs)
        np.testing.assert_allclose(shown[1], left_out)


def test_the_fixture_asks_only_about_single_objects(color_questions: Path) -> None:
    questions = json.loads((color_questions / "questions/CLEVR_val_questions.json").read_text())["questions"]
    assert len(questions) > 50 and all(question["question"].startswith("What color is the ") for question in questions)
