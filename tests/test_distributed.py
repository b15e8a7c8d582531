"""Several processes are one training: the same batches, the same history, one set of files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnlib.__main__ import main
from rnlib.distributed import Workers
from rnlib.model import load_weights
from rnlib.training import TrainingFolder

NETWORK = ["g_layers=[8,8,8]", "f_layers=[8,8]", "lstm_hidden=8", "word_embedding=4", "image_size=32", "dropout=0.3"]
IN_TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "rnlib"]


def command(clevr: Path, out: Path, preset: str, *options: str) -> list[str]:
    """The arguments of rnlib."""
    fields = ["--preset", preset, "--set", *NETWORK, "--clevr", str(clevr), "--out", str(out)]
    recipe = ["batch_size=36", "lr=1e-3", "lr_gamma=1", "log_every=1", *options]
    rest = ["--vocabulary", "clevr-v1.0", "--device", "cpu"]
    return ["train", *fields, *rest, "--set", *recipe]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run_in_two(arguments: list[str]) -> str:
    result = subprocess.run(
        [*IN_TWO, *arguments], capture_output=True, text=True, check=False, env=environment(), timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("original-fp", ["group_questions=true"]),
        ("ir-fp", []),
        ("ir-sd", ["group_questions=true", "ema=0.9", "symmetries=true"]),
        (
            "detect-fp",
            ["cell_weight=1", "conv_channels=[4,4,6]", "describing_channels=[6,5]", "state_rows=4", "lr=1e-4"],
        ),
    ],
)
def test_two_processes_give_the_history_of_one(
    tiny_clevr: Path, tmp_path: Path, preset: str, options: list[str]
) -> None:
    options = [*options, "epochs=2"]
    assert main(command(tiny_clevr, tmp_path / "one", preset, *options)) == 0
    printed = run_in_two(command(tiny_clevr, tmp_path / "two", preset, *options))
    assert printed.count("epoch   1/2") == 1
    one, two = TrainingFolder(tmp_path / "one"), TrainingFolder(tmp_path / "two")
    # The same but for the order of additions. Adam then turns the rounding of a gradient near 0 into a step of full
    # length, how soon depends on the processor: so the first losses are compared strictly, later ones as a whole.
    losses = [folder.steps()["train_loss"].to_numpy() for folder in (one, two)]
    np.testing.assert_allclose(losses[0][:3], losses[1][:3], rtol=1e-6)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    np.testing.assert_allclose(one.history()["val_loss"], two.history()["val_loss"], rtol=1e-3)
    theirs = load_weights(two.weights("last")).network.state_dict()
    for name, tensor in load_weights(one.weights("last")).network.state_dict().items():
        difference, size = (theirs[name] - tensor).double().norm(), tensor.double().norm()
        assert difference <= 2e-2 * size + 2e-3 * tensor.numel() ** 0.5, name


@pytest.mark.slow
def test_two_processes_stop_together_and_go_on(tiny_clevr: Path, tmp_path: Path) -> None:
    whole = command(tiny_clevr, tmp_path / "whole", "ir-sd", "epochs=300")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*IN_TWO, *whole], **streams, env=environment(), start_new_session=True)
    folder = TrainingFolder(tmp_path / "whole")
    begin = time.monotonic()
    while not folder.state().is_file() and time.monotonic() - begin < 120:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "the state is saved" in output
    done = len(folder.history())
    assert 1 <= done < 300
    again = command(tiny_clevr, tmp_path / "whole", "ir-sd", f"epochs={done + 1}")
    assert "continuing at epoch" in run_in_two(again)
    assert folder.history()["epoch"].tolist() == list(range(1, done + 2))


@given(st.lists(st.integers(1, 10), min_size=1, max_size=20), st.integers(1, 5))
def test_shares_cover_a_batch_and_cut_no_group(sizes: list[int], count: int) -> None:
    keys = np.repeat(np.random.default_rng(0).permutation(len(sizes)), sizes)
    shares = [Workers(rank, count).share(keys) for rank in range(count)]
    weight = np.zeros(len(keys))
    for part, counts in shares:
        weight[part] += counts
        assert part.stop > part.start
        assert part.start == 0 or keys[part.start - 1] != keys[part.start]
    np.testing.assert_allclose(weight, 1)
