"""What may make a question hard, a number a question: crowding, distances, hidden objects, narrow decisions, length."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from rnlib.clevr.plots import picture_size
from rnlib.clevr.schema import read_questions
from rnlib.clevr.split import Split
from rnlib.errors import DataError
from rnlib.evaluation.deciding import asked_objects, deciding_margin, program_of, scene_of
from rnlib.synthesis.programs import node_values
from rnlib.synthesis.rerender import fit_camera
from rnlib.synthesis.visibility import Solids, visible_pixels

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
    """For each question the number of objects in its scene, the steps of its program and its words."""
    return pd.DataFrame(
        {
            OBJECTS: split.n_objects[split.image_of_question].astype(float),
            STEPS: split.program_lengths.astype(float),
            WORDS: split.lengths.astype(float),
        }
    )


def scene_factors(split: Split, scenes: int = 2000, seed: int = 0) -> pd.DataFrame:
    """For each question the SCENE_FACTORS, NaN where one does not apply.

    The last two need the program to be run and the picture's rays to be cast; this is done for `scenes`
    pictures drawn at random (all where there are no more), and the others' questions have NaN.
    VISIBLE: pixels of a 480x320 picture, the fewest of the objects asked about, exact but for
    the objects' rounded edges (rnlib.synthesis.visibility); NaN throughout, and a line says why, where the scenes
    were not seen by CLEVR's camera. MARGIN: `deciding_margin`. Raises DataError for programs
    that do not fit their scenes.
    """
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
    made = {int(row): scene_of(split, int(row)) for row in rows}
    try:
        size = picture_size(split, 0)
        pixels = {row: visible_pixels(fit_camera(scene, size), Solids.of_scene(scene)) for row, scene in made.items()}
    except DataError as error:
        print(f"Visible pixels are left out: {error}")
        pixels = {}
    visible, margins = table[VISIBLE].to_numpy(copy=True), table[MARGIN].to_numpy(copy=True)
    for number, record in enumerate(read_questions(split.directory.questions(split.name))):
        row = int(split.image_of_question[number])
        if row in made and record.program:
            program = program_of(record)
            values = node_values(program, made[row])
            margins[number] = deciding_margin(program, made[row], values)
            asked = asked_objects(program, values)
            if asked and row in pixels:
                visible[number] = pixels[row][sorted(asked)].min()
    return table.assign(**{VISIBLE: visible, MARGIN: margins})


def question_traits(split: Split) -> pd.DataFrame:
    """For each question which of TRAITS it has: a row a question, a bool column a trait."""
    functions = {name: number for number, name in enumerate(name for names in TRAITS.values() for name in names)}
    found = np.zeros((split.n_questions, len(functions)), bool)
    for number, record in enumerate(read_questions(split.directory.questions(split.name))):
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
    least = np.where(pairs, apart, np.inf).min(axis=(1, 2))
    return np.where(np.isfinite(least), least, np.nan)
