"""The network computes what the paper's formula says, whatever way it is computed."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError, DataError
from rnlib.model import RelationNetwork, load_preset, shipped_presets, state_rows
from rnlib.model import pair_sum as pair_sum_module
from rnlib.model import question as question_module
from rnlib.model.diagram import network_diagram
from rnlib.model.reference import naive_forward as naive_batch

RELATIONAL = ["original-fp", "original-sd", "ir-fp", "ir-sd"]
SMALL = {"g_layers": [16, 12, 10, 8], "f_layers": [9, 7], "lstm_hidden": 6, "word_embedding": 5, "image_size": 32}


def small_network(name: str, **overrides: object) -> RelationNetwork:
    torch.manual_seed(0)
    return RelationNetwork(load_preset(name, {**SMALL, **overrides}), clevr_v1()).eval()


def random_inputs(network: RelationNetwork, batch: int, words: int = 9) -> tuple[Tensor, Tensor]:
    preset = network.preset
    generator = torch.Generator().manual_seed(1)
    if preset.objects == "pixels":
        visual = torch.rand(batch, 3, preset.image_size, preset.image_size, generator=generator)
    else:
        visual = torch.rand(batch, preset.state_rows, preset.object_size, generator=generator)
        visual[:, 5:] = 0
    return visual, torch.randint(1, 83, (batch, words), generator=generator)


def naive_objects(network: RelationNetwork, visual: Tensor) -> list[list[Tensor]]:
    """The objects of each input, one by one."""
    if network.preset.objects == "state":
        return [list(rows) for rows in visual]
    features = network.objects.features(visual)  # type: ignore[operator, union-attr]
    batch, _, rows, columns = features.shape
    scenes = []
    for b in range(batch):
        cells = []
        for y in range(rows):
            for x in range(columns):
                at = torch.tensor([-columns / 2 + x * columns / (columns - 1), -rows / 2 + y * rows / (rows - 1)])
                cells.append(torch.cat([features[b, :, y, x], at]))
        scenes.append(cells)
    return scenes


def naive_question(network: RelationNetwork, tokens: list[int]) -> Tensor:
    """As read in 2018: zero-padded on the right to 50, the whole row reversed, all of it read, last state taken."""
    encoder = network.question
    row = torch.tensor((tokens + [0] * (50 - len(tokens)))[::-1])
    _, (last, _) = encoder.lstm(encoder.embedding(row)[None])
    return last[0, 0]


def naive_forward(network: RelationNetwork, visual: Tensor, tokens: Tensor) -> Tensor:
    """Santoro et al. 2017, eq. 1, as a double loop over objects; each layer applied to one concatenated vector."""
    assert network.relations is not None
    outputs = []
    for objects, row in zip(naive_objects(network, visual), tokens.tolist(), strict=True):
        question = naive_question(network, [number for number in row if number])
        total = torch.zeros(network.preset.g_layers[-1])
        for second in objects:
            for first in objects:  # the 2018 implementation's first block is the object that varies fastest
                hidden = torch.cat([first, second])
                for index, layer in enumerate(network.relations.layers):
                    if index == network.preset.question_layer:
                        hidden = torch.cat([hidden, question])
                    hidden = torch.relu(layer(hidden))
                total = total + hidden
        first_layer, second_layer, last_layer = network.answer.layers
        hidden = torch.relu(second_layer(torch.relu(first_layer(total))))
        outputs.append(torch.log_softmax(last_layer(hidden), 0))
    return torch.stack(outputs)


@pytest.mark.parametrize("name", RELATIONAL)
def test_the_forward_pass_equals_a_naive_double_loop(name: str) -> None:
    network = small_network(name)
    visual, tokens = random_inputs(network, 3)
    with torch.no_grad():
        torch.testing.assert_close(
            network(visual, tokens), naive_forward(network, visual, tokens), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", ["original-fp", "ir-sd"])
def test_gradients_equal_those_of_the_naive_double_loop(name: str) -> None:
    network = small_network(name, g_layers=[6, 5, 4]).double()
    visual, tokens = random_inputs(network, 2)
    visual = visual.double()
    torch.set_default_dtype(torch.float64)
    try:
        ours = torch.autograd.grad(network(visual, tokens)[:, 3].sum(), list(network.parameters()))
        naive = torch.autograd.grad(naive_forward(network, visual, tokens)[:, 3].sum(), list(network.parameters()))
    finally:
        torch.set_default_dtype(torch.float32)
    for mine, theirs in zip(ours, naive, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*RELATIONAL, "question-only", "cnn-lstm", "detect-fp"])
def test_an_answer_does_not_depend_on_the_batch(name: str) -> None:
    network = small_network(name)
    if name == "question-only":
        visual = torch.zeros(65, 1)
        tokens = torch.randint(1, 83, (65, 40), generator=torch.Generator().manual_seed(1))
    else:
        visual, tokens = random_inputs(network, 65, words=40)
    tokens[0, 7:] = 0  # one short question among 64 longer ones
    with torch.no_grad():
        together = network(visual, tokens)
        alone = network(visual[:1], tokens[:1, :7])
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("together", [1, 3, 64])
def test_questions_of_all_lengths_are_read_as_the_padded_rows(
    reverse: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_module, "TOGETHER", together)
    network = small_network("original-sd", reverse_question=reverse, question_length=12)
    _, tokens = random_inputs(network, 12, words=12)
    for row, count in enumerate((4, 12, 1, 7, 7, 12, 3, 9, 11, 2, 5, 1)):
        tokens[row, count:] = 0
    encoder = network.question
    states, _ = encoder.lstm(encoder.embedding(tokens.flip(1) if reverse else tokens))
    assert_same(outcome(network, encoder(tokens)), outcome(network, states[:, -1]), 1e-5)


def test_reading_all_questions_together_gives_the_same() -> None:
    network = small_network("original-sd", question_length=12)
    encoder = network.question
    for words in (12, 9):
        _, tokens = random_inputs(network, 4, words=words)
        for row, count in enumerate((4, 9, 1, words)):
            tokens[row, count:] = 0
        assert_same(outcome(network, encoder.read_together(tokens)), outcome(network, encoder(tokens)), 1e-5)
    with pytest.raises(ConfigError, match="at most 12 words"):
        encoder.read_together(torch.ones(1, 13, dtype=torch.long))


class NoQuestionToTheDevice(TorchDispatchMode):
    """Refuses what makes a processor wait for its GPU: values it needs to know, shapes that depend on values."""

    REFUSED = ("_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "is_nonzero", "equal")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = function.overloadpacket.__name__
        masks = [a for a in args[1] if a is not None and a.dtype == torch.bool] if name == "index" else []
        assert name not in self.REFUSED and not masks, f"{name} waits for the device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["original-fp", "ir-fp"])
def test_a_training_step_from_pixels_never_waits_for_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network(name).train()
    monkeypatch.setattr(network.question, "forward", network.question.read_together)  # as on a GPU
    visual, tokens = random_inputs(network, 5)
    tokens, scene = tokens[[0, 1, 2, 3, 4, 0]], torch.tensor([0, 0, 1, 2, 3, 4])
    with NoQuestionToTheDevice():
        answers = network.answer_from_objects(network.objects(visual), tokens, scene)
        torch.nn.functional.nll_loss(answers, torch.zeros(6, dtype=torch.long)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    assert all(parameter.grad is not None for parameter in network.parameters())
    with pytest.raises(AssertionError, match="waits for the device"), NoQuestionToTheDevice():
        bool(answers.sum() > 0)


@pytest.mark.parametrize("name", RELATIONAL)
def test_the_naive_batch_equals_the_naive_double_loop(name: str) -> None:
    network = small_network(name)
    visual, tokens = random_inputs(network, 3)
    with torch.no_grad():
        torch.testing.assert_close(
            naive_batch(network, visual, tokens), naive_forward(network, visual, tokens), rtol=1e-5, atol=1e-5
        )


def outcome(network: RelationNetwork, value: Tensor) -> tuple[Tensor, list[Tensor]]:
    """A result, and the gradients of a weighted sum of it."""
    network.zero_grad()
    (value * torch.linspace(-1, 1, value.numel()).view_as(value)).sum().backward()
    return value, [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


def assert_same(found: tuple[Tensor, list[Tensor]], expected: tuple[Tensor, list[Tensor]], tolerance: float) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance)
    assert len(found[1]) == len(expected[1])
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance * max(1, float(theirs.abs().max())))


@pytest.mark.parametrize("kept", [0, 5000, 1 << 30])
@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
@pytest.mark.parametrize("injection", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["original-fp", "original-sd"])
def test_pieces_of_any_size_kept_or_computed_again_give_the_naive_values_and_gradients(
    kind: str, injection: int, piece: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pair_sum_module.PIECE, "cpu", piece)
    monkeypatch.setattr(pair_sum_module, "KEPT", {"cpu": kept})
    network = small_network(kind, question_layer=injection).double()
    visual, tokens = random_inputs(network, 7)
    visual = visual.double()
    if kind == "original-sd":
        for row, count in enumerate((3, 5, 3, 1, 12, 11, 5)):
            visual[row, count:] = 0
    scene = torch.tensor([2, 0, 6, 1, 2, 2, 5])
    expected = outcome(network, naive_batch(network, visual[scene], tokens))
    assert_same(outcome(network, network(visual[scene], tokens)), expected, 1e-10)
    shared = network.answer_from_objects(network.objects(visual), tokens, scene)
    assert_same(outcome(network, shared), expected, 1e-10)


class CutGradients(TorchDispatchMode):
    """Counts the numbers in gradients of slices."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.slice_backward.default:
            self.numbers += result.numel()
        return result


