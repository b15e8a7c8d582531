"""How fast networks train and answer, beside the naive network of the same weights on the same batches.

    python benchmarks/speed.py                                 the presets below, batch 64, about 10 minutes on 2 cores
    python benchmarks/speed.py --presets original-fp --batch 640 --naive-batch 64
    python benchmarks/speed.py --presets medium-fp --batch 128 --threads 1       a step of 128 questions on 13 pictures
    python benchmarks/speed.py --device cuda --batch 640

Naive means `rnlib.model.reference`: float32, every pair written out, all padding read, the convolutions once a
question. Ours: the same function in float32, and in bfloat16 where that is faster here (or with --precisions). Batches
are ten questions on each picture of a synthetic set (3 to 10 objects). The methods take turns; medians over `--runs`
turns are compared, and their spread is printed.

A step is limited by the products of g's layers with all pairs. "Of the product rate" says how much of the machine's own
rate in plain products of that width a method reached in these products (a training step counts three times a forward
pass; LSTM, convolutions, f and optimiser take their time but do not count). That rate is measured warm in every turn,
before and after the step, and the better one counts.

Feeding is fetching and augmenting a batch. The last line of a preset says where a training step in the fastest
precision goes, by torch's profiler. Convolutions are timed alone, forward and backward, and so is drawing pictures.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rnlib.clevr.constants import VIEW
from rnlib.clevr.split import open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.model.inputs import NetworkInputs
from rnlib.model.network import RelationNetwork
from rnlib.model.objects.pixels import PixelObjects
from rnlib.model.precision import PRECISIONS, choose_precision, product_rates, timed_product
from rnlib.model.preset import Preset, load_preset
from rnlib.model.reference import naive_forward
from rnlib.synthesis import synthesize
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.scenes import sample_scene
from rnlib.training.augment import augment, draw_augmentations

PRESETS = ("original-fp", "ir-fp", "medium-fp", "original-sd", "ir-sd")
PRODUCTS = 5  # plain products timed before and after each step
DRAWN = 32  # pictures of a turn
TRUNKS = ((24,) * 4, (32, 64, 64, 64, 64), (32, 64, 96, 128, 128))
KINDS = {
    "products": ("mm", "addmm", "_addmm_activation", "bmm"),
    "convolutions": ("convolution", "batch_norm"),
    "LSTM": ("rnn", "lstm"),
    "augmentation": ("grid_sampler", "affine_grid"),
    "sums": ("sum", "einsum"),
    "copies": ("copy_", "index", "cat", "scatter", "gather", "fill_", "zero_"),
    "ReLUs and additions": ("threshold_backward", "relu", "clamp_min", "add", "mul"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", default=PRESETS, choices=PRESETS)
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="questions a step (default 64)")
    parser.add_argument("--naive-batch", type=int, metavar="N", help="of the naive network, where memory is short")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="turns (default 5)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="default: fp32, and bf16 if it is faster")
    parser.add_argument("--threads", type=int, metavar="N", help="default: torch's")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.precisions:
        options.precisions = ["fp32"] if choose_precision("auto", options.device) == "fp32" else ["fp32", "bf16"]
    name = torch.cuda.get_device_name() if options.device == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(f"{name}, torch {torch.__version__}, batch {options.batch}, medians of {options.runs} turns (least to most)")
    print(f"{torch.get_num_threads()} threads; {os.cpu_count()} processors, load {load()}", flush=True)
    for width in (256, 512):
        rates = product_rates(options.device, product_rows(options.device), width)
        shown = ", ".join(f"{name} {rate / 1e9:,.1f} GFLOP/s" for name, rate in rates.items())
        print(f"products of {product_rows(options.device)} x {width} with {width} x {width}: {shown}", flush=True)
    for channels in TRUNKS:
        time_convolutions(channels, options)
    with tempfile.TemporaryDirectory() as folder:
        scenes = (max(options.batch, options.naive_batch or 0) + 9) // 10
        time_drawing(options.runs)
        clevr = synthesize(Path(folder) / "clevr", train=scenes, val=0, images=128, workers=1, verbose=False)
        for preset in map(load_preset, options.presets):
            images = preset.picture_size
            split = open_split(clevr, "train", images=images, cache=Path(folder) / "cache", verbose=False)
            inputs = NetworkInputs.of(split, preset, clevr_v1(), options.device, resident=True)
            for work in ("train", "evaluate"):
                compare(preset, inputs, work, options)
    print(f"load at the end: {load()}")


def load() -> str:
    """How many processes wanted a processor in the last minute, where the system tells."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def product_rows(device: str) -> int:
    """Rows of the plain products: enough to fill the device."""
    return 4096 if device == "cpu" else 1 << 18


