"""How fast the ground truth of scenes is computed, and features of pictures, with the memory they take.

python benchmarks/retrieval.py --clevr DIR                                   ground truth by variant and cost
python benchmarks/retrieval.py --clevr DIR --weights ir_fp_epoch_312.pth     features too

The ground truth is timed on one core for a few queries and scaled to 501 queries over 15,000 scenes; beside it, the
published computation (scipy, as the tests have it) on some of the same pairs. Processor time, not time on the wall:
another process beside it disturbs it little.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from rnlib.clevr.split import open_split
from rnlib.model import load_weights
from rnlib.retrieval import COSTS, VARIANTS, Scenes, conv_features, pair_features

WHOLE = 501 * 15_000  # pairs of the published protocol


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, metavar="DIR", help="a set with scenes; its split val")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights that read pictures")
    parser.add_argument("--queries", type=int, default=40, metavar="N", help="queries timed (default 40)")
    parser.add_argument("--pictures", type=int, default=500, metavar="N", help="pictures timed (default 500)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    truths(options.clevr, options.queries)
    if options.weights:
        features(options.clevr, options.weights, options.pictures)


def truths(directory: Path, queries: int) -> None:
    split = open_split(directory, "val", images=None)
    scenes = Scenes.of(split, np.arange(split.n_images))
    queries = min(queries, split.n_images)
    pairs = queries * split.n_images
    begin = time.perf_counter()
    scenes.distances(0)
    print(f"compiled, or found compiled, in {time.perf_counter() - begin:.1f} s\n")
    print(f"{'ground truth':<16}{'us a pair':>10}{'501 x 15,000':>14}")
    for variant in VARIANTS:
        for cost in COSTS:
            begin = time.process_time()
            for query in range(queries):
                scenes.distances(query, variant, cost)
            line(f"{variant} {cost}", (time.process_time() - begin) / pairs)
    begin = time.process_time()
    for other in range(split.n_images):
        published(scenes, 0, other)
    line("scipy, soft", (time.process_time() - begin) / split.n_images)


def line(name: str, seconds: float) -> None:
    print(f"{name:<16}{1e6 * seconds:>10.2f}{seconds * WHOLE:>12.0f} s", flush=True)


def published(scenes: Scenes, first: int, second: int) -> float:
    """2 A by scipy for one pair: the assignment alone, without looking for inversions."""
    n, m = scenes.counts[first], scenes.counts[second]
    matrix = np.full((n + m, n + m), 5.0)
    matrix[:n, :m] = (scenes.codes[first, :n, None] != scenes.codes[second, None, :m]).mean(2)
    np.fill_diagonal(matrix[:n, m:], 1)
    np.fill_diagonal(matrix[n:, :m], 1)
    matrix[n:, m:] = 0
    rows, columns = linear_sum_assignment(matrix)
    return 2 * float(matrix[rows, columns].sum())


def features(directory: Path, path: Path, count: int) -> None:
    weights = load_weights(path)
    split = open_split(directory, "val", images=weights.preset.image_size)
    pictures = np.arange(min(count, split.n_images))
    layer = weights.preset.question_layer
    print(f"\n{'features':<16}{'pictures/s':>11}{'15,000':>10}{'peak GiB':>10}")
    print(f"{'(before)':<16}{'':>11}{'':>10}{peak():>10.2f}")
    for name, make in (
        ("conv", lambda: conv_features(weights, split, pictures)),
        (f"pairs, layer {layer}", lambda: pair_features(weights, split, pictures, layer)),
    ):
        begin = time.process_time()
        make()
        rate = len(pictures) / (time.process_time() - begin)
        print(f"{name:<16}{rate:>11.0f}{15_000 / rate:>8.0f} s{peak():>10.2f}", flush=True)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
