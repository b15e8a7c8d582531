"""Is the evidence where the attribution says? Objects are removed from the scene, and the question is asked again.

For each question the object that carried the answer most is removed, the one that carried it least, and one at random;
the picture is drawn again for a network that reads pixels, the row left out for one on state descriptions. If the
attribution tells the truth, the answer changes often in the first case and seldom in the second. What the true answer
does is known too: an answer may change because it has to, because the question has lost an object that it speaks of,
or for no reason.

Source: the deletion test of Petsiuk et al. 2018 (arXiv 1806.07421), with objects in place of pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from rnlib.clevr.constants import VIEW
from rnlib.clevr.schema import Program, Scene
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation.attribution import leave_one_out, pair_attribution
from rnlib.evaluation.statistics import wilson
from rnlib.evaluation.what_if import Case, log_probabilities_of, question_inputs, visual_inputs
from rnlib.model.checkpoint import Weights
from rnlib.synthesis.editing import remove_object
from rnlib.synthesis.execution import execute
from rnlib.synthesis.families import select_families
from rnlib.synthesis.questions import ask
from rnlib.synthesis.scenes import sample_scene

ILL_POSED = "ill-posed"  # the true answer where the question speaks of an object that is not there, or not unique
REMOVED = (
    "most, by integrated gradients",
    "most, by leaving pairs out",
    "at random",
    "least, by leaving pairs out",
    "least, by integrated gradients",
)
COLUMNS = ["answers", "changed", "low", "high", "truth changes", "changed with the truth", "changed without cause"]


@dataclass(frozen=True, eq=False)
class Asked:
    """A question with its program on a scene."""

    case: Case
    program: Program


def sample_questions(number: int, seed: int, families: Sequence[str] | None = None) -> list[Asked]:
    """So many questions, one each on CLEVR scenes of their own. `families`: as `select_families`."""
    rng, chosen = np.random.default_rng(seed), select_families(families)
    asked: list[Asked] = []
    while len(asked) < number:
        scene, view = sample_scene(rng, (3, 10), VIEW)
        for record in ask(Random(int(rng.integers(2**63))), scene, chosen, 1):
            asked.append(Asked(Case(scene, view, record.question), record.program or []))
    return asked


def object_evidence(weights: Weights, case: Case) -> dict[str, Float[np.ndarray, " objects"]]:
    """What each object of the scene contributed to the network's answer over the second best, in nats.

    Keys "integrated gradients" and "leaving pairs out"; half of every pair an object is in. Rows that a network has
    read off a picture count for the object nearest to where they say they are. Raises ConfigError for a network whose
    objects are not described, such as cells of a convolutional map, or that has no pairs.
    """
    preset, network = weights.preset, weights.network.eval()
    if not preset.kind.pads:
        raise ConfigError(
            f"expected weights that read state descriptions or describe what they see, found preset '{preset.name}', "
            "whose objects are cells. Choose other weights, such as detect-fp."
        )
    with torch.no_grad():
        objects = network.objects(visual_inputs(preset, [case]))
    tokens = question_inputs(weights, [case])
    found = pair_attribution(network, objects, tokens)
    pairs = leave_one_out(network, objects, tokens, found.answer, found.against)
    places = np.array([item.coordinates[:2] for item in case.scene.objects])
    rows = objects[0, : len(found.pairs), :2].numpy()
    nearest = np.linalg.norm(rows[:, None] - places[None], axis=2).argmin(1)
    shares = {"integrated gradients": found.by_object, "leaving pairs out": (pairs.sum(0) + pairs.sum(1)) / 2}
    return {name: np.bincount(nearest, share, len(places)) for name, share in shares.items()}


def delete_objects(weights: Weights, asked: Sequence[Asked], seed: int = 0) -> pd.DataFrame:
    """Remove objects and ask again: a row for each question and each of REMOVED.

    Columns: question (number), removed, object, answer and truth before, answer and truth after (ILL_POSED where the
    question is). Errors as `object_evidence`.
    """
    rng, names = np.random.default_rng(seed), weights.vocabulary.answers
    rows = []
    for number, one in enumerate(asked):
        case = one.case
        choices = dict(_choices(object_evidence(weights, case), int(rng.integers(len(case.scene.objects)))))
        removed = sorted(set(choices.values()))
        scenes = [case.scene, *(remove_object(case.scene, case.view.camera, i) for i in removed)]
        best = log_probabilities_of(weights, [Case(scene, case.view, case.question) for scene in scenes]).argmax(1)
        answers = [names[unit] for unit in best.tolist()]
        truths = [_truth(one.program, scene) for scene in scenes]
        for what, i in choices.items():
            after = 1 + removed.index(i)
            rows.append((number, what, i, answers[0], truths[0], answers[after], truths[after]))
    columns = ["question", "removed", "object", "answer", "truth", "answer after", "truth after"]
    return pd.DataFrame(rows, columns=columns)


def _choices(evidence: dict[str, np.ndarray], random: int) -> Iterator[tuple[str, int]]:
    """Which object each of REMOVED is."""
    choose: dict[str, Callable[[np.ndarray], int]] = {
        "most": lambda shares: int(shares.argmax()),
        "least": lambda shares: int(np.abs(shares).argmin()),
    }
    for what in REMOVED:
        how, _, method = what.partition(", by ")
        yield what, choose[how](evidence[method]) if method else random


def _truth(program: Program, scene: Scene) -> str:
    try:
        return execute(program, scene)
    except DataError:
        return ILL_POSED


def deletion_table(table: pd.DataFrame) -> pd.DataFrame:
    """How often answers change without an object, in percent: a row for each of REMOVED.

    Columns as COLUMNS: answers (their number), changed with its 95 % Wilson interval; truth changes: of the true
    answers, ill-posed questions included; changed with the truth, changed without cause: of the answers where the true
    answer changes, and where it does not.
    """
    rows = {}
    for what, part in table.groupby("removed", sort=False):
        changed = (part["answer"] != part["answer after"]).to_numpy()
        other = (part["truth"] != part["truth after"]).to_numpy()
        low, high = wilson(int(changed.sum()), len(changed))
        shares = [changed.mean(), low, high, other.mean(), _mean(changed[other]), _mean(changed[~other])]
        rows[what] = [len(part), *(100 * float(share) for share in shares)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).rename_axis("removed").loc[list(REMOVED)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