def test_gradients_of_pieces_grow_with_the_batch_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pair_sum_module.PIECE, "cpu", 200)
    network = small_network("original-sd", mask_padding=True)
    numbers = []
    for batch in (64, 512):
        visual, tokens = random_inputs(network, batch)
        with CutGradients() as counted:
            network(visual, tokens).sum().backward()
        numbers.append(counted.numbers)
    assert 0 < numbers[1] < 10 * numbers[0]


@pytest.mark.parametrize("name", RELATIONAL)
def test_bfloat16_products_stay_near(name: str) -> None:
    network = small_network(name)
    visual, tokens = random_inputs(network, 6)
    expected = outcome(network, network(visual, tokens))
    network.set_precision("bf16")
    found = outcome(network, network(visual, tokens))
    assert not torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[0], expected[0], rtol=0.03, atol=0.03)
    names = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    for name, mine, theirs in zip(names, found[1], expected[1], strict=True):
        assert mine.dtype == torch.float32
        # Gradients of the convolutions come through four layers more, each rounded.
        most = 0.12 if name.startswith("objects.") else 0.06
        assert (mine - theirs).norm() <= most * theirs.norm() + 1e-6, name


def test_masked_padding_equals_a_scene_without_padding() -> None:
    network = small_network("original-sd", mask_padding=True)
    visual, tokens = random_inputs(network, 2)  # five objects of twelve rows
    with torch.no_grad():
        torch.testing.assert_close(network(visual, tokens), network(visual[:, :5], tokens), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cnn-lstm", "medium-sd"])
def test_without_relations_f_reads_all_objects_one_after_another_and_the_question(name: str) -> None:
    network = small_network(name, relations=False, image_size=96)
    visual, tokens = random_inputs(network, 3)
    scene = torch.tensor([0, 0, 1, 2, 2])
    tokens = tokens[scene]
    with torch.no_grad():
        found = network.answer_from_objects(network.objects(visual), tokens, scene)
        for row, question in enumerate(tokens):
            objects = naive_objects(network, visual)[int(scene[row])]
            value = torch.cat([*objects, naive_question(network, question.tolist())])
            first, second, last = network.answer.layers
            expected = torch.log_softmax(last(torch.relu(second(torch.relu(first(value))))), 0)
            torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-5)
    assert network.relations is None


