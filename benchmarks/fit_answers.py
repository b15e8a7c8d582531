"""Makes rnlib/synthesis/answers.json anew: how often each family is to be drawn, with which answer.

    python benchmarks/fit_answers.py                      some minutes on one core

Each step asks all scenes, and raises the weight of what came more rarely than answers.SHARES wants it. A
weight is at most 100 times its share, so that what few scenes offer does not crowd out the rest. The file
gets the geometric mean of the later half of the steps.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from questions import make_questions, make_scenes

from rnlib.clevr.schema import Scene
from rnlib.synthesis.answer_balance import ANY, SHARES, WEIGHTS

ANSWERS_FILE = Path(__file__).parents[1] / "rnlib" / "synthesis" / "answers.json"
SEED = 1_000_000  # far from those of benchmarks/questions.py: other scenes
FACTOR = 100  # a weight's greatest and least multiple of its share
SPEED = 0.7  # 1 would correct a weight by the whole of what it is off

Item = tuple[int, str]  # a family's index and an answer


def count(scenes: list[Scene], seed: int) -> Counter[Item]:
    """How often each family came with each answer."""
    found: Counter[Item] = Counter()
    for row in make_questions(scenes, seed):
        index, answer = row.question_family_index, row.answer_word
        found[index, answer if answer in SHARES[index] else ANY] += 1
    return found


def fit(scenes: list[Scene], steps: int) -> dict[Item, float]:
    """The weights with which families and answers come to their SHARES."""
    shares = {(index, answer): share for index, row in SHARES.items() for answer, share in row.items()}
    logs: dict[Item, list[float]] = {item: [] for item in shares}
    for step in range(steps):
        found = count(scenes, SEED + step)
        off = 0.0
        for (index, answer), share in shares.items():
            wanted = share / sum(shares.values()) * found.total()
            off += abs(found[index, answer] - wanted) / found.total() / 2
            weight = WEIGHTS[index].get(answer, share) * ((wanted + 4) / (found[index, answer] + 4)) ** SPEED
            WEIGHTS[index][answer] = min(max(weight, share / FACTOR), share * FACTOR)
            logs[index, answer].append(float(np.log(WEIGHTS[index][answer])))
        print(f"step {step + 1} of {steps}: {off:.2%} of the questions off their shares", flush=True)
    return {item: float(np.exp(np.mean(row[steps // 2 :]))) for item, row in logs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=4000, help="scenes of 3 to 10 objects (4000)")
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    weights = fit(make_scenes(options.scenes, SEED), options.steps)
    rows = []
    for index, shares in SHARES.items():
        row = {answer: float(f"{weights[index, answer]:.3g}") for answer in shares}
        rows.append(f'  "{index}": {json.dumps(row)}')
    ANSWERS_FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
