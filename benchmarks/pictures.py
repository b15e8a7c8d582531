"""Pictures a second of the renderer on one core, and how long its machine code takes to be made or loaded.

    python benchmarks/pictures.py

Prints medians over `--runs` batches of fresh scenes, of 3 to 10 and of 1 to 3 objects, by the clock and by the
processor's time: where other programs run too, the latter says more. `data synthesize` draws in one process a core.
For comparison: the public generator takes 7 s a 480x320 picture.
"""

import argparse
import statistics
import time

import numpy as np

from rnlib.clevr.constants import VIEW
from rnlib.synthesis.pictures import draw, load
from rnlib.synthesis.scenes import sample_scene

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    start = time.perf_counter()
    load()
    print(f"machine code ready after {time.perf_counter() - start:.1f} s")
    rng = np.random.default_rng(0)
    for objects in ((3, 10), (1, 3)):
        for size in ((128, 128), VIEW):
            by_clock, by_processor = [], []
            for _ in range(options.runs):
                made = [sample_scene(rng, objects, VIEW) for _ in range(BATCH)]
                clock, processor = time.perf_counter(), time.process_time()
                draw([scene for scene, _ in made], [view for _, view in made], size)
                by_clock.append(BATCH / (time.perf_counter() - clock))
                by_processor.append(BATCH / (time.process_time() - processor))
            print(
                f"{size[0]}x{size[1]}, {objects[0]} to {objects[1]} objects: "
                f"{statistics.median(by_clock):.0f} pictures/s ({min(by_clock):.0f} to {max(by_clock):.0f}); "
                f"{statistics.median(by_processor):.0f} a second of the processor's time"
            )


if __name__ == "__main__":
    main()