def test_without_relations_rows_of_states_have_their_places() -> None:
    """f reads a fixed number of rows, whatever the scenes of a split hold and whether padding would be masked."""
    preset = load_preset("medium-sd", {"relations": False})
    codes = np.zeros((2, 10, 4), np.uint8)
    codes[:, :3] = 1
    assert state_rows(preset, np.ones((2, 10, 3), np.float32), codes).shape[1] == preset.state_rows


def test_question_free_layers_give_pair_features_whatever_is_asked() -> None:
    network = small_network("ir-fp")
    visual, _ = random_inputs(network, 2)
    assert network.relations is not None
    with torch.no_grad():
        objects = network.objects(visual)
        free = network.relations.pair_inputs(objects, 2)
        hidden = torch.cat([objects[1, 3], objects[1, 0]])  # row i = 0, column j = 3
        for layer in network.relations.layers[:2]:
            hidden = torch.relu(layer(hidden))
    assert free.shape == (2, 4, 4, 12)
    torch.testing.assert_close(free[1, 0, 3], hidden)
    with pytest.raises(ValueError, match="later features depend on the question"):
        network.relations.pair_inputs(objects, 3)


@given(st.integers(0, 2**32 - 1))
def test_state_rows_hold_the_scene(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 11))
    coordinates = np.zeros((1, 10, 3), np.float32)
    coordinates[0, :count] = generator.uniform(-3, 3, (count, 3))
    codes = np.zeros((1, 10, 4), np.uint8)
    codes[0, :count] = generator.integers(1, [9, 3, 4, 3], (count, 4))
    rows = state_rows(load_preset("original-sd"), coordinates, codes).numpy()
    assert rows.shape == (1, 12, 7)
    np.testing.assert_array_equal(rows[0, :count, 3:], codes[0, :count])
    assert not rows[0, count:].any()
    flags = state_rows(load_preset("original-sd", {"state_attributes": "one-hot"}), coordinates, codes).numpy()
    assert flags.shape == (1, 12, 18)
    assert (flags[0, :count, 3:].sum(1) == 4).all() and not flags[0, count:].any()
    starts = np.array([0, 8, 10, 13])  # the first flag of colour, material, shape, size
    assert all(
        flags[0, row, 3 + start + code - 1] == 1
        for row in range(count)
        for start, code in zip(starts, codes[0, row], strict=True)
    )


