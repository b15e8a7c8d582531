"""What if: the measurements of docs/what_if.md, on scenes made for them.

    python benchmarks/what_if.py turning-point --seed 2 --number 300 --out DIR

Writes tables (parquet) to DIR and prints them; `--weights` names the networks.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from rnlib.evaluation.turning_point import CROWDS, errors_by_margin, measure, sample_trials, turning_points, width_ratio
from rnlib.evaluation.what_if import yes_probability
from rnlib.model import load_weights

WEIGHTS = ["detect-fp", "medium-sd-long", "medium-ir-sd"]


def turning_point(options: argparse.Namespace) -> None:
    """Hypotheses 1 to 4."""
    path = options.out / f"turning_point_{options.seed}.parquet"
    if path.exists():
        table = pd.read_parquet(path)
    else:
        trials = sample_trials(options.number, options.seed)
        models = {name: measure(yes_probability(load_weights(name)), trials) for name in options.weights}
        table = pd.concat(models, names=["model"]).reset_index(level="model")
        table.to_parquet(path)
    for by in ([], ["axis"], ["relation"], ["distance"], ["sizes"], ["objects"]):
        print(turning_points(table, ["model", *by], options.resamples).round(3).to_string(), "\n")
    for model, part in table.groupby("model", sort=False):
        for by, first, second in (("axis", "front / behind", "left / right"), ("objects", CROWDS[2], CROWDS[0])):
            ratio = width_ratio(part[part[by] == first], part[part[by] == second], options.resamples)
            print(f"{model}: width of {first} over {second}: " + "{:.2f} [{:.2f}, {:.2f}]".format(*ratio))
    errors = errors_by_margin(table, ["model"])
    print(errors.pivot(index="margin", columns="model", values="wrong").round(1).to_string())
    print(errors[errors["margin"] == 0.45].round(2).to_string())


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {"turning-point": turning_point}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=list(MEASUREMENTS))
    parser.add_argument("--weights", nargs="+", default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=300, help="scenes (default 300)")
    parser.add_argument("--resamples", type=int, default=200, help="of the bootstrap (default 200)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    MEASUREMENTS[options.measurement](options)


if __name__ == "__main__":
    main()
