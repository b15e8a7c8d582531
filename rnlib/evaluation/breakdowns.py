"""Accuracy by question family, and binned by a number: objects, question length, and what is in the scene.

Questions of different types are spread differently over such a number: crowded scenes have
more large counts. So each bin also has the accuracy that the types alone would give, and
`effect_within_types` of rnlib.evaluation.statistics compares only questions of one type.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer, Shaped

from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.programs import records_of
from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.evaluation.statistics import wilson_bounds
from rnlib.evaluation.what_if import asked_objects, counterfactual_margin
from rnlib.synthesis.camera_fit import fit_camera
from rnlib.synthesis.execution import node_values
from rnlib.synthesis.visibility import Solids, visible_pixels

# In the order of what they demand: no relation first, comparisons last.
GROUPS = (
    *("zero_hop", "one_hop", "two_hop", "three_hop", "single_and"),
    *("single_or", "same_relate", "comparison", "compare_integer"),
)
_GROUP_OF_FAMILY = {family: group for group, families in FAMILY_GROUPS.items() for family in families}


def accuracy_by_family(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a model and family that occurs, and one a model and group (family -1), in the order of GROUPS.

    Columns: model, group, family, questions, accuracy, low, high (percent, 95 % Wilson interval).
    Families that are not recorded (255) are left out.
    """
    tables = []
    for model, table in predictions.items():
        known = pd.DataFrame({"family": table["family"].astype(int), "correct": table["correct"].astype(bool)})
        known["group"] = known["family"].map(_GROUP_OF_FAMILY)
        known = known.dropna(subset="group")
        for keys in (["group"], ["group", "family"]):
            counts = known.groupby(keys)["correct"].agg(["size", "sum"]).reset_index()
            low, high = wilson_bounds(counts["sum"].to_numpy(int), counts["size"].to_numpy(int))
            counts = counts.assign(model=model, low=100 * low, high=100 * high)
            tables.append(counts if "family" in keys else counts.assign(family=-1))
    columns = ["model", "group", "family", "questions", "accuracy", "low", "high"]
    found = pd.concat(tables, ignore_index=True)
    if not len(found):
        return pd.DataFrame(columns=columns)
    found["accuracy"] = 100 * found["sum"] / found["size"]
    place = found["group"].map({group: number for number, group in enumerate(GROUPS)})
    found = found.assign(place=place).sort_values(["place", "family"], kind="stable")
    return found.rename(columns={"size": "questions"})[columns].reset_index(drop=True)


def hardest_families(families: pd.DataFrame, split: Split, n: int = 8, least: int = 5) -> pd.DataFrame:
    """The n families with the lowest accuracy in the mean over the models, with an example from the split.

    `families`: `accuracy_by_family`. Families of fewer than `least` questions are left out. Index family;
    columns group, questions, a model each (percent), example.
    """
    single = families[(families["family"] >= 0) & (families["questions"] >= least)]
    table = single.pivot_table("accuracy", "family", "model", sort=False)
    table = table.loc[table.mean(axis=1).sort_values(kind="stable").index[:n]].round(1)
    about = single.drop_duplicates("family").set_index("family").loc[table.index]
    examples = [split.question_text(int(np.argmax(split.families == family))) for family in table.index]
    table = pd.concat([about[["group", "questions"]], table], axis=1)
    return table.assign(example=examples)


def bin_numbers(values: Shaped[np.ndarray, " questions"], most: int = 8) -> Integer[np.ndarray, " questions"]:
    """The bin of each value, from 0; -1 for a missing one.

    A bin a value where at most `most` different values occur, else about `most` bins of equally many questions.
    """
    known = ~pd.isna(values)
    bins = np.full(len(values), -1)
    if known.any():
        different, which = np.unique(values[known], return_inverse=True)
        if len(different) > most:
            which = pd.qcut(values[known], most, labels=False, duplicates="drop")
        bins[known] = which
    return bins


def binned_accuracy(
    predictions: pd.DataFrame, values: Shaped[np.ndarray, " questions"], name: str, most: int = 8
) -> pd.DataFrame:
    """Accuracy in percent along `values`, one a question (NaN: left out), a row a bin of `bin_numbers`.

    Index `name`: the mean value in the bin. Columns: questions, accuracy, low, high (95 % Wilson
    interval), expected (the accuracy if it depended on nothing but the question's type), least and
    greatest (values in the bin).
    """
    bins = bin_numbers(values, most)
    known = bins >= 0
    correct = predictions["correct"].to_numpy(bool)[known]
    expected = pd.Series(correct).groupby(predictions["type"].to_numpy(str)[known]).transform("mean")
    table = pd.DataFrame({"value": values[known].astype(float), "correct": correct, "expected": expected})
    grouped = table.groupby(bins[known])
    questions, hits = grouped.size().to_numpy(), grouped["correct"].sum().to_numpy()
    low, high = wilson_bounds(hits, questions)
    columns = {
        "questions": questions,
        "accuracy": 100 * hits / questions,
        "low": 100 * low,
        "high": 100 * high,
        "expected": 100 * grouped["expected"].mean().to_numpy(),
        "least": grouped["value"].min().to_numpy(),
        "greatest": grouped["value"].max().to_numpy(),
    }
    return pd.DataFrame(columns, index=pd.Index(grouped["value"].mean().to_numpy(), name=name))


