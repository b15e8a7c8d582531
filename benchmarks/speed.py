"""How fast networks train and answer, beside the naive network of the same weights on the same batches.

    python benchmarks/speed.py                                 four presets, batch 64, about 10 minutes on 2 cores
    python benchmarks/speed.py --presets original-fp --batch 640 --naive-batch 64
    python benchmarks/speed.py --device cuda --batch 640

Naive means `rnlib.model.naive`: float32, every pair written out, all padding read, the convolutions once a
question. Ours: the same function in float32, and with products of pairs in bfloat16. Batches are ten questions on each
picture of a synthetic set (3 to 10 objects). The methods take turns, and medians over `--runs` turns are
compared. What bounds a step are the products of g's layers with all pairs; the last figures say at which percentage of
the rate of one such plain product, measured in the same run, ours did them (a training step counts three times a
forward pass; LSTM, convolutions, f and optimiser take their time but do not count). Feeding is fetching and augmenting
a batch.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnlib.clevr.split import open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.model.inputs import NetworkInputs
from rnlib.model.naive import naive_forward
from rnlib.model.network import RelationNetwork
from rnlib.model.precision import PRECISIONS, product_rate
from rnlib.model.preset import Preset, load_preset
from rnlib.synthesis import synthesize
from rnlib.training.augment import augment, draw_augmentations

PRESETS = ("original-fp", "ir-fp", "original-sd", "ir-sd")
METHODS = ("naive", *PRECISIONS)
PRODUCT_RATES: dict[int, dict[str, float]] = {}  # by width and precision, measured first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS, choices=PRESETS)
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="questions a step (default 64)")
    parser.add_argument("--naive-batch", type=int, metavar="N", help="of the naive network, where memory is short")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="turns (default 5)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{name}, torch {torch.__version__}, batch {options.batch}, medians of {options.runs} turns")
    rows = 4096 if options.device == "cpu" else 1 << 18
    for width in (256, 512):
        rates = PRODUCT_RATES[width] = {name: product_rate(name, options.device, rows, width) for name in PRECISIONS}
        shown = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in rates.items())
        print(f"products of {rows} x {width} with {width} x {width}: {shown}")
    with tempfile.TemporaryDirectory() as folder:
        scenes = (max(options.batch, options.naive_batch or 0) + 9) // 10
        clevr = synthesize(Path(folder) / "clevr", train=scenes, val=0, images=128, progress=False)
        for preset in map(load_preset, options.presets):
            images = 128 if preset.objects == "pixels" else None
            split = open_split(clevr, "train", images=images, cache=Path(folder) / "cache", show=False)
            inputs = NetworkInputs.of(split, preset, clevr_v1(), options.device, resident=True)
            for work in ("train", "evaluate"):
                compare(preset, inputs, work, options)


def compare(preset: Preset, inputs: NetworkInputs, work: str, options: argparse.Namespace) -> None:
    """Time each method in turns and print questions a second and ratios."""
    torch.manual_seed(0)
    network = RelationNetwork(preset, clevr_v1()).to(options.device)
    sizes = {method: options.batch for method in METHODS}
    sizes["naive"] = options.naive_batch or options.batch
    steps = {method: step_of(network, inputs, method, sizes[method], work) for method in METHODS}
    speeds: dict[str, list[float]] = {method: [] for method in METHODS}
    for turn in range(options.runs + 1):
        for method, step in steps.items():
            network.set_precision("fp32" if method == "naive" else method)
            begin = time.perf_counter()
            step()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first warms up
                speeds[method].append(sizes[method] / (time.perf_counter() - begin))
    medians = {method: statistics.median(values) for method, values in speeds.items()}
    ratios = {
        method: statistics.median(np.divide(speeds[method], speeds["naive"])) for method in METHODS if method != "naive"
    }
    rates = ", ".join(f"{method} {speed:,.1f}/s" for method, speed in medians.items())
    work_each = pair_products(preset, inputs, options.batch) * (3 if work == "train" else 1)
    shares = {
        method: 100 * medians[method] * work_each / PRODUCT_RATES[preset.g_layers[0]][method] for method in ratios
    }
    if work == "train":
        shortest = options.batch / max(medians[method] for method in ratios)
        shares["feeding"] = 100 * seconds_to_feed(inputs, options.batch, options.runs) / shortest
    faster = ", ".join(f"{m} {r:.1f}x" for m, r in ratios.items())
    of_rate = ", ".join(f"{m} {shares[m]:.0f} %" for m in ratios)
    feeding = f"; feeding {shares['feeding']:.1f} % of the fastest step" if work == "train" else ""
    print(f"{preset.name:12s} {work:8s}: {rates}; {faster}; of the product rate: {of_rate}{feeding}", flush=True)


def seconds_to_feed(inputs: NetworkInputs, size: int, runs: int) -> float:
    """What a step spends on its questions and pictures, augmentation included, before the network sees them; median."""
    draws = torch.from_numpy(draw_augmentations(0, 1, inputs.split.n_images, inputs.preset.image_size))
    seconds = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        questions = np.arange(size)
        pictures, _ = np.unique(inputs.split.image_of_question[questions], return_inverse=True)
        visual = inputs.visual(pictures)
        if inputs.preset.objects == "pixels":
            augment(visual, draws[pictures].to(visual.device))
        inputs.question(questions)
        inputs.answer(questions)
        if visual.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def pair_products(preset: Preset, inputs: NetworkInputs, size: int) -> float:
    """Floating-point operations a question in g's products over pairs, forward, of the first `size` questions.

    g's first layer is left out: it is computed over objects. What comes before the question is once a picture.
    """
    pictures = inputs.split.image_of_question[:size]
    if preset.objects == "pixels":
        rows = np.full(inputs.split.n_images, (preset.image_size // 2 ** len(preset.conv_channels)) ** 2)
    else:
        rows = np.minimum(inputs.split.n_objects.astype(int) + 1, preset.state_rows)
    pairs, joins = rows**2, preset.question_layer
    before, after = (
        sum(2 * a * b for a, b in pairwise(widths))
        for widths in (preset.g_layers[: joins + 1], preset.g_layers[joins:])
    )
    return float(pairs[np.unique(pictures)].sum() * before + pairs[pictures].sum() * after) / size


def step_of(network: RelationNetwork, inputs: NetworkInputs, method: str, size: int, work: str) -> Callable[[], object]:
    """A training step, or answering a batch, on the first `size` questions."""
    questions = np.arange(size)
    pictures, which = np.unique(inputs.split.image_of_question[questions], return_inverse=True)
    scene = torch.from_numpy(which).to(inputs.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6, fused=method != "naive")

    def answer() -> Tensor:
        visual = inputs.visual(pictures)
        if method == "naive":
            return naive_forward(network, visual[scene], inputs.question(questions))
        return network.answer_from_objects(network.objects(visual), inputs.question(questions), scene)

    def train() -> None:
        network.train()
        loss = torch.nn.functional.nll_loss(answer(), inputs.answer(questions))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 50.0)
        optimizer.step()

    def evaluate() -> None:
        network.eval()
        with torch.inference_mode():
            answer()

    return train if work == "train" else evaluate


if __name__ == "__main__":
    main()
