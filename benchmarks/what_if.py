"""What if: the measurements of docs/what_if.md, on scenes made for them.

    python benchmarks/what_if.py turning-point --seed 2 --number 240 --out DIR
    python benchmarks/what_if.py deletion --seed 2 --number 240 --out DIR
    python benchmarks/what_if.py minimal-pairs --seed 2 --number 500 --out DIR

Writes tables (parquet) to DIR and prints them; `--weights` names the networks.
"""

import argparse
from collections.abc import Callable
from math import hypot
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from rnlib.clevr import open_split
from rnlib.clevr.constants import ATTRIBUTES, FAMILY_GROUPS
from rnlib.clevr.schema import read_questions
from rnlib.evaluation import plots, predict
from rnlib.evaluation.consistency import consistency
from rnlib.evaluation.deletion import REMOVED, delete_objects, deletion_table, sample_questions
from rnlib.evaluation.statistics import mcnemar, wilson
from rnlib.evaluation.turning_point import CROWDS, errors_by_margin, measure, sample_trials, turning_points, width_ratio
from rnlib.evaluation.what_if import yes_probability
from rnlib.model import load_weights
from rnlib.synthesis import synthesize

GROUPS = {family: group for group, families in FAMILY_GROUPS.items() for family in families}
CHAINS, TWO_SETS = ("one_hop", "two_hop", "three_hop"), ("compare_integer", "single_and", "single_or")
WEIGHTS = ["detect-fp", "medium-sd", "medium-ir-sd"]


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
    print(turning_points(table, ["model"], options.resamples).round(3).to_string(), "\n")
    points = {
        by: turning_points(table, ["model", by], options.resamples)
        for by in ("relation", "axis", "distance", "sizes", "objects")
    }
    for found in points.values():
        print(found.round(3).to_string(), "\n")
    title = f"one object moved past another in {table['trial'].nunique()} scenes"
    save(plots.plot_turning_points(table, title), options.out / "what_if_turning_point.png")
    save(plots.plot_widths(points, "over what stretch the answer turns"), options.out / "what_if_widths.png")
    for model, part in table.groupby("model", sort=False):
        for by, first, second in (("axis", "front / behind", "left / right"), ("objects", CROWDS[2], CROWDS[0])):
            ratio = width_ratio(part[part[by] == first], part[part[by] == second], options.resamples)
            print(f"{model}: width of {first} over {second}: " + "{:.2f} [{:.2f}, {:.2f}]".format(*ratio))
    errors = errors_by_margin(table, ["model"])
    print(errors.pivot(index="margin", columns="model", values="wrong").round(1).to_string())
    print(errors[errors["margin"] == 0.45].round(2).to_string())


def deletion(options: argparse.Namespace) -> None:
    """Hypothesis 5."""
    asked = sample_questions(options.number, options.seed)
    tables = {}
    for name in options.weights:
        table = delete_objects(load_weights(name), asked)
        table.to_parquet(options.out / f"deletion_{name}_{options.seed}.parquet")
        tables[name] = deletion_table(table)
        print(f"{name}\n{tables[name].round(1).to_string()}")
        changed = (table["answer"] != table["answer after"]).groupby(table["removed"])
        most, least = (changed.get_group(REMOVED[i]).to_numpy(bool) for i in (0, -1))
        found = mcnemar(most, least)
        print("most - least, points: {difference:.1f} [{low:.1f}, {high:.1f}], p = {p:.2g}\n".format(**found))
    title = f"{options.number} questions asked again without one object"
    save(plots.plot_deletion(tables, title), options.out / "what_if_deletion.png")


def minimal_pairs(options: argparse.Namespace) -> None:
    """Hypotheses 6 and 7."""
    made = synthesize(
        options.out / f"pairs_{options.seed}",
        train=0,
        val=0,
        minimal_pairs=options.number,
        seed=options.seed,
        images=128,
        workers=1,
    )
    split = open_split(made, "pairs", cache=options.out / "cache")
    changes = [record.change for record in read_questions(split.directory.questions("pairs"))][::2]
    tables = {}
    for name in options.weights:
        answers = predict(load_weights(name), split)
        table = consistency(answers, split)
        assert table is not None
        tables[name] = table
        print(f"{name}\n{table.round(1).to_string()}")
        pairs, both = table["pairs"], table["both right"] * table["pairs"] / 100
        moved = both["position"], pairs["position"]
        altered = both[list(ATTRIBUTES)].sum(), pairs[list(ATTRIBUTES)].sum()
        low, high = difference_of_shares(*map(round, (*altered, *moved)))
        value = 100 * (altered[0] / altered[1] - moved[0] / moved[1])
        print(f"attribute changed - object moved, points: {value:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        right = answers["correct"].to_numpy(bool).reshape(-1, 2).all(1)
        groups = [GROUPS[int(family)] for family in split.families[::2]]
        moved = np.array(changes) == "position"
        for what, kinds in (("one chain", CHAINS), ("two sets", TWO_SETS)):
            hits = right[moved & np.isin(groups, kinds)]
            low, high = wilson(int(hits.sum()), len(hits))
            print(f"moved, {what}: {hits.sum()} of {len(hits)} [{100 * low:.1f}, {100 * high:.1f}] %")
    title = f"{options.number} minimal pairs"
    save(plots.plot_consistency(tables, title), options.out / "what_if_consistency.png")


def save(figure: Figure, path: Path) -> None:
    """As a small picture for the docs."""
    figure.savefig(path, dpi=80)


def difference_of_shares(hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float]:
    """Newcombe's 95 % interval (1998, method 10) for the difference of two independent shares."""
    (low, high), (other_low, other_high) = wilson(hits, n), wilson(other_hits, other_n)
    p, q = hits / n, other_hits / other_n
    return p - q - hypot(p - low, other_high - q), p - q + hypot(high - p, q - other_low)


MEASUREMENTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "turning-point": turning_point,
    "deletion": deletion,
    "minimal-pairs": minimal_pairs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=list(MEASUREMENTS))
    parser.add_argument("--weights", nargs="+", default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=300, help="scenes, questions or pairs (default 300)")
    parser.add_argument("--resamples", type=int, default=200, help="of the bootstrap (default 200)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    MEASUREMENTS[options.measurement](options)


if __name__ == "__main__":
    main()
