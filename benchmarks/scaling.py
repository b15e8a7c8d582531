"""How cost grows with objects, with the batch, and with processes, beside what theory says.

    python benchmarks/scaling.py            about 6 minutes on 2 cores

Objects: a training step of original-fp on pictures of 64 to 160 pixels (16 to 100 cells), beside the floating-point
operations of g's layers from the second on, 6 n^2 sum(w_k w_(k+1)) a question (a multiplication and an addition
each; forward, and twice that backward). Memory: the peak of a process that makes one step of 640 questions, less that
of one that makes none, beside `step_memory`. Processes: the same training by one and by two processes, and whether
their histories agree.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.model.network import RelationNetwork
from rnlib.model.precision import choose_precision
from rnlib.model.preset import load_preset
from rnlib.synthesis import synthesize
from rnlib.training.memory_estimate import step_memory
from rnlib.training.recipe import Recipe

SIDES = (64, 96, 128, 160)
BATCH, ON_A_PICTURE = 40, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="turns (default 5)")
    parser.add_argument("--step", nargs=2, metavar=("PRESET", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(peak_of_a_step(options.step[0], int(options.step[1]))))
        return
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {options.runs} turns")
    by_objects(options.runs)
    by_batch()
    by_processes()


def one_step(network: RelationNetwork, side: int, batch: int) -> float:
    """Seconds of a training step of `batch` questions, ten on a picture."""
    pictures = torch.rand(batch // ON_A_PICTURE, 3, side, side)
    tokens, scene = torch.ones(batch, 20, dtype=torch.long), torch.arange(batch) // ON_A_PICTURE
    begin = time.perf_counter()
    log_probability = network.answer_from_objects(network.objects(pictures), tokens, scene)
    log_probability[:, 0].mean().backward()
    return time.perf_counter() - begin


def by_objects(runs: int) -> None:
    """Questions/s of a training step against the number of cells."""
    precision = choose_precision("auto", "cpu")
    networks = {
        side: RelationNetwork(load_preset("original-fp", {"image_size": side}), clevr_v1()).train() for side in SIDES
    }
    seconds: dict[int, list[float]] = {side: [] for side in SIDES}
    for turn in range(runs + 1):
        for side, network in networks.items():
            network.set_precision(precision)
            took = one_step(network, side, BATCH)
            if turn:
                seconds[side].append(took)
    print(f"\noriginal-fp, a training step of {BATCH} questions in {precision}")
    print("cells  pairs   questions/s   GFLOP a question (formula)   GFLOP/s   times as long, to 64 cells (formula)")
    took = {side: statistics.median(values) / BATCH for side, values in seconds.items()}
    work = {side: 3 * operations(networks[side]) for side in SIDES}
    for side in SIDES:
        cells = networks[side].preset.cells_per_side ** 2
        print(
            f"{cells:5} {cells**2:6} {1 / took[side]:13.1f} {work[side] / 1e9:28.2f} "
            f"{work[side] / took[side] / 1e9:9.0f}   {took[side] / took[128]:.3f} ({work[side] / work[128]:.3f})"
        )


def operations(network: RelationNetwork) -> float:
    """Floating-point operations of g's layers from the second on, forward, a question."""
    preset = network.preset
    return preset.cells_per_side**4 * sum(2.0 * a * b for a, b in pairwise(preset.g_layers))


def peak_of_a_step(preset: str, batch: int) -> dict[str, float]:
    """Peak memory of this process (bytes) after a step of so many questions, and the estimate."""
    network = RelationNetwork(load_preset(preset), clevr_v1()).train()
    recipe = Recipe(batch_size=max(batch, 1), group_questions=True)
    if batch:
        one_step(network, network.preset.image_size, batch)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak": peak, "estimate": step_memory(network, recipe, torch.device("cpu"))}


def by_batch() -> None:
    """Memory of a step against the batch."""
    print("\nmemory of a training step in fp32 (GB)\npreset          batch   measured   step_memory")
    for preset in ("original-fp", "ir-fp"):
        peaks = {}
        for batch in (0, 160, 640):
            command = [sys.executable, __file__, "--step", preset, str(batch)]
            peaks[batch] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            if batch:
                more = peaks[batch]["peak"] - peaks[0]["peak"]
                print(f"{preset:14} {batch:6} {more / 1e9:10.2f} {peaks[batch]['estimate'] / 1e9:13.2f}")


def by_processes() -> None:
    """Questions/s of one and of two processes, one thread each, and the greatest difference of their histories."""
    print("\nmedium-sd and small-fp, an epoch of 20,000 questions by one and by two processes of one thread")
    with tempfile.TemporaryDirectory() as folder:
        clevr = synthesize(Path(folder) / "clevr", train=2000, val=50, images=128, verbose=False)
        for preset in ("medium-sd", "small-fp"):
            histories = []
            for count in (1, 2):
                out = Path(folder) / f"{preset}-{count}"
                subprocess.run(
                    [
                        *(sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}", "--standalone"),
                        *("-m", "rnlib", "train", "--preset", preset, "--clevr", str(clevr), "--out", str(out)),
                        *("--device", "cpu", "--set", "epochs=1", "batch_size=640", "group_questions=true"),
                    ],
                    check=True,
                    capture_output=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                histories.append(pd.read_csv(out / "history.csv"))
            one, two = (history["questions_per_second"].iloc[-1] for history in histories)
            loss = [history["train_loss"].iloc[-1] for history in histories]
            print(
                f"{preset:10} {one:8,.0f} and {two:8,.0f} questions/s, {two / one:.2f} times; "
                f"training losses differ by {np.ptp(loss):.1e}"
            )


if __name__ == "__main__":
    main()