OBJECTS, CLOSEST = "objects in the scene", "closest two objects (world units)"
VISIBLE, MARGIN = "visible pixels of the object asked about", "margin of the deciding relation (world units)"
STEPS, WORDS = "steps of the program", "words of the question"
SCENE_FACTORS = (OBJECTS, CLOSEST, VISIBLE, MARGIN)

# What a question demands, by the functions of its program: continues "questions that ...".
TRAITS: dict[str, tuple[str, ...]] = {
    "count objects": ("count",),
    "compare two numbers": ("equal_integer", "less_than", "greater_than"),
    "compare an attribute of two objects": ("equal_size", "equal_color", "equal_material", "equal_shape"),
    "ask for an attribute": ("query_size", "query_color", "query_material", "query_shape"),
    "ask whether something is there": ("exist",),
    "follow a relation in space": ("relate",),
    "look for the same size, color, material or shape": ("same_size", "same_color", "same_material", "same_shape"),
    "join two conditions by “and”": ("intersect",),
    "join two sets by “or”": ("union",),
}


def simple_factors(split: Split) -> pd.DataFrame:
    """For each question the number of objects in its scene, the steps of its program and its words.

    Without scenes or programs their column is left out.
    """
    columns = {}
    if split.has_scenes:
        columns[OBJECTS] = split.n_objects[split.image_of_question].astype(float)
    if split.has_programs:
        columns[STEPS] = split.program_lengths.astype(float)
    return pd.DataFrame({**columns, WORDS: split.lengths.astype(float)})


def scene_factors(split: Split, scenes: int = 2000, seed: int = 0) -> pd.DataFrame:
    """For each question the SCENE_FACTORS, NaN where one does not apply.

    The last two need the program to be run and the picture's rays to be cast; this is done for `scenes`
    pictures drawn at random (all where there are no more), and the others' questions have NaN.
    VISIBLE: pixels of a 480x320 picture, the fewest of the objects asked about, exact but for
    the objects' rounded edges (rnlib.synthesis.visibility); NaN throughout, and a line says why, where the scenes
    were not seen by CLEVR's camera. MARGIN: `counterfactual_margin`. Raises DataError for programs
    that do not fit their scenes. Without scenes all is NaN.
    """
    if not split.has_scenes:
        return pd.DataFrame(np.nan, index=range(split.n_questions), columns=list(SCENE_FACTORS))
    table = pd.DataFrame(
        {
            OBJECTS: split.n_objects[split.image_of_question].astype(float),
            CLOSEST: closest_pair(split)[split.image_of_question],
            VISIBLE: np.nan,
            MARGIN: np.nan,
        }
    )
    rows = np.arange(split.n_images)
    if len(rows) > scenes:
        rows = np.sort(np.random.default_rng(seed).choice(rows, scenes, replace=False))
    made = {int(row): split.scene(int(row)) for row in rows}
    try:
        size = split.picture_size(0)
        pixels = {row: visible_pixels(fit_camera(scene, size), Solids.of_scene(scene)) for row, scene in made.items()}
    except DataError as error:
        print(f"Visible pixels are left out: {error}")
        pixels = {}
    visible, margins = table[VISIBLE].to_numpy(copy=True), table[MARGIN].to_numpy(copy=True)
    for number, record in enumerate(records_of(split)):
        row = int(split.image_of_question[number])
        if row in made and record.program:
            program = record.program
            values = node_values(program, made[row])
            margins[number] = counterfactual_margin(program, made[row], values)
            asked = asked_objects(program, values)
            if asked and row in pixels:
                visible[number] = pixels[row][sorted(asked)].min()
    return table.assign(**{VISIBLE: visible, MARGIN: margins})


def question_traits(split: Split) -> pd.DataFrame:
    """For each question which of TRAITS it has: a row a question, a bool column a trait."""
    functions = {name: number for number, name in enumerate(name for names in TRAITS.values() for name in names)}
    found = np.zeros((split.n_questions, len(functions)), bool)
    for number, record in enumerate(records_of(split)):
        for node in record.program or ():
            if node.name in functions:
                found[number, functions[node.name]] = True
    columns = {trait: found[:, [functions[name] for name in names]].any(axis=1) for trait, names in TRAITS.items()}
    compared = columns["compare two numbers"] | columns["compare an attribute of two objects"]
    columns["ask for an attribute"] &= ~compared  # a comparison looks attributes up, but does not ask for them
    return pd.DataFrame(columns)


def closest_pair(split: Split) -> Float[np.ndarray, " pictures"]:
    """For each picture how far apart on the ground its two closest objects' centres are; NaN for one object."""
    places = np.asarray(split.coordinates[:, :, :2], np.float64)
    apart = np.linalg.norm(places[:, :, None] - places[:, None, :], axis=3)
    there = np.arange(places.shape[1]) < split.n_objects[:, None]
    pairs = there[:, :, None] & there[:, None, :] & ~np.eye(places.shape[1], dtype=bool)
    least = np.where(pairs, apart, np.inf).min(axis=(1, 2), initial=np.inf)
    return np.where(np.isfinite(least), least, np.nan)