def test_more_objects_than_rows_are_refused() -> None:
    coordinates, codes = np.zeros((1, 10, 3), np.float32), np.ones((1, 10, 4), np.uint8)
    with pytest.raises(DataError, match=r"at most 6 objects.*found one of 10"):
        state_rows(load_preset("original-sd", {"state_rows": 6}), coordinates, codes)


def test_too_long_a_question_is_refused() -> None:
    network = small_network("original-sd", question_length=4)
    visual, tokens = random_inputs(network, 1, words=5)
    with pytest.raises(ConfigError, match=r"at most 4 words.*found one of 5"):
        network(visual, tokens)


def test_the_shipped_presets_are_the_seeds() -> None:
    sizes = {name: RelationNetwork(preset, clevr_v1()) for name, preset in shipped_presets().items()}
    assert sizes["original-fp"].relations is not None
    assert [layer.in_features for layer in sizes["original-fp"].relations.layers if isinstance(layer, nn.Linear)] == [
        180,
        256,
        256,
        256,
    ]
    assert sizes["ir-sd"].relations is not None
    assert [layer.in_features for layer in sizes["ir-sd"].relations.layers if isinstance(layer, nn.Linear)] == [
        14,
        512,
        768,
        512,
    ]
    assert shipped_presets()["original-sd"].f_layers == (512, 1024)
    assert sizes["question-only"].relations is None
    assert sizes["cnn-lstm"].relations is None
    assert sizes["cnn-lstm"].answer.layers[0].in_features == 16 * 66 + 128


