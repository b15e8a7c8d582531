"""Pictures a second of the renderer, and where the time goes.

    python benchmarks/pictures.py                 # one CPU core, 128x128 and 480x320
    python benchmarks/pictures.py --device cuda   # a GPU

Prints medians over `--runs` batches of fresh scenes (3-10 objects). `data synthesize` draws in one process a core,
so a machine's figure is about that of a core times its cores. For comparison: the public generator takes 7 s a
480x320 picture.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from rnlib.clevr.catalogue import VIEW
from rnlib.synthesis import pictures
from rnlib.synthesis.scenes import sample_scene

BATCH = {"cpu": 16, "cuda": 256}  # as `data synthesize` does
STAGES = {
    "ground": (pictures, "_ground"),
    "rubber": (pictures, "rubber"),
    "metal": (pictures, "metal"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=tuple(BATCH), default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{torch.cuda.get_device_name() if options.device == 'cuda' else 'one CPU core'}, {options.runs} runs")
    for size in ((128, 128), VIEW):
        count = BATCH[options.device]
        speeds, shares = [], []
        for run in range(options.runs + 1):
            made = [sample_scene(rng, (3, 10), VIEW) for _ in range(count)]
            start = time.perf_counter()
            split = draw_timed([scene for scene, _ in made], [view for _, view in made], size, options.device)
            took = time.perf_counter() - start
            if run:  # the first warms up
                speeds.append(count / took)
                shares.append({stage: seconds / took for stage, seconds in split.items()})
        speed = f"{statistics.median(speeds):.1f} pictures/s ({min(speeds):.1f} to {max(speeds):.1f})"
        stages = ", ".join(f"{stage} {statistics.median(share[stage] for share in shares):.0%}" for stage in STAGES)
        print(f"{size[0]}x{size[1]}: {speed}; {stages}")


def draw_timed(scenes: list, views: list, size: tuple[int, int], device: str) -> dict[str, float]:  # type: ignore[type-arg]
    """Draw, and return the seconds that each stage took."""
    took = dict.fromkeys(STAGES, 0.0)
    kept = {stage: getattr(*place) for stage, place in STAGES.items()}

    def timed(stage: str):  # type: ignore[no-untyped-def]
        def call(*arguments, **named):  # type: ignore[no-untyped-def]
            start = time.perf_counter()
            result = kept[stage](*arguments, **named)
            if device == "cuda":
                torch.cuda.synchronize()
            took[stage] += time.perf_counter() - start
            return result

        return call

    try:
        for stage, (module, name) in STAGES.items():
            setattr(module, name, timed(stage))
        pictures.draw(scenes, views, size, device)
    finally:
        for stage, (module, name) in STAGES.items():
            setattr(module, name, kept[stage])
    return took


if __name__ == "__main__":
    main()