def spread(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"


def time_convolutions(channels: tuple[int, ...], options: argparse.Namespace) -> None:
    """Pictures a second through convolutions alone, forward and backward: as plain modules, and ours."""
    preset = load_preset("original-fp", {"conv_channels": channels})
    ours, count = PixelObjects(preset).to(options.device), 13 if options.device == "cpu" else 64
    images = torch.rand(count, 3, 128, 128, device=options.device)

    def plain() -> Tensor:
        maps = images
        for convolution, norm in zip(ours.convolutions, ours.norms, strict=True):
            maps = torch.relu(norm(convolution(maps)))
        return maps

    speeds: dict[str, list[float]] = {method: [] for method in ("plain", *options.precisions)}
    for turn in range(options.runs + 1):
        for method, values in speeds.items():
            ours.precision = "fp32" if method == "plain" else method
            begin = time.perf_counter()
            (plain() if method == "plain" else ours.features(images)).square().sum().backward()
            if options.device == "cuda":
                torch.cuda.synchronize()
            if turn:
                values.append(count / (time.perf_counter() - begin))
    shown = ", ".join(f"{method} {spread(values)}" for method, values in speeds.items())
    print(f"convolutions {'-'.join(map(str, channels))}, pictures/s forward and backward: {shown}", flush=True)


def time_drawing(runs: int) -> None:
    """Pictures of 128 x 128 drawn a second by one process, of fresh scenes (benchmarks/pictures.py has more)."""
    rng, speeds = np.random.default_rng(0), []
    for run in range(runs + 1):
        scenes, views = zip(*(sample_scene(rng, (3, 10), VIEW) for _ in range(DRAWN)), strict=True)
        begin = time.perf_counter()
        draw(scenes, views, (128, 128))
        if run:  # the first loads or makes the machine code
            speeds.append(DRAWN / (time.perf_counter() - begin))
    print(f"drawing, pictures/s of 128 x 128 in one process: {spread(speeds)}", flush=True)


def compare(preset: Preset, inputs: NetworkInputs, work: str, options: argparse.Namespace) -> None:
    """Time each method in turns and print questions a second, ratios and shares of the product rate."""
    torch.manual_seed(0)
    network = RelationNetwork(preset, clevr_v1()).to(options.device)
    methods = ("naive", *options.precisions)
    sizes = {method: options.batch for method in methods}
    sizes["naive"] = options.naive_batch or options.batch
    steps = {method: step_of(network, inputs, method, sizes[method], work) for method in methods}
    rows, width = product_rows(options.device), preset.g_layers[0]
    products = {name: timed_product(name, options.device, rows, width) for name in options.precisions}
    work_each = pair_products(preset, inputs, options.batch) * (3 if work == "train" else 1)
    speeds: dict[str, list[float]] = {method: [] for method in methods}
    shares: dict[str, list[float]] = {method: [] for method in options.precisions}
    for turn in range(options.runs + 1):
        for method, step in steps.items():
            network.set_precision("fp32" if method == "naive" else method)
            product = products.get(method, lambda: 0.0)
            rates = [product() for _ in range(PRODUCTS)]
            begin = time.perf_counter()
            step()
            if options.device == "cuda":
                torch.cuda.synchronize()
            took = time.perf_counter() - begin
            rates += [product() for _ in range(PRODUCTS)]
            if turn:  # the first warms up
                speeds[method].append(sizes[method] / took)
                if method in shares:
                    shares[method].append(100 * speeds[method][-1] * work_each / max(rates))
    print(f"{preset.name}, {work}: " + ", ".join(f"{method} {spread(values)}/s" for method, values in speeds.items()))
    for method, values in shares.items():
        ratio = statistics.median(np.divide(speeds[method], speeds["naive"]))
        print(f"    {method}: {ratio:.1f} times the naive network, {spread(values)} % of the product rate")
    if work == "train":
        fastest = max(options.precisions, key=lambda method: statistics.median(speeds[method]))
        shortest = options.batch / statistics.median(speeds[fastest])
        feeding = 100 * seconds_to_feed(inputs, options.batch, options.runs) / shortest
        network.set_precision(fastest)
        print(
            f"    feeding {feeding:.1f} % of a step in {fastest}, which divides into {where(steps[fastest])}",
            flush=True,
        )


def where(step: Callable[[], object]) -> str:
    """How the time of a step divides into KINDS of operations."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # the profiler's own messages are of no use here
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            step()
    seconds = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in profile.key_averages():
        name = event.key.removeprefix("aten::")
        kind = next((kind for kind, names in KINDS.items() if any(part in name for part in names)), "the rest")
        seconds[kind] += event.self_cpu_time_total
    return ", ".join(f"{kind} {100 * part / sum(seconds.values()):.0f} %" for kind, part in seconds.items())


def seconds_to_feed(inputs: NetworkInputs, size: int, runs: int) -> float:
    """What a step spends on its questions and pictures, augmentation included, before the network sees them; median."""
    draws = torch.from_numpy(draw_augmentations(0, 1, inputs.split.n_images, inputs.preset.image_size))
    seconds = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        questions = np.arange(size)
        pictures, _ = np.unique(inputs.split.image_of_question[questions], return_inverse=True)
        visual = inputs.visual(pictures)
        if inputs.preset.picture_size:
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
    if preset.picture_size:
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