def test_a_preset_comes_from_a_file_and_takes_overrides(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"objects": "state", "g_layers": [32, 32], "question_layer": 1}))
    preset = load_preset(file, {"dropout": "0.25"})
    assert (preset.name, preset.question_layer, preset.dropout) == ("mine", 1, 0.25)


def test_the_seeds_own_config_file_is_read(tmp_path: Path) -> None:
    entry = {
        "state_description": True, "g_layers": [512, 512, 512, 512], "question_injection_position": 2, "f_fc1": 512,
        "f_fc2": 1024, "dropout": 0.05, "lstm_hidden": 256, "lstm_word_emb": 32, "rl_in_size": 14,
    }  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"hyperparams": {"ir-sd": entry, "odd": {**entry, "aggregation_position": 4}}}))
    assert load_preset(f"{file}#ir-sd") == load_preset("ir-sd")
    with pytest.raises(ConfigError, match="holds the networks ir-sd, odd: expected one of them after the path"):
        load_preset(file)
    with pytest.raises(ConfigError, match="aggregation_position"):
        load_preset(f"{file}#odd")


@pytest.mark.parametrize(("size", "objects"), [(14, "state"), (52, "pixels")])
def test_of_a_config_with_one_network_the_size_of_its_objects_says_what_they_are(
    clevr_cases: Path, tmp_path: Path, size: int, objects: str
) -> None:
    case = json.loads((clevr_cases / "config_one_network" / "config.json").read_text())
    [entry] = case["hyperparams"].values()
    entry["rl_in_size"] = size
    file = tmp_path / "config.json"
    file.write_text(json.dumps(case))
    assert (load_preset(file).objects, load_preset(file).g_layers) == (objects, (64, 64))
    entry["rl_in_size"] = 15
    file.write_text(json.dumps(case))
    with pytest.raises(ConfigError, match="expected rl_in_size 14"):
        load_preset(file)


@pytest.mark.parametrize(
    ("which", "overrides", "message"),
    [
        ("orginal-fp", {}, "no preset 'orginal-fp': expected one of original-fp"),
        ("original-fp", {"droput": 0.1}, "droput"),
        ("original-fp", {"dropout": 1.5}, "dropout"),
        ("original-fp", {"question_layer": 4}, "below the 4 layers"),
        ("original-sd", {"g_layers": []}, "at least one layer"),
    ],
)
def test_a_wrong_preset_is_one_clear_error(which: str, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_preset(which, overrides)


# The drawing


@pytest.mark.parametrize("name", ["original-sd", "ir-fp"])
def test_the_drawing_has_the_shapes_of_the_network(name: str) -> None:
    network = small_network(name)
    drawing = network_diagram(network.preset, 3, "Is <that> a cube?", 5, "no & yes")
    root = ElementTree.fromstring(drawing)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    size = network.preset.object_size
    assert {f"3 × {size}", f"9 × ({size} + {size} + 6)", "9 × 8", "8", "5 words → LSTM → q: 6"} <= set(texts)
    assert {"Is <that> a cube?", "“no & yes”", "9 → 7 → 28"} <= set(texts)
    assert any("(q joins at layer 2)" in str(text) for text in texts) == (name == "ir-fp")
    first = network.relations.linear(0)  # type: ignore[union-attr]
    assert first.in_features == 2 * size + (6 if name == "original-sd" else 0)
    with pytest.raises(ConfigError, match="sums g over pairs, found 'question-only'"):
        network_diagram(load_preset("question-only"), 3, "Why?", 2, "no")
