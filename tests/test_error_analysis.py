"""What a question hangs on is found as by hand; effects agree with scipy; the text says what the numbers say."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, mannwhitneyu

from rnlib.clevr.schema import Program, ProgramNode, Scene, SceneObject, read_questions, read_scenes
from rnlib.clevr.split import Split, open_split
from rnlib.errors import DataError
from rnlib.evaluation.breakdowns import (
    CLOSEST,
    MARGIN,
    OBJECTS,
    SCENE_FACTORS,
    TRAITS,
    VISIBLE,
    bin_numbers,
    binned_accuracy,
    question_traits,
    scene_factors,
    simple_factors,
)
from rnlib.evaluation.error_analysis import error_by_trait, error_selections, in_common, weak_kinds, weakest_types
from rnlib.evaluation.plots.accuracy import plot_binned_accuracy
from rnlib.evaluation.plots.comparison import plot_weakest
from rnlib.evaluation.report import Report, describe_mistakes, describe_weakest
from rnlib.evaluation.statistics import effect_within_types
from rnlib.evaluation.what_if import asked_objects, counterfactual_margin
from rnlib.synthesis.camera_fit import fit_camera
from rnlib.synthesis.execution import execute, node_values
from rnlib.synthesis.visibility import Solids, visible_pixels


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(scope="module")
def programs(split: Split) -> list[Program]:
    return [record.program or [] for record in read_questions(split.directory.questions("val"))]


@pytest.fixture(scope="module")
def factors(split: Split) -> pd.DataFrame:
    return scene_factors(split)


# A row of three objects from left to right, the second only just right of the first.
RIGHT = np.array([0.656311, 0.754490, 0.0])
ROW = Scene(
    image_index=0,
    image_filename="",
    objects=[
        SceneObject(tuple((RIGHT * along).tolist()), (0.0, 0.0, 0.0), 0.0, "small", color, "metal", shape)
        for along, color, shape in ((0.0, "red", "cube"), (0.5, "blue", "sphere"), (2.0, "green", "sphere"))
    ],
    relationships={"right": [[1, 2], [2], []], "left": [[], [0], [0, 1]], "front": [[]] * 3, "behind": [[]] * 3},
)


def node(function: str, *inputs: int, value: str = "") -> ProgramNode:
    return ProgramNode(function=function, inputs=list(inputs), value_inputs=[value] if value else [])


RIGHT_OF_RED = [
    *(node("scene"), node("filter_color", 0, value="red"), node("unique", 1), node("relate", 2, value="right")),
]


@pytest.mark.parametrize(
    ("rest", "margin", "asked"),
    [
        # How many things are right of the red one? Each of the two counts: the nearer decides.
        ([node("count", 3)], 0.5, {1, 2}),
        # Is anything right of it? Either would do, so neither decides alone.
        ([node("exist", 3)], np.nan, {1, 2}),
        # Is anything green right of it? The blue sphere does not matter, however near.
        ([node("filter_color", 3, value="green"), node("exist", 4)], 2.0, {2}),
        # What color is the sphere right of it that is green? As above, but the blue one is of no consequence.
        ([node("filter_color", 3, value="green"), node("unique", 4), node("query_shape", 5)], 2.0, {2}),
        # How many cubes are right of it? There is no other cube, whichever side.
        ([node("filter_shape", 3, value="cube"), node("count", 4)], np.nan, set()),
    ],
)
def test_the_margin_is_that_of_the_relations_that_decide(rest: Program, margin: float, asked: set[int]) -> None:
    program = [*RIGHT_OF_RED, *rest]
    values = node_values(program, ROW)
    assert counterfactual_margin(program, ROW, values) == pytest.approx(margin, rel=1e-4, nan_ok=True)
    assert asked_objects(program, values) == asked


def test_a_question_without_relations_has_no_margin() -> None:
    program = [node("scene"), node("count", 0)]
    assert np.isnan(counterfactual_margin(program, ROW, node_values(program, ROW)))


def test_given_values_stand_instead_of_what_they_would_be() -> None:
    program = [*RIGHT_OF_RED, node("count", 3)]
    assert node_values(program, ROW)[-1] == 2
    assert node_values(program, ROW, [[0, 1, 2], [0], 0, [2]])[-1] == 1
    with pytest.raises(DataError, match="exactly one object, found 2"):
        node_values(program, ROW, [[0, 1, 2], [0, 1]])


def test_scenes_and_programs_out_of_the_arrays_give_the_stored_answers(split: Split, programs: list[Program]) -> None:
    scenes = [split.scene(row) for row in range(split.n_images)]
    for number, program in enumerate(programs):
        assert execute(program, scenes[int(split.image_of_question[number])]) == split.answer_text(number)


def test_the_margin_is_found_by_turning_relations_round_in_the_scene(
    split: Split, programs: list[Program], factors: pd.DataFrame
) -> None:
    """For questions with one relation the scene itself can be changed, and the whole program be run on it."""
    seen = 0
    for number, program in enumerate(programs):
        steps = [one for one in program if one.name == "relate"]
        if len(steps) != 1:
            continue
        scene = split.scene(int(split.image_of_question[number]))
        [relation] = steps[0].value_inputs
        anchor = node_values(program, scene)[steps[0].inputs[0]]
        apart = []
        for other in set(range(len(scene.objects))) - {anchor}:
            changed = deepcopy(scene)
            lists = changed.relationships[relation]
            lists[anchor] = sorted(set(lists[anchor]) ^ {other})
            try:
                decides = execute(program, changed) != split.answer_text(number)
            except DataError:
                decides = True
            if decides:
                places = [np.array(scene.objects[i].coordinates) for i in (anchor, other)]
                direction = json.loads(split.directory.scenes("val").read_text())["scenes"][0]["directions"][relation]
                apart.append(abs((places[1] - places[0]) @ np.array(direction)))
        assert factors[MARGIN][number] == pytest.approx(min(apart, default=np.nan), rel=1e-5, nan_ok=True)
        seen += bool(apart)
    assert seen >= 5


def test_visible_pixels_are_those_of_the_least_visible_object_asked_about(
    split: Split, programs: list[Program], factors: pd.DataFrame
) -> None:
    scenes = list(read_scenes(split.directory.scenes("val")))
    pixels = [visible_pixels(fit_camera(scene, (120, 80)), Solids.of_scene(scene)) for scene in scenes]
    for number, program in enumerate(programs):
        row = int(split.image_of_question[number])
        asked = asked_objects(program, node_values(program, scenes[row]))
        expected = min((pixels[row][i] for i in asked), default=np.nan)
        # The arrays hold coordinates in 32 bits: a ray in some thousand may go the other way.
        assert factors[VISIBLE][number] == pytest.approx(expected, abs=5, nan_ok=True)


def test_crowding_is_counted_as_by_hand(split: Split, factors: pd.DataFrame) -> None:
    for number in range(0, split.n_questions, 7):
        row = int(split.image_of_question[number])
        count = int(split.n_objects[row])
        places = split.coordinates[row, :count, :2].astype(float)
        apart = [np.hypot(*(places[i] - places[j])) for i in range(count) for j in range(i)]
        assert factors[OBJECTS][number] == count
        assert factors[CLOSEST][number] == pytest.approx(min(apart))
    simple = simple_factors(split)
    assert simple["words of the question"].tolist() == split.lengths.tolist()


def test_of_many_scenes_a_sample_is_run_again(split: Split, factors: pd.DataFrame) -> None:
    sample = scene_factors(split, scenes=4)
    run = sample[VISIBLE].notna()
    assert len(set(split.image_of_question[run.to_numpy()])) == 4
    pd.testing.assert_frame_equal(sample[run], factors[run])
    assert sample[[OBJECTS, CLOSEST]].equals(factors[[OBJECTS, CLOSEST]])


def test_scenes_of_another_camera_have_no_visible_pixels(
    split: Split, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Split, "picture_size", lambda split, row: (480, 320))  # pixel_coords are of 120 x 80
    found = scene_factors(split)
    assert found[VISIBLE].isna().all() and found[MARGIN].notna().any()
    assert "Visible pixels are left out" in capsys.readouterr().out


def test_traits_are_read_off_the_programs(split: Split, programs: list[Program]) -> None:
    traits = question_traits(split)
    assert list(traits) == list(TRAITS)
    for number, program in enumerate(programs):
        functions = {one.name for one in program}
        assert traits["count objects"][number] == ("count" in functions)
        assert traits["follow a relation in space"][number] == ("relate" in functions)
        assert traits["ask for an attribute"][number] == program[-1].name.startswith("query_")


# Along a quantity


def made_up(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Counts and other questions; errors go with the value, and counts have greater values."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["count", "exist", "query_size"], n)
    values = rng.normal(0, 1, n) + 2 * (kinds == "count")
    wrong = rng.random(n) < np.where(kinds == "count", 0.4, 0.05)
    return pd.DataFrame({"type": kinds, "correct": ~wrong}), values


@given(st.lists(st.one_of(st.integers(0, 30), st.just(None)), min_size=1, max_size=80), st.integers(1, 9))
def test_bins_are_in_order_and_few(given_values: list[int | None], most: int) -> None:
    values = np.array(given_values, float)
    bins = bin_numbers(values, most)
    assert ((bins == -1) == np.isnan(values)).all()
    known = ~np.isnan(values)
    assert len(np.unique(bins[known])) <= most
    order = np.argsort(values[known], kind="stable")
    assert (np.diff(bins[known][order]) >= 0).all()
    if len(np.unique(values[known])) <= most:
        assert len(np.unique(bins[known])) == len(np.unique(values[known]))


def test_accuracy_along_a_quantity_counts_bounds_and_expects() -> None:
    predictions = pd.DataFrame(
        {
            "type": ["count", "count", "exist", "exist", "exist", "exist"],
            "correct": [False, False, True, True, True, False],
        }
    )
    found = binned_accuracy(predictions, np.array([7.0, 7.0, 7.0, 3.0, 3.0, np.nan]), "objects")
    assert found.index.tolist() == [3, 7] and found.index.name == "objects"
    assert found["questions"].tolist() == [2, 3]
    assert found["accuracy"].tolist() == pytest.approx([100, 100 / 3])
    assert ((found["low"] <= found["accuracy"]) & (found["accuracy"] <= found["high"])).all()
    # Of the five questions with a value all exist ones are right and no count: 100 %, and a third.
    assert found["expected"].tolist() == pytest.approx([100, 100 / 3])


def test_with_one_type_the_effect_is_mann_and_whitneys() -> None:
    rng = np.random.default_rng(0)
    values, wrong = rng.integers(0, 9, 120).astype(float), rng.random(120) < 0.3
    found = effect_within_types(pd.DataFrame({"type": "count", "correct": ~wrong}), values)
    oracle = mannwhitneyu(values[wrong], values[~wrong], method="asymptotic", use_continuity=False)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.share == pytest.approx(oracle.statistic / (wrong.sum() * (~wrong).sum()))


def test_within_types_means_that_types_are_not_compared_with_each_other() -> None:
    predictions, values = made_up(2000)
    together = effect_within_types(predictions.assign(type="any"), values)
    apart = effect_within_types(predictions, values)
    assert together.p < 1e-6 and together.share > 0.6  # counts have greater values, and are wrong more often
    assert apart.p > 0.05 and abs(apart.share - 0.5) < 0.05
    wins = [
        (high > low) + 0.5 * (high == low)
        for kind in predictions["type"].unique()
        for high in values[(predictions["type"] == kind) & ~predictions["correct"]]
        for low in values[(predictions["type"] == kind) & predictions["correct"]]
    ]
    assert apart.share == pytest.approx(np.mean(wins))


def test_an_effect_of_nothing_is_seldom_found() -> None:
    below = np.mean([effect_within_types(*made_up(150, seed)).p < 0.05 for seed in range(200)])
    assert 0.02 < below < 0.09
    nothing_wrong = pd.DataFrame({"type": ["count"] * 3, "correct": [True] * 3})
    assert np.isnan(effect_within_types(nothing_wrong, np.arange(3.0)).p)


def test_the_figure_has_a_panel_a_quantity_and_says_where_there_is_none() -> None:
    predictions, values = made_up(300)
    tables = {name: binned_accuracy(predictions, values, "a quantity") for name in ("one", "two")}
    empty = {"one": binned_accuracy(predictions, np.full(300, np.nan), "margin")}
    positive = {"one": binned_accuracy(predictions, np.exp(values), "pixels")}
    figure = plot_binned_accuracy([tables, empty, positive], "along", logarithmic=("margin", "pixels"))
    assert [axes.get_xlabel() for axes in figure.axes[:3]] == ["a quantity", "margin", "pixels"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["no question has one"]
    assert figure.axes[2].get_xscale() == "log"


# The weakest types

BASELINE = pd.DataFrame({"accuracy": {"count": 26.3, "exist": 50.5, "less_than": 51.0}})


@pytest.fixture(scope="module")
def weak_at_counting() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and traits: 30 % wrong where something is counted, 3 % elsewhere."""
    rng = np.random.default_rng(3)
    kinds = rng.choice(["count", "exist", "less_than", "query_color", "equal_size"], 3000)
    counts = np.isin(kinds, ["count", "less_than"])
    correct = rng.random(3000) > np.where(counts, 0.3, 0.03)
    truth = np.select([kinds == "count", kinds == "query_color"], ["2", "red"], "yes")
    wrong = np.select([kinds == "count", kinds == "query_color"], ["1", "blue"], "no")
    predictions = pd.DataFrame({"type": kinds, "correct": correct, "truth": truth, "invalid": False})
    predictions["answer"] = np.where(correct, truth, wrong)
    traits = pd.DataFrame({trait: np.zeros(3000, bool) for trait in TRAITS})
    traits["count objects"] = counts
    traits["compare two numbers"] = kinds == "less_than"
    traits["follow a relation in space"] = rng.random(3000) < 0.5
    return predictions, traits


