"""Do questions about sets give their answers away? Ours beside those of the public generator.

    python benchmarks/sets.py --official DIR            DIR: files of the public generator; about half a minute

Of questions that ask for the number or the existence of a set in a relation, or like an object, and describe it by
some words: how often the answer is "yes", by the number of words; how often nothing but the object that the relation
starts from (the anchor) fits the description elsewhere; how often relation or likeness takes nothing away. Where these
differ from the public generator's, a network can learn the difference in place of the relation (docs/log.md).
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.schema import Program, Scene, read_questions, read_scenes
from rnlib.synthesis.execution import node_values
from rnlib.synthesis.questions import SUPPORTED, ask, select_families
from rnlib.synthesis.scenes import sample_scene

Asked = Iterable[tuple[Scene, Program]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, metavar="DIR", help="files of the public generator")
    parser.add_argument("--scenes", type=int, default=2000, metavar="N", help="of ours (default 2000)")
    options = parser.parse_args()
    official, ours = tell(official_questions(options.official)), tell(our_questions(options.scenes))
    print(f"{'':68s}{'official':>16s}{'ours':>16s}")
    for name in official:
        cells = (f"{hits} of {n}" for hits, n in (official[name], ours[name]))
        print(f"{name:68s}" + "".join(f"{cell:>16s}" for cell in cells))


def official_questions(root: Path) -> Asked:
    """The val questions of a set with their scenes."""
    directory = ClevrDirectory.find(root)
    scenes = {scene.image_index: scene for scene in read_scenes(directory.scenes("val"))}
    for question in read_questions(directory.questions("val")):
        yield scenes[question.image_index], question.program or []


def our_questions(scenes: int) -> Asked:
    """Ten questions each on scenes of our own."""
    rng, families = np.random.default_rng(123), select_families(SUPPORTED)
    for number in range(scenes):
        scene = sample_scene(rng, (3, 10), (480, 320))[0]
        for question in ask(Random(number), scene, families, 10):
            yield scene, question.program or []


def tell(asked: Asked) -> dict[str, tuple[int, int]]:
    """(hits, questions) by what is told."""
    hits: Counter[str] = Counter()
    total: Counter[str] = Counter()

    def note(name: str, hit: bool) -> None:
        total[name] += 1
        hits[name] += hit

    for scene, program in asked:
        at, words = len(program) - 1, 0
        if program[at].name not in ("count", "exist"):
            continue
        at = program[at].inputs[0]
        while program[at].name.startswith("filter"):
            at, words = program[at].inputs[0], words + 1
        kind = program[at].name.split("_")[0]
        if kind not in ("relate", "same") or not words:
            continue
        values = node_values(program, scene)
        everything: list[Any] = list(range(len(scene.objects)))
        described = node_values(program[:-1], scene, [*values[:at], everything])[-1]
        there, anchor = values[-2], values[program[at].inputs[0]]
        if kind == "relate" and program[-1].name == "exist":
            note(f"relation, {'one or two' if words < 3 else 'three or four'} words: yes", bool(there))
        if not there:
            none = not described if kind == "same" else set(described) == {anchor}
            note("same, none: nowhere in the scene" if kind == "same" else "relation, none: only the anchor fits", none)
        elif program[-1].name == "count":
            note(f"{'relation' if kind == 'relate' else 'same'}, some: nothing is taken away", there == described)
    return {name: (hits[name], total[name]) for name in sorted(total)}


if __name__ == "__main__":
    main()
