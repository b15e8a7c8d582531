"""The turning point of a relation: where an object has to be for a network to say that it is left of another.

A question like "Is there a red cube left of the ball?" is asked again and again while the cube is moved past the
ball in small steps, nothing else changing. Its *margin* is (place of the cube - place of the ball) . left, in world
units; by CLEVR's rule the answer is yes beyond RELATION_THRESHOLD = 0.2, and no scene of CLEVR has a margin between
-0.4 and 0.4. The probability of yes, averaged over many scenes, is described by a psychometric function

    p(m) = low + (high - low) / (1 + exp(-(m - threshold) / scale))

threshold: where it is half way up; width = 2 ln(19) scale: the stretch over which it goes from 5 to 95 % of its way;
slope = (high - low) / (4 scale), at the threshold; low and 1 - high: how often the network is wrong however far apart
the objects are (lapse rates). Intervals: scenes are drawn again with replacement, and the curve fitted again.

Source: Wichmann and Hill 2001, "The psychometric function" I and II; of the rule, the public CLEVR generator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pandas as pd
import scipy
from jaxtyping import Float

from rnlib.clevr.constants import DIRECTIONS, HALF_WIDTH, RADII, RELATIONS, VIEW
from rnlib.clevr.schema import Program, Scene
from rnlib.evaluation.statistics import wilson_bounds
from rnlib.evaluation.what_if import Case, YesProbability
from rnlib.synthesis.camera import View
from rnlib.synthesis.candidates import SceneSets
from rnlib.synthesis.editing import change_object
from rnlib.synthesis.families import FAMILIES
from rnlib.synthesis.logical_form import Link, Question, Term, make_program
from rnlib.synthesis.realization import sentence
from rnlib.synthesis.scenes import GAP, LEAST_VISIBLE, RELATION_THRESHOLD, sample_scene
from rnlib.synthesis.visibility import Solids, all_visible

# Of the moved object, in world units; CLEVR's 0.2 lies in the middle of a step.
MARGINS = np.round(np.arange(-1.45, 1.5, 0.1), 2)
FLAT = 0.1  # a curve that rises by less has no threshold
DISTANCES = ("below 1.5", "1.5 to 3", "3 and more")
CROWDS = ("up to 4", "5 to 7", "8 and more")
TO_95 = 2 * np.log(19)  # a logistic curve goes from 5 to 95 % over so many times its scale
COLUMNS = ["threshold", "width", "slope", "low", "high"]
_EXIST = next(family for family in FAMILIES if (family.group, family.kind) == ("one_hop", "exist"))


@dataclass(frozen=True, eq=False)
class Trial:
    """Object `probe` of a scene, to be moved past object `anchor` along `relation`; both are the only ones of their
    description, so that the answer depends on the margin alone."""

    scene: Scene
    view: View
    anchor: int
    probe: int
    relation: str
    question: str
    program: Program

    def at(self, margin: float) -> Scene:
        """The scene with the probe at a margin, its distance from the anchor across the relation unchanged."""
        place = self.places(np.array([margin]))[0]
        return change_object(self.scene, self.view.camera, self.probe, coordinates=tuple(place.tolist()))

    def places(self, margins: Float[np.ndarray, " margins"]) -> Float[np.ndarray, "margins 3"]:
        """Where the probe is at each margin."""
        along, anchor = np.array(DIRECTIONS[self.relation]), np.array(self.scene.objects[self.anchor].coordinates)
        offset = np.array(self.scene.objects[self.probe].coordinates) - anchor
        return anchor + offset - (offset @ along) * along + np.asarray(margins)[:, None] * along

    @property
    def distance(self) -> float:
        """How far the two are apart across the relation: that far they pass each other."""
        offset = np.subtract(self.scene.objects[self.probe].coordinates, self.scene.objects[self.anchor].coordinates)
        return abs(float(offset @ DIRECTIONS["front" if self.relation in ("left", "right") else "right"]))


def sample_trials(number: int, seed: int, objects: tuple[int, int] = (3, 10)) -> list[Trial]:
    """So many trials on CLEVR scenes of their own, in which every place of the probe is free, visible and on the table.

    (The moved object comes nearer than CLEVR's 0.4 to the lines of the others: to pass them it has to.)
    """
    rng = np.random.default_rng(seed)
    trials: list[Trial] = []
    while len(trials) < number:
        scene, view = sample_scene(rng, objects, VIEW)
        trials += [trial for trial in _trials(Random(int(rng.integers(2**63))), scene, view) if _free(trial)][:1]
    return trials


def _trials(rng: Random, scene: Scene, view: View) -> Iterator[Trial]:
    """The trials that a scene may give, in random order."""
    sets = SceneSets(rng, scene)
    words: dict[int, list[tuple[str, ...]]] = {}
    for description, mask in sets.singles():
        words.setdefault(mask.bit_length() - 1, []).append(description)
    choices = [(i, j, name) for i in words for j in words if i != j for name in RELATIONS]
    for anchor, probe, relation in rng.sample(choices, len(choices)):
        link = Link("relate", relation, Term(rng.choice(words[anchor])))
        question = Question(_EXIST, (Term(rng.choice(words[probe]), (link,)),))
        yield Trial(scene, view, anchor, probe, relation, sentence(rng, question), make_program(question))


def _free(trial: Trial) -> bool:
    """Whether every place of the probe is on the table, has CLEVR's room around it and hides nothing."""
    places = trial.places(MARGINS)
    if np.abs(places[:, :2]).max() > HALF_WIDTH:
        return False
    radius = RADII[trial.scene.objects[trial.probe].size]
    for i, item in enumerate(trial.scene.objects):
        apart = np.hypot(*(places[:, :2] - item.coordinates[:2]).T)
        if i != trial.probe and apart.min() < radius + RADII[item.size] + GAP:
            return False
    solids = Solids.of_scene(trial.scene)
    for place in places:
        centres = solids.centres.copy()
        centres[trial.probe] = place
        moved = Solids(solids.shapes, centres, solids.radii, solids.turns)
        if not all_visible(trial.view.camera, moved, LEAST_VISIBLE):
            return False
    return True


def measure(ask: YesProbability, trials: Sequence[Trial]) -> pd.DataFrame:
    """The probability of yes at each of MARGINS: a row a trial and margin.

    Columns: trial, margin, yes (0 to 1), relation, axis ("left / right", "front / behind"), distance (of DISTANCES: in
    world units, across the relation), sizes ("both large", "one of each", "both small"), objects (of CROWDS: how many).
    """
    rows = []
    for number, trial in enumerate(trials):
        cases = [Case(trial.at(margin), trial.view, trial.question) for margin in MARGINS.tolist()]
        sizes = {trial.scene.objects[i].size for i in (trial.anchor, trial.probe)}
        table = pd.DataFrame({"trial": number, "margin": MARGINS, "yes": ask(cases)})
        rows.append(
            table.assign(
                relation=trial.relation,
                axis="left / right" if trial.relation in ("left", "right") else "front / behind",
                distance=DISTANCES[int(np.digitize(trial.distance, [1.5, 3]))],
                sizes="one of each" if len(sizes) == 2 else f"both {sizes.pop()}",
                objects=CROWDS[int(np.digitize(len(trial.scene.objects), [5, 8]))],
            )
        )
    return pd.concat(rows, ignore_index=True)


def psychometric(
    margin: Float[np.ndarray, " margins"], threshold: float, scale: float, low: float, high: float
) -> Float[np.ndarray, " margins"]:
    """The function above."""
    return low + (high - low) / (1 + np.exp(-np.clip((margin - threshold) / scale, -500, 500)))


def fit_curve(yes: Float[np.ndarray, " margins"]) -> dict[str, float]:
    """The psychometric function nearest (least squares) to mean probabilities at MARGINS: keys as COLUMNS.

    Threshold, width and slope are NaN where it rises by less than FLAT.
    """
    step, span = MARGINS[1] - MARGINS[0], MARGINS[-1] - MARGINS[0]
    half = (yes[0] + yes[-1]) / 2
    crossed = int(np.argmax(yes > half))
    begin = MARGINS[crossed] - step / 2 if crossed > 0 else 0.0
    least, most = [MARGINS[0], np.log(step / 50), 0, 0], [MARGINS[-1], np.log(span), 1, 1]
    start = np.clip([begin, np.log(step), yes[0], yes[-1]], np.array(least) + 1e-6, np.array(most) - 1e-6)
    found = scipy.optimize.least_squares(
        lambda at: psychometric(MARGINS, at[0], np.exp(at[1]), at[2], at[3]) - yes, start, bounds=(least, most)
    )
    threshold, low, high = float(found.x[0]), float(found.x[2]), float(found.x[3])
    scale = float(np.exp(found.x[1]))
    if abs(high - low) < FLAT:
        return dict(zip(COLUMNS, (np.nan, np.nan, np.nan, low, high), strict=True))
    return dict(zip(COLUMNS, (threshold, TO_95 * scale, (high - low) / (4 * scale), low, high), strict=True))


def bootstrap_curves(table: pd.DataFrame, resamples: int = 200, seed: int = 0) -> pd.DataFrame:
    """`fit_curve` of the trials of `table` (`measure`) drawn again with replacement: a row a drawing."""
    yes = _matrix(table)
    rng = np.random.default_rng(seed)
    drawings = (rng.integers(len(yes), size=len(yes)) for _ in range(resamples))
    return pd.DataFrame([fit_curve(yes[drawn].mean(0)) for drawn in drawings], columns=COLUMNS)


def turning_points(table: pd.DataFrame, by: Sequence[str] = (), resamples: int = 200) -> pd.DataFrame:
    """The fitted curves with 95 % bootstrap intervals: a row for each combination of the columns `by`.

    Columns: trials, then each of COLUMNS with its interval ("threshold from", "threshold to", ...).
    """
    groups = table.groupby(list(by), sort=False) if by else [((), table)]
    rows = []
    for key, part in groups:
        drawn = bootstrap_curves(part, resamples)
        row = {**dict(zip(by, key, strict=True)), "trials": part["trial"].nunique()}
        for name, value in fit_curve(_matrix(part).mean(0)).items():
            low, high = np.nanpercentile(drawn[name], [2.5, 97.5]) if drawn[name].notna().any() else (np.nan, np.nan)
            row |= {name: value, f"{name} from": low, f"{name} to": high}
        rows.append(row)
    return pd.DataFrame(rows)


def width_ratio(first: pd.DataFrame, second: pd.DataFrame, resamples: int = 200) -> tuple[float, float, float]:
    """How many times as wide the first table's curve is as the second's, with a 95 % bootstrap interval."""
    value = fit_curve(_matrix(first).mean(0))["width"] / fit_curve(_matrix(second).mean(0))["width"]
    drawn = [bootstrap_curves(one, resamples, seed)["width"].to_numpy() for seed, one in enumerate((first, second))]
    low, high = np.nanpercentile(drawn[0] / drawn[1], [2.5, 97.5])
    return float(value), float(low), float(high)


def errors_by_margin(table: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """How often the more probable of yes and no is wrong, in percent with 95 % Wilson intervals.

    A row for each combination of the columns `by` and each absolute margin; both sides together. Columns: margin,
    cases, wrong, low, high.
    """
    wrong = (table["yes"] > 0.5) != (table["margin"] > RELATION_THRESHOLD)
    groups = table.assign(wrong=wrong, margin=table["margin"].abs()).groupby([*by, "margin"], sort=True)["wrong"]
    rows = groups.agg(["size", "sum"]).reset_index()
    low, high = wilson_bounds(rows["sum"].to_numpy(), rows["size"].to_numpy())
    rows = rows.assign(wrong=100 * rows["sum"] / rows["size"], low=100 * low, high=100 * high)
    return rows.drop(columns="sum").rename(columns={"size": "cases"})


def _matrix(table: pd.DataFrame) -> Float[np.ndarray, "trials margins"]:
    return table.pivot(index="trial", columns="margin", values="yes").to_numpy()
