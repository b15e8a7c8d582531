"""Does a network read which object a question starts from?

    python benchmarks/references.py --weights medium-sd --clevr DIR

"How many spheres are left of the red cube?" begins at a *reference*, the red cube. Its colour is replaced by one that
names another object of the scene, such that the true answer changes. A network that reads the reference answers that
question too; one that guesses from the other words says the same as before. By question family and by the part of the
question that the reference is in (1 or 2, of two that are joined or compared): how many of these questions are answered
correctly as they stand, how many with the other reference, and how many answers stay the same. With --wordings each
wording of a family, by its first words, has a line of its own.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import torch

from rnlib.clevr.constants import COLORS, FAMILY_GROUPS, family_numbers
from rnlib.clevr.programs import records_of
from rnlib.clevr.schema import Program
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import part_of
from rnlib.model import NetworkInputs, Weights, load_weights
from rnlib.synthesis.execution import answer_if_any
from rnlib.synthesis.families import FAMILIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", required=True)
    parser.add_argument("--clevr", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--scenes", type=int, default=5000, help="the first so many scenes (default 5000)")
    parser.add_argument("--families", nargs="+", default=list(FAMILY_GROUPS), help="groups or numbers (default: all)")
    parser.add_argument("--wordings", type=int, default=0, metavar="N", help="also by the first N words (default 0)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.weights:
        weights = load_weights(name)
        split = open_split(options.clevr, options.split, images=weights.preset.picture_size)
        split = part_of(split, 0, min(options.scenes, split.n_images))
        report(weights, split, family_numbers(options.families), options.wordings)


def other_references(split: Split, families: list[int]) -> Iterator[tuple[int, int, str, str, str]]:
    """Questions by number, the part its reference is in, the reference's colour, another one, the answer with that."""
    for number, record in enumerate(records_of(split)):
        if split.families[number] not in families:
            continue
        colors = np.random.default_rng([1, number]).permutation(COLORS)
        program = record.program or []
        scene = split.scene(int(split.image_of_question[number]))
        for node in reference_colors(program):
            color = program[node].value_inputs[0]
            if record.question.split().count(color) != 1:
                continue
            changed = [(other, answer_if_any(recolored(program, node, other), scene)) for other in colors]
            new = [(other, answer) for other, answer in changed if answer not in (None, record.answer)]
            if new and new[0][0] not in record.question.split():
                part = sum(earlier.name == "scene" for earlier in program[:node])
                yield number, part, color, *new[0]


def reference_colors(program: Program) -> list[int]:
    """The nodes that say of which color the objects are that the program starts from."""
    found = []
    for node in program:
        position = node.inputs[0] if node.name == "unique" else -1
        while position >= 0 and program[position].name.startswith("filter"):
            if program[position].name == "filter_color":
                found.append(position)
            position = program[position].inputs[0]
    return found


def recolored(program: Program, node: int, color: str) -> Program:
    """The program with another color at a node."""
    return [*program[:node], msgspec.structs.replace(program[node], value_inputs=[color]), *program[node + 1 :]]


def report(weights: Weights, split: Split, families: list[int], words: int) -> None:
    """Print the figures of each family, and of its wordings as told apart by so many first words."""
    network, vocabulary = weights.network.eval(), weights.vocabulary
    inputs = NetworkInputs.of(split, weights.preset, vocabulary)
    word = {text: index for index, text in enumerate(vocabulary.words, 1)}
    found = list(other_references(split, families))
    rows = defaultdict(list)
    for start in range(0, len(found), 256):
        numbers, parts, before, after, answers = zip(*found[start : start + 256], strict=True)
        asked = inputs.question(np.array(numbers))
        other = asked.clone()
        for row, (old, new) in enumerate(zip(before, after, strict=True)):
            other[row][other[row] == word[old]] = word[new]
        with torch.no_grad():
            objects = network.objects(inputs.visual(split.image_of_question[list(numbers)]))
            first, second = (
                [vocabulary.answers[k] for k in network.answer_from_objects(objects, encoded).argmax(1)]
                for encoded in (asked, other)
            )
        for number, part, one, two, answer in zip(numbers, parts, first, second, answers, strict=True):
            answered = one == split.answer_text(number), two == answer, one == two
            wording = " ".join(split.question_text(number).split()[:words])
            rows[int(split.families[number]), part, wording].append(answered)
    print(f"\n{weights.name} on {split.n_images:,} scenes of {split.name}: percent of questions")
    print("family                              part   questions   right   right with another reference   same answer")
    for family, part, wording in sorted(rows):
        answered = rows[family, part, wording]
        asked, other, same = 100 * np.mean(answered, 0)
        what = f"{family:2} {FAMILIES[family].group}, {FAMILIES[family].kind}"
        print(f"{what:34} {part:5} {len(answered):11,} {asked:7.1f} {other:30.1f} {same:13.1f}  {wording}")


if __name__ == "__main__":
    main()
