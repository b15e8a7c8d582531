"""The precision of products: how it is chosen, that a training keeps it, and what it does to convolutions."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError
from rnlib.files import read_json
from rnlib.model import load_preset, precision
from rnlib.model.network import RelationNetwork
from rnlib.model.objects.no_objects import NoObjects
from rnlib.model.objects.pixels import PixelObjects
from rnlib.training import Options, Saving, make_recipe, train

SMALL = {"g_layers": [8, 8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8, "image_size": 32}


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    train_split, val_split = (open_split(tiny_clevr, name, images=32) for name in ("train", "val"))
    return train_split, val_split


class Machine:
    """A processor with known rates, which are reached only after a while and disturbed by other work."""

    def __init__(self, fp32: float, bf16: float, slow_turns: int = 0) -> None:
        self.rates, self.turns, self.slow_turns = {"fp32": fp32, "bf16": bf16}, 0, slow_turns

    def product(self, name: str, *_: object) -> "Machine.Rate":
        return Machine.Rate(self, name)

    class Rate:
        def __init__(self, machine: "Machine", name: str) -> None:
            self.machine, self.name = machine, name

        def __call__(self) -> float:
            machine = self.machine
            machine.turns += 1
            if machine.turns <= machine.slow_turns:  # everything is equally slow at first
                return 0.8e9 * (1 + machine.turns / machine.slow_turns)
            return machine.rates[self.name] * (0.2 if machine.turns % 3 else 1.0)


@pytest.mark.parametrize(
    ("fp32", "bf16", "slow", "chosen"),
    [
        (100e9, 970e9, 0, "bf16"),
        (100e9, 970e9, 200, "bf16"),
        (315e9, 167e9, 0, "fp32"),
        (60e9, 1e9, 30, "fp32"),
        (100e9, 120e9, 0, "fp32"),
    ],
)
def test_auto_is_not_misled_by_a_slow_start_or_a_busy_machine(
    monkeypatch: pytest.MonkeyPatch, fp32: float, bf16: float, slow: int, chosen: str
) -> None:
    machine = Machine(fp32, bf16, slow)
    clock = iter(range(10**9))
    monkeypatch.setattr(precision, "timed_product", machine.product)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock) * precision.ROUND / 20)
    assert precision.choose_precision("auto") == chosen


def test_a_measured_rate_is_that_of_a_product() -> None:
    rate = precision.timed_product("fp32", "cpu", 256, 64)
    assert 1e7 < max(rate() for _ in range(5)) < 1e14


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected as precision one of auto, fp32, bf16; found 'fp16'"):
        precision.choose_precision("fp16")


def test_a_training_measures_once_and_keeps_what_it_chose(
    splits: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset, recipe = load_preset("small-fp", SMALL), {"precision": "auto", "batch_size": 64}
    common = Options(vocabulary=clevr_v1(), verbose=False)
    measured = []

    def choose(name: str, device: object = "cpu") -> str:
        measured.append(name)
        return "bf16" if name == "auto" else name

    monkeypatch.setattr("rnlib.training.relation_training.choose_precision", choose)
    train(preset, make_recipe({**recipe, "epochs": 1}), splits, tmp_path, replace(common, saving=Saving("every:1")))
    assert read_json(tmp_path / "run.json")["recipe"]["precision"] == "bf16"
    train(preset, make_recipe({**recipe, "epochs": 2}), splits, tmp_path, common)
    other = tmp_path / "branch"
    kept = tmp_path / "weights" / "epoch_0001.safetensors"
    train(preset, make_recipe({**recipe, "epochs": 2}), splits, other, replace(common, resume_from=kept))
    assert read_json(other / "run.json")["recipe"]["precision"] == "bf16"
    assert measured == ["auto"]
    # On another machine another precision may be asked for; the training goes on in it.
    asked = make_recipe({**recipe, "epochs": 3, "precision": "fp32"})
    train(preset, asked, splits, tmp_path, common)
    assert read_json(tmp_path / "run.json")["recipe"]["precision"] == "fp32"


@pytest.mark.parametrize("training", [True, False])
def test_convolutions_in_bfloat16_stay_near(training: bool) -> None:
    torch.manual_seed(0)
    objects = PixelObjects(load_preset("small-fp")).train(training)
    images = torch.rand(6, 3, 128, 128)
    expected = objects.features(images)
    objects.precision = "bf16"
    found = objects.features(images)
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    assert (found - expected).norm() < 0.02 * expected.norm()
    assert all(norm.running_mean.dtype == torch.float32 for norm in objects.norms)  # type: ignore[union-attr]


def test_channels_last_changes_no_convolution() -> None:
    torch.manual_seed(0)
    objects = PixelObjects(load_preset("small-fp")).double()
    images = torch.rand(3, 3, 128, 128, dtype=torch.float64)
    maps = images
    for convolution, norm in zip(objects.convolutions, objects.norms, strict=True):
        maps = torch.relu(norm(convolution(maps)))
    torch.testing.assert_close(objects.features(images), maps, rtol=1e-10, atol=1e-10)


def test_every_part_that_multiplies_is_switched() -> None:
    network = RelationNetwork(load_preset("small-fp"), clevr_v1())
    network.set_precision("bf16")
    assert network.precision == "bf16"
    assert [part.precision for part in (network.objects, network.question, network.relations)] == ["bf16"] * 3
    alone = RelationNetwork(load_preset("question-only"), clevr_v1())
    alone.set_precision("bf16")
    assert isinstance(alone.objects, NoObjects) and alone.question.precision == "bf16"
