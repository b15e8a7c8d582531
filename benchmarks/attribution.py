"""Does what carried an answer lie where the object asked about is?

    python benchmarks/attribution.py --weights detect-fp --clevr DIR

For right answers to zero-hop query questions ("What color is the large sphere?"): of all cells (or described objects)
of the picture, the one with the largest share of the evidence (`rnlib.evaluation.attribution`) against the place of the
object asked about. It *holds* the object if the object's centre lies in its cell, and *touches* it if in one of the
eight cells around it. Beside it: what a cell (or described object) drawn at random would give. 95 % Wilson intervals.
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
import torch

from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.schema import QuestionRecord, raw_questions
from rnlib.clevr.split import open_split
from rnlib.evaluation.attribution import pair_map
from rnlib.evaluation.statistics import wilson
from rnlib.evaluation.what_if import asked_objects
from rnlib.model import NetworkInputs, load_weights
from rnlib.synthesis.execution import node_values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--clevr", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--questions", type=int, default=1000, help="right answers looked at (default 1000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_weights(options.weights)
    preset = weights.preset
    split = open_split(options.clevr, options.split, images=preset.picture_size)
    inputs = NetworkInputs.of(split, preset, weights.vocabulary)
    raw = raw_questions(split.directory.questions(split.name))
    asking = np.flatnonzero(np.isin(split.families, FAMILY_GROUPS["zero_hop"]))
    side = preset.cells_per_side
    holds, touches, random_holds, random_touches = [], [], [], []
    for question in np.random.default_rng(1).permutation(asking):
        record = msgspec.json.decode(raw[question], type=QuestionRecord)
        program = record.program or []
        if not split.type_name(int(question)).startswith("query"):
            continue
        row = int(split.image_of_question[question])
        words = inputs.tokens[question, : int(split.lengths[question])]
        found = pair_map(weights, inputs, row, words)
        if found is None or found.answer != split.answer_text(int(question)):
            continue
        (asked,) = asked_objects(program, node_values(program, split.scene(row)))
        place = np.floor(split.pixel_coords[row, asked, :2] / np.array(split.picture_size(row)) * side)
        distance = np.abs(np.floor(found.places * side) - place).max(1)
        brightest = distance[found.attribution.by_object.argmax()]
        holds.append(brightest == 0)
        touches.append(brightest <= 1)
        random_holds.append((distance == 0).mean())
        random_touches.append((distance <= 1).mean())
        if len(holds) == options.questions:
            break
    count = len(holds)
    print(f"{weights.name}: {count} right answers to zero-hop queries, {side} x {side} cells")
    for what, right, random in (("holds", holds, random_holds), ("holds or touches", touches, random_touches)):
        low, high = wilson(int(np.sum(right)), count)
        print(
            f"the brightest {what} the object asked about: {100 * np.mean(right):.1f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}]; one at random {100 * np.mean(random):.1f} %"
        )


if __name__ == "__main__":
    main()
