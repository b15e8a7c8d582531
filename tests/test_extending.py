"""The code of docs/extending.md runs as it stands there; the data set for loops of one's own."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rnlib.clevr.split import open_split
from rnlib.errors import ConfigError, DataError, WeightsError
from rnlib.evaluation import predict
from rnlib.evaluation.attribution import pair_map
from rnlib.evaluation.model_set import image_size, models_table
from rnlib.model import (
    ClevrDataset,
    NetworkInputs,
    Preset,
    RelationNetwork,
    answer,
    init_convolutions,
    load_preset,
    load_weights,
    objects,
    save_weights,
)
from rnlib.retrieval.features import all_features
from rnlib.training.memory_estimate import step_memory
from rnlib.training.recipe import Recipe

TEXT = (Path(__file__).resolve().parents[1] / "docs/extending.md").read_text()
BLOCKS = dict(
    zip(re.findall(r"^## (.*)$", TEXT, re.M), re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S), strict=True)
)


@pytest.mark.parametrize("title", BLOCKS)
def test_the_code_runs(
    title: str,
    tiny_clevr: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = BLOCKS[title]
    assert len(code.splitlines()) <= 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objects, "KINDS", dict(objects.KINDS))
    exec(compile(code.replace("DIR", str(tiny_clevr)), title, "exec"), {"__name__": "extending"})
    said = capsys.readouterr().out
    expected = {
        "Bring your own loop": "epoch 2: loss",
        "Add a metric": "truth",
        "Add an object encoder": "val_loss",
        "Add a data set": "2 What color is it? red",
    }
    assert expected[title] in said


class Patches(objects.PictureEncoder):
    """A kind of objects that says only what it must."""

    label = "patches"
    size = classmethod(lambda cls, preset: 5)
    most = classmethod(lambda cls, preset: (preset.image_size // 16) ** 2)

    def forward(self, visual: Tensor) -> Tensor:
        patches = torch.nn.functional.avg_pool2d(visual, 16).flatten(2).transpose(1, 2)
        return torch.nn.functional.pad(patches, (0, 2))


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> Preset:
    monkeypatch.setitem(objects.KINDS, "patches", Patches)
    return load_preset("ir-fp", {"objects": "patches", "image_size": 32, "g_layers": [8, 8, 8], "f_layers": [8, 8]})


def test_a_new_kind_of_objects_goes_wherever_the_others_go(patches: Preset, tiny_clevr: Path, tmp_path: Path) -> None:
    split = open_split(tiny_clevr, "val", images=patches.picture_size, verbose=False)
    network = RelationNetwork(patches, split.vocabulary)
    weights = load_weights(save_weights(tmp_path / "own.safetensors", network, split.vocabulary))
    assert len(predict(weights, split, verbose=False)) == split.n_questions
    assert answer(weights, split.picture(0), split.question_text(0)).answer in split.vocabulary.answers
    assert image_size({"own": weights}) == 32
    assert models_table({"own": weights}, split)["reads"].tolist() == ["picture"]
    assert set(all_features(weights, split, np.arange(3), [1])) == {"pairs 1 mean", "pairs 1 max"}
    inputs = NetworkInputs.of(split, patches, split.vocabulary)
    assert pair_map(weights, inputs, 0, inputs.tokens[0, : int(split.lengths[0])]) is None  # it tells no places
    assert step_memory(network, Recipe(), torch.device("cpu")) > 4 * network.parameter_count()
    with pytest.raises(WeightsError, match="Convolutions can go only from pixels to pixels"):
        init_convolutions(RelationNetwork(load_preset("ir-fp"), split.vocabulary), tmp_path / "own.safetensors")


@pytest.mark.parametrize(
    "fields", [{"describing_channels": [8], "mask_padding": True}, {"aggregation_layer": 0}, {"objects": "slots"}]
)
def test_what_a_kind_of_objects_does_not_have_is_refused(patches: Preset, fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="'ir-fp': expected") as error:
        load_preset("ir-fp", {"objects": "patches", **fields})
    assert ("objects out of pixels, state, none, patches" in str(error.value)) == ("objects" in fields)


@pytest.mark.parametrize("preset", ["medium-sd", "ir-fp"])
def test_an_example_is_what_the_network_reads(tiny_clevr: Path, preset: str) -> None:
    chosen = load_preset(preset, {"image_size": 32})
    split = open_split(tiny_clevr, "val", images=chosen.picture_size, verbose=False)
    examples, inputs = ClevrDataset(split, chosen), NetworkInputs.of(split, chosen, split.vocabulary)
    assert len(examples) == split.n_questions
    visual, tokens, answer = next(iter(DataLoader(examples, batch_size=5)))
    numbers = np.arange(5)
    torch.testing.assert_close(visual, inputs.visual(split.image_of_question[numbers]))
    longest = inputs.question(numbers)
    assert torch.equal(tokens[:, : longest.shape[1]], longest.long()) and not tokens[:, longest.shape[1] :].any()
    assert torch.equal(answer, inputs.answer(numbers))
    assert torch.equal(examples[-1][1], examples[len(examples) - 1][1])
    with pytest.raises(IndexError, match="below"):
        examples[len(examples)]


def test_a_split_without_answers_is_refused(tiny_clevr: Path) -> None:
    chosen = load_preset("ir-fp", {"image_size": 32})
    split = open_split(tiny_clevr, "test", images=32, verbose=False)
    with pytest.raises(DataError, match="expected answers"):
        ClevrDataset(split, chosen)
