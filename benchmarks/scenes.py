"""How fast scenes are drawn by CLEVR's rules, by number of objects, and what the time goes to. On one core.

python benchmarks/scenes.py                  500 scenes a run, 5 runs, the median
python benchmarks/scenes.py --scenes 2000
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rnlib.synthesis import scenes as scenes_module
from rnlib.synthesis.scenes import sample_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500, metavar="N", help="scenes a run (default 500)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs, of which the median counts (default 5)")
    options = parser.parse_args()

    spent = {"places": 0.0, "visibility": 0.0}
    calls = dict.fromkeys(spent, 0)
    watched = {"places": "_place", "visibility": "all_visible"}
    for part, name in watched.items():
        setattr(scenes_module, name, watch(getattr(scenes_module, name), part, spent, calls))
    print(
        f"{'objects':<9}{'scenes/s':>9}{'ms a scene':>12}{'places':>9}{'visible':>9}{'rest':>7}{'tries':>8}{'seen':>7}"
    )
    for fewest, most in [(n, n) for n in range(3, 11)] + [(3, 10)]:
        for part in spent:
            spent[part], calls[part] = 0.0, 0
        seconds = []
        for run in range(options.runs):
            begin = time.perf_counter()
            for index in range(options.scenes):
                sample_scene(np.random.default_rng([run, index]), (fewest, most), (480, 320))
            seconds.append(time.perf_counter() - begin)
        median, total = statistics.median(seconds), sum(seconds)
        shares = [spent[part] / total for part in spent]
        made = options.runs * options.scenes
        name = str(fewest) if fewest == most else f"{fewest}-{most}"
        print(
            f"{name:<9}{options.scenes / median:>9.0f}{1000 * median / options.scenes:>12.2f}"
            f"{shares[0]:>9.0%}{shares[1]:>9.0%}{1 - sum(shares):>7.0%}"
            f"{calls['places'] / made:>8.1f}{calls['visibility'] / made:>7.1f}"
        )
    print("tries: times that places for all objects were looked for; seen: times that visible pixels were counted")


def watch(
    function: Callable[..., Any], part: str, spent: dict[str, float], calls: dict[str, int]
) -> Callable[..., Any]:
    """`function`, with the time spent in it and its calls added up."""

    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        result = function(*arguments)
        spent[part] += time.perf_counter() - begin
        calls[part] += 1
        return result

    return timed


if __name__ == "__main__":
    main()
