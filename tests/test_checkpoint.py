"""Weights keep their meaning on disk, and wrong files are one clear error."""

import json
from pathlib import Path

import msgspec
import pytest
import torch

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import WeightsError
from rnlib.model import (
    RelationNetwork,
    import_mesnico_weights,
    init_convolutions,
    init_question,
    load_preset,
    load_weights,
    save_weights,
)
from rnlib.model import pretrained as pretrained_module

SMALL = {"g_layers": [16, 12, 10, 8], "f_layers": [9, 7], "lstm_hidden": 6, "word_embedding": 5}


def network_of(name: str, seed: int = 0) -> RelationNetwork:
    torch.manual_seed(seed)
    return RelationNetwork(load_preset(name, SMALL), clevr_v1())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_weights(
        tmp_path / "w.safetensors", network_of("ir-fp"), clevr_v1(), metrics={"a": 1}, provenance={"b": 2}
    )


def seed_dictionary(network: RelationNetwork) -> dict[str, torch.Tensor]:
    """The network's tensors under the 2018 implementation's keys, as its training script saved them."""
    names = {}
    for key, tensor in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        parts = key.split(".")
        if key.startswith("objects.convolutions"):
            name = f"conv.conv{int(parts[2]) + 1}.{parts[3]}"
        elif key.startswith("objects.norms"):
            name = f"conv.batchNorm{int(parts[2]) + 1}.{parts[3]}"
        elif key.startswith("question.embedding"):
            name = "text.wembedding.weight"
        elif key.startswith("question.lstm"):
            name = f"text.lstm.{parts[2]}"
        elif key.startswith("relations.layers"):
            name = f"rl.g_layers.{parts[2]}.{parts[3]}"
        else:
            name = f"rl.f_fc{int(parts[2]) + 1}.{parts[3]}"
        names["module." + name] = tensor
    return names


def test_weights_survive_the_disk(saved: Path) -> None:
    weights = load_weights(saved)
    assert (weights.info["metrics"], weights.info["provenance"]) == ({"a": 1}, {"b": 2})
    assert weights.vocabulary == clevr_v1() and weights.preset == load_preset("ir-fp", SMALL)
    for name, tensor in network_of("ir-fp").state_dict().items():
        torch.testing.assert_close(weights.network.state_dict()[name], tensor, rtol=0, atol=0)


def test_weights_without_their_json(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"has no w.json beside it.*Copy both files"):
        load_weights(saved)


def test_weights_whose_json_is_damaged(saved: Path) -> None:
    saved.with_suffix(".json").write_text('{"format": "rnlib-weights-1"')
    with pytest.raises(WeightsError, match=r"w.json is not valid JSON"):
        load_weights(saved)
    saved.with_suffix(".json").write_text('{"format": "rnlib-weights-1"}')
    with pytest.raises(WeightsError, match=r"does not describe weights.*missing required field `preset`"):
        load_weights(saved)


def test_a_damaged_or_exchanged_file_is_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(WeightsError, match="is not the file its JSON describes"):
        load_weights(saved)


def test_weights_of_another_preset(saved: Path) -> None:
    sidecar = saved.with_suffix(".json")
    info = json.loads(sidecar.read_text())
    info["preset"]["question_layer"] = 0
    sidecar.write_text(json.dumps(info))
    with pytest.raises(WeightsError, match=r"does not fit the preset 'ir-fp'.*relations.layers.0.weight has shape"):
        load_weights(saved)


