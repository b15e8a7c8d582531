"""What a CUDA device computes is what the CPU computes, up to rounding (TF32 in convolutions and LSTM)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rnlib.clevr import clevr_v1, open_split
from rnlib.evaluation import predict
from rnlib.model import RelationNetwork, Weights, load_preset
from rnlib.training import Options, Recipe, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
SMALL = {"g_layers": [16, 16], "f_layers": [16, 16], "lstm_hidden": 16, "dropout": 0}


@pytest.mark.parametrize("preset", ["original-fp", "original-sd"])
def test_the_same_probabilities(preset: str, tiny_clevr: Path) -> None:
    torch.manual_seed(0)
    weights = Weights(
        RelationNetwork(load_preset(preset, SMALL), clevr_v1()).eval(), load_preset(preset, SMALL), clevr_v1()
    )
    split = open_split(tiny_clevr, "val", verbose=False)
    ours, theirs = (predict(weights, split, device=device, verbose=False) for device in ("cpu", DEVICE))
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(ours["probability"], theirs["probability"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("preset", ["original-fp", "original-sd"])
def test_a_training_begins_alike(preset: str, tiny_clevr: Path, tmp_path: Path) -> None:
    splits = [open_split(tiny_clevr, name, verbose=False) for name in ("train", "val")]
    recipe = Recipe(epochs=1, batch_size=40, lr=1e-4, lr_gamma=1, augment=False, log_every=1)
    losses = []
    for device in ("cpu", DEVICE):
        options = Options(vocabulary=clevr_v1(), device=device, verbose=False)
        folder = train(load_preset(preset, SMALL), recipe, splits, tmp_path / device, options)
        losses.append(folder.steps()["train_loss"].to_numpy())
    np.testing.assert_allclose(*losses, rtol=1e-2)
