"""What does the question's vector hold of its references, and in one place for all of them or in several?

    python benchmarks/question_probes.py --weights medium-sd --clevr DIR

"Are there more balls left of the red cube than things behind the cyan ball?" has two references, in parts 1 and 2.
For each family and part a linear probe learns to read the reference's colour from the vector that the question
encoder gives g. A row is a probe, a column the questions it is tried on (a fifth, not trained on): the diagonal says
whether the colour can be read, the other columns whether it stands in the same place of the vector. Percent of
questions; before them the commonest colour ("none" counts as one).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.clevr.constants import COLORS
from rnlib.clevr.programs import records_of
from rnlib.clevr.schema import Program
from rnlib.clevr.split import open_split
from rnlib.clevr.subsets import part_of
from rnlib.model import NetworkInputs, Weights, load_weights

# Families that begin at references, and the parts these are in; 72 is "how many ... left of the ...".
REFERENCES = [(3, 1), (6, 1), (6, 2), (7, 1), (7, 2), (8, 1), (8, 2), (31, 1), (31, 2), (67, 1), (67, 2), (72, 1)]
EPOCHS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", required=True)
    parser.add_argument("--clevr", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--scenes", type=int, default=30_000, help="the first so many scenes (default 30000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = open_split(options.clevr, options.split, images=None)
    split = part_of(split, 0, min(options.scenes, split.n_images))
    wanted = {family for family, _ in REFERENCES}
    programs = {
        number: record.program or []
        for number, record in enumerate(records_of(split))
        if split.families[number] in wanted
    }
    numbers = np.array(list(programs))
    colors = {part: np.array([reference_color(program, part) for program in programs.values()]) for part in (1, 2)}
    for name in options.weights:
        weights = load_weights(name)
        vectors = encode(weights, NetworkInputs.of(split, weights.preset, weights.vocabulary), numbers)
        report(weights, vectors, split.families[numbers], {part: torch.from_numpy(c) for part, c in colors.items()})


def reference_color(program: Program, part: int) -> int:
    """The colour (from 1; 0: none is said) of the object that a part of a program (from 1) starts from."""
    at = 0
    for node in program:
        at += node.name == "scene"
        if at == part and node.name == "unique":
            return 0
        if at == part and node.name == "filter_color":
            return 1 + COLORS.index(node.value_inputs[0])
    return 0


@torch.no_grad()
def encode(weights: Weights, inputs: NetworkInputs, numbers: np.ndarray) -> Float[Tensor, "questions hidden"]:
    """The vectors of questions."""
    encoder = weights.network.eval().question
    return torch.cat([encoder(inputs.question(part)) for part in np.array_split(numbers, len(numbers) // 256 + 1)])


def report(
    weights: Weights,
    vectors: Float[Tensor, "questions hidden"],
    families: Integer[np.ndarray, " questions"],
    colors: dict[int, Integer[Tensor, " questions"]],
) -> None:
    """Print the table of one network."""
    parts = {}
    for family, part in REFERENCES:
        of = torch.from_numpy(np.flatnonzero(families == family))
        parts[family, part] = vectors[of], colors[part][of]
    columns = "".join(f"{f'{family}.{part}':>7}" for family, part in parts)
    print(f"\n{weights.name}: family.part\nprobe  commonest {columns}")
    for (family, part), (inside, truth) in parts.items():
        probe = learn(inside[: cut(truth)], truth[: cut(truth)])
        right = [100 * float((probe(x[cut(y) :]).argmax(1) == y[cut(y) :]).float().mean()) for x, y in parts.values()]
        commonest = 100 * float(truth.bincount().max()) / len(truth)
        print(f"{f'{family}.{part}':6} {commonest:9.1f} {''.join(f'{value:7.1f}' for value in right)}")


def cut(truth: Integer[Tensor, " questions"]) -> int:
    """Where the questions begin that no probe is trained on."""
    return int(0.8 * len(truth))


def learn(vectors: Float[Tensor, "questions hidden"], truth: Integer[Tensor, " questions"]) -> nn.Linear:
    """A linear probe."""
    torch.manual_seed(0)
    probe = nn.Linear(vectors.shape[1], 1 + len(COLORS))
    adam = torch.optim.AdamW(probe.parameters(), 1e-2)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(vectors)).split(256):
            adam.zero_grad()
            nn.functional.cross_entropy(probe(vectors[batch]), truth[batch]).backward()
            adam.step()
    return probe


if __name__ == "__main__":
    main()