def test_the_weakest_types_are_found_with_what_they_have_in_common(
    weak_at_counting: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    predictions, traits = weak_at_counting
    table = weakest_types(predictions, BASELINE)
    assert set(table.index[table["weak"]]) == {"count", "less_than"} == set(table.index[:2])
    here = predictions["type"] == "count"
    errors, right = ~predictions["correct"], predictions["correct"]
    cells = [[(here & errors).sum(), (here & right).sum()], [(~here & errors).sum(), (~here & right).sum()]]
    assert table.loc["count", "accuracy"] == pytest.approx(100 * predictions["correct"][here].mean())
    assert table.loc["count", "others"] == pytest.approx(100 * predictions["correct"][~here].mean())
    assert table.loc["count", "p"] >= fisher_exact(cells).pvalue
    assert table.loc["exist", "baseline"] == 50.5
    assert in_common(predictions, traits, ["count", "less_than"]) == ["count objects"]
    by_trait = error_by_trait(predictions, traits)
    assert by_trait.index[0] == "count objects" and by_trait["p"].iloc[0] < 1e-6
    assert by_trait.loc["follow a relation in space", "p"] > 0.05
    assert "ask for an attribute" not in by_trait.index  # no question has it here
    figure = plot_weakest(table, by_trait, "weak")
    assert [tick.get_text().split("  (")[0] for tick in figure.axes[0].get_yticklabels()] == list(table.index)


def test_questions_without_a_trait_of_their_own_leave_an_empty_table(
    weak_at_counting: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    predictions, traits = weak_at_counting
    alike = predictions["type"] == "count"  # these questions have every trait, or none of them does
    predictions, traits = predictions[alike], traits[alike]
    traits = traits.loc[:, traits.all() | ~traits.any()]
    table = error_by_trait(predictions, traits)
    assert not len(table) and table.columns[:3].tolist() == ["questions", "p", "with"]
    plot_weakest(weakest_types(predictions, BASELINE), table, "all alike")
    assert "as often" not in describe_weakest("a network", predictions, traits, BASELINE)


def test_the_interval_of_a_ratio_of_errors_covers_it() -> None:
    rng = np.random.default_rng(0)
    has = np.arange(600) < 200
    covered = []
    for _ in range(200):
        correct = rng.random(600) > np.where(has, 0.2, 0.1)
        table = error_by_trait(pd.DataFrame({"correct": correct}), pd.DataFrame({"trait": has}))
        covered.append(table["ratio low"].iloc[0] <= 2 <= table["ratio high"].iloc[0])
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_the_text_says_what_the_numbers_say(weak_at_counting: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    predictions, traits = weak_at_counting
    text = describe_weakest("a network", predictions, traits, BASELINE)
    assert isinstance(text, Report) and text._repr_markdown_() == str(text)
    weakest, common, *rest = [line for line in text.splitlines() if line.startswith("- ")]
    assert "question-type baseline: 26 %" in weakest
    assert "`count`" in weakest and "`less_than`" in weakest and "`exist`" not in weakest
    assert "They all count objects (0 % of the other questions do)" in common
    assert "compare two numbers** (" in text and "; 100 % of them also count objects)" in text
    assert rest[0].startswith("- Questions that **count objects**") and "p < 0.0001" in rest[0]

    values = np.random.default_rng(0).normal(0, 1, (3000, 4))
    values[:, 0] += ~predictions["correct"]
    text = describe_mistakes("a network", predictions, pd.DataFrame(values, columns=list(SCENE_FACTORS)))
    wrong = int((~predictions["correct"]).sum())
    assert f"{wrong:,} wrong answers among 3,000" in text
    assert "more objects in its scene" in text and f"No relation is shown between mistakes and {CLOSEST}" in text
    assert "are off by one" in text and "*1* for *2*" in text and "Invalid answers: 0.0 %" in text


def test_the_weakest_type_to_look_at_is_one_that_is_shown_to_be_weak() -> None:
    """Not a type of one question, which happened to be answered wrongly."""
    kinds = ["query_size"] + ["count"] * 400 + ["exist"] * 400
    correct = [False] + [n % 4 > 0 for n in range(400)] + [n % 40 > 0 for n in range(400)]
    predictions = pd.DataFrame({"type": kinds, "correct": correct, "truth": "1", "answer": "2", "invalid": False})
    selections = error_selections(predictions.assign(probability=0.5))
    assert [name for name in selections if name.startswith("weakest")] == ["weakest type, count: wrong (100)"]
    untyped = error_selections(predictions.assign(probability=0.5, type=""))
    assert not [name for name in untyped if name.startswith("weakest")] and "all wrong answers (111)" in untyped


def test_where_nothing_is_wrong_or_weak_the_text_says_so() -> None:
    n = 40
    predictions = pd.DataFrame(
        {"type": ["count", "exist"] * (n // 2), "truth": ["1", "yes"] * (n // 2), "correct": True, "invalid": False}
    ).assign(answer=lambda table: table["truth"])
    traits = pd.DataFrame({"count objects": predictions["type"] == "count"})
    text = describe_weakest("perfect", predictions, traits, BASELINE)
    assert "No type is below the others" in text and "No trait" in text
    nothing = pd.DataFrame(np.zeros((n, 4)), columns=list(SCENE_FACTORS))
    assert describe_mistakes("perfect", predictions, nothing).splitlines() == [
        "**perfect**: 0 wrong answers among 40 questions."
    ]
    one = predictions.assign(correct=[False] + [True] * (n - 1), answer=["2", *predictions["answer"][1:]])
    assert weak_kinds(weakest_types(one, BASELINE)) == ["count"]
    assert "No single type is shown to be below the others" in describe_weakest("nearly", one, traits, BASELINE)