def test_no_such_file_and_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="found no such file"):
        load_weights(tmp_path / "w.safetensors")
    (tmp_path / "w.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"expected weights in a file NAME.safetensors.*w.bin"):
        load_weights(tmp_path / "w.bin")


def test_pth_files_are_renamed_and_their_preset_inferred(tmp_path: Path) -> None:
    for name in ("original-fp", "original-sd", "ir-fp", "ir-sd"):
        network = network_of(name).eval()
        torch.save(seed_dictionary(network), tmp_path / "mine.pth")
        weights = import_mesnico_weights(tmp_path / "mine.pth", tmp_path / "mine.safetensors")
        assert weights.preset.name == name and weights.preset.g_layers == (16, 12, 10, 8)
        assert "not one of the released files" in weights.info["provenance"]["note"]
        again = load_weights(tmp_path / "mine.safetensors")
        tokens = torch.tensor([[3, 4, 5]])
        visual = torch.rand(1, 3, 128, 128) if name.endswith("fp") else torch.rand(1, 12, 7)
        with torch.no_grad():
            torch.testing.assert_close(again.network(visual, tokens), network(visual, tokens))


def test_a_pth_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    torch.save({"module.conv.conv1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_other_pth_files_are_refused(tmp_path: Path) -> None:
    network = network_of("original-fp")
    file = tmp_path / "w.pth"
    (file).write_bytes(b"not torch")
    with pytest.raises(WeightsError, match=r"cannot be read as a .pth file"):
        load_weights(file)
    torch.save([torch.zeros(1)], file)
    with pytest.raises(WeightsError, match="dictionary of tensors"):
        load_weights(file)
    torch.save({"module.encoder.weight": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match=r"'module.encoder.weight' is not one of"):
        load_weights(file)
    tensors = seed_dictionary(network)
    del tensors["module.rl.g_layers.2.weight"]
    torch.save(tensors, file)
    with pytest.raises(WeightsError, match=r"w.pth"):
        load_weights(file)
    tensors = seed_dictionary(network)
    tensors["module.text.wembedding.weight"] = torch.zeros(60, 5)
    torch.save(tensors, file)
    with pytest.raises(WeightsError, match=r"expected 82 words and 28 answers.*59"):
        load_weights(file)


@pytest.mark.parametrize(
    ("file", "preset"), [("original_fp_epoch_493.pth", "original-fp"), ("ir_fp_epoch_312.pth", "ir-fp")]
)
def test_the_released_weights_are_known(seed_weights: Path, tmp_path: Path, file: str, preset: str) -> None:
    weights = import_mesnico_weights(seed_weights / file, tmp_path / "w.safetensors")
    assert weights.preset == load_preset(preset)
    assert weights.info["provenance"]["note"] == f"the released {file}, sha256 verified"
    for tensor in weights.network.state_dict().values():  # denormal numbers make processors crawl
        assert not ((tensor != 0) & (tensor.abs() < 1.17e-38)).any()


def test_a_file_with_a_released_name_but_other_content_is_not_called_verified(tmp_path: Path) -> None:
    torch.save(seed_dictionary(network_of("original-fp")), tmp_path / "original_fp_epoch_493.pth")
    note = load_weights(tmp_path / "original_fp_epoch_493.pth").info["provenance"]["note"]
    assert "another sha256" in note and "not verified" in note


def test_convolutions_can_begin_as_those_of_others(saved: Path) -> None:
    network = network_of("original-fp", seed=5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    init_convolutions(network, saved)
    source = load_weights(saved).network.state_dict()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, source[name] if name.startswith("objects.") else before[name])
    with pytest.raises(WeightsError, match="only from pixels to pixels"):
        init_convolutions(network_of("original-sd"), saved)


def test_the_question_encoder_can_begin_as_that_of_others(saved: Path) -> None:
    network, source = network_of("original-fp", seed=5), load_weights(saved)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    init_question(network, source.vocabulary, saved)
    expected = source.network.state_dict()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name] if name.startswith("question.") else before[name])
    with pytest.raises(WeightsError, match="has another one"):
        init_question(network, msgspec.structs.replace(source.vocabulary, words=source.vocabulary.words[:-1]), saved)
    other = RelationNetwork(load_preset("original-fp", {"lstm_hidden": 9}), source.vocabulary)
    with pytest.raises(WeightsError, match=r"expected a question encoder .* 9, .* has "):
        init_question(other, source.vocabulary, saved)


def test_convolutions_may_be_those_of_a_released_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_module, "shipped_folder", lambda: saved.parent)
    network = network_of("original-fp", seed=5)
    init_convolutions(network, saved.stem)
    expected = load_weights(saved).network.objects.state_dict()
    for name, tensor in network.objects.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    with pytest.raises(WeightsError, match="or give a released name"):
        init_convolutions(network, "no-such-name")
