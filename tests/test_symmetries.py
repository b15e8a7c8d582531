"""Symmetries of state descriptions: what is asked stays true, and nothing but names and sides changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rnlib.clevr.constants import ATTRIBUTES, CLASS_OF_ANSWER, RADII, SYNONYMS
from rnlib.clevr.schema import Scene, read_questions
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import Vocabulary, clevr_v1
from rnlib.errors import ConfigError
from rnlib.model.inputs import NetworkInputs
from rnlib.model.preset import load_preset
from rnlib.synthesis import execute, synthesize
from rnlib.synthesis.scenes import relationships
from rnlib.training.recipe import Recipe
from rnlib.training.symmetries import VALUES, Drawn, Wording, draw_symmetries, move_scenes, moved_inputs

VALUE_OF_WORD = {word: value for value in VALUES for word in SYNONYMS.get(value, (value,))}
VALUE_OF_WORD |= {word + "s": VALUE_OF_WORD[word] for value in ATTRIBUTES["shape"] for word in SYNONYMS[value]}


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("symmetries")
    made = synthesize(folder / "set", train=1, val=100, seed=3, images=None)
    return open_split(made, "val", images=None, cache=folder / "cache", verbose=False)


@pytest.fixture(scope="module")
def programs(val: Split) -> list:
    return [record.program for record in read_questions(val.directory.questions("val"))]


def test_words_that_symmetries_put_into_questions_are_reached() -> None:
    vocabulary = clevr_v1()
    asked = np.zeros(len(vocabulary.words) + 1, bool)
    for word in ("what", "red", "cube", "left"):
        asked[vocabulary.number_of_word[word]] = True
    found = Wording(vocabulary).reached(asked)
    words = {word for word, number in vocabulary.number_of_word.items() if found[number]}
    shapes = {word for value in ATTRIBUTES["shape"] for word in SYNONYMS[value]}
    assert words == {"what", "left", "right", *ATTRIBUTES["color"], *shapes}


def moved_scenes(val: Split, drawn: Drawn) -> list[Scene]:
    """Each question's scene under its symmetry, with relations made anew from where its objects are now."""
    pictures = val.image_of_question
    places, codes = move_scenes(val.coordinates[pictures], val.codes[pictures], drawn)
    scenes = []
    for question, picture in enumerate(pictures):
        scene = val.scene(int(picture))
        for i, item in enumerate(scene.objects):
            item.coordinates = tuple(places[question, i].tolist())
            for column, (attribute, names) in enumerate(ATTRIBUTES.items()):
                setattr(item, attribute, names[codes[question, i, column] - 1])
        scene.relationships = relationships(places[question, : len(scene.objects)])
        scenes.append(scene)
    return scenes


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_programs_come_to_the_moved_answers_in_the_moved_scenes(val: Split, programs: list, seed: int) -> None:
    drawn = draw_symmetries(seed, 1, 0, val.n_questions, val.tokens.shape[1])
    wording = Wording(clevr_v1())
    table = clevr_v1().answer_table_from(val.vocabulary)
    answers = wording.answers(table[val.answers], drawn)
    changed = 0
    for question, scene in enumerate(moved_scenes(val, drawn)):
        becomes = dict(zip(VALUES, (VALUES[k] for k in drawn.values[question]), strict=True))
        if drawn.mirrored[question]:
            becomes |= {"left": "right", "right": "left"}
        program = [
            replace(node, value_inputs=[becomes.get(value, value) for value in node.value_inputs])
            for node in programs[question]
        ]
        truth = execute(program, scene)
        assert clevr_v1().answers[answers[question] - 1] == truth
        changed += truth != val.answer_text(question)
    assert changed > 100


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_questions_change_in_names_and_sides_alone(val: Split, seed: int) -> None:
    drawn = draw_symmetries(seed, 1, 0, val.n_questions, val.tokens.shape[1])
    vocabulary = clevr_v1()
    before = vocabulary.word_table_from(val.vocabulary)[val.tokens]
    after = Wording(vocabulary).questions(before, drawn)
    sides = {"left": "right", "right": "left"}
    for question in range(val.n_questions):
        pairs = zip(*(rows[question][before[question] != 0] for rows in (before, after)), strict=True)
        for old, new in ((vocabulary.words[a - 1], vocabulary.words[b - 1]) for a, b in pairs):
            if old in VALUE_OF_WORD:
                assert VALUE_OF_WORD[new] == VALUES[drawn.values[question, VALUES.index(VALUE_OF_WORD[old])]]
                assert new.endswith("s") == old.endswith("s")
            else:
                assert new == (sides.get(old, old) if drawn.mirrored[question] else old)
    assert ((before == 0) == (after == 0)).all()


def test_all_words_and_all_permutations_are_drawn_alike(val: Split) -> None:
    drawn = draw_symmetries(1, 1, 0, 20_000, 8)
    for column in range(len(VALUES)):
        shares = np.bincount(drawn.values[:, column], minlength=len(VALUES)) / len(drawn.values)
        own = [CLASS_OF_ANSWER[value] == CLASS_OF_ANSWER[VALUES[column]] for value in VALUES]
        assert np.allclose(shares, np.array(own) / sum(own), atol=0.02)
    assert abs(drawn.mirrored.mean() - 0.5) < 0.02
    vocabulary = clevr_v1()
    metal = np.full((20_000, 8), vocabulary.number_of_word["metal"], np.uint8)
    words = np.unique(Wording(vocabulary).questions(metal, drawn), return_counts=True)
    shares = {vocabulary.words[number - 1]: count / metal.size for number, count in zip(*words, strict=True)}
    expected = {"metal": 1 / 6, "metallic": 1 / 6, "shiny": 1 / 6, "rubber": 1 / 4, "matte": 1 / 4}
    assert shares == pytest.approx(expected, abs=0.02)


def test_a_mirror_twice_is_none_and_sizes_keep_their_heights(val: Split) -> None:
    drawn = draw_symmetries(5, 1, 0, val.n_images, 1)
    places, codes = move_scenes(val.coordinates, val.codes, drawn)
    back = Drawn(drawn.values.argsort(1).astype(np.uint8), drawn.mirrored, drawn.words)
    again, codes_again = move_scenes(places, codes, back)
    assert np.allclose(again, val.coordinates, atol=1e-5)
    assert (codes_again == val.codes).all()
    heights = np.array([0.0, RADII["large"], RADII["small"]])[codes[:, :, 3]]
    assert np.allclose(places[:, :, 2], heights, atol=1e-6)


def test_a_step_reads_what_the_symmetries_say(val: Split) -> None:
    preset = load_preset("medium-sd")
    inputs = NetworkInputs.of(val, preset, clevr_v1())
    questions = np.array([5, 7, 300])
    pictures, which = np.unique(val.image_of_question[questions], return_inverse=True)
    drawn = draw_symmetries(1, 1, 0, 3, val.tokens.shape[1]).of(np.arange(len(pictures)))
    still = Drawn(np.tile(np.arange(15, dtype=np.uint8), (2, 1)), np.zeros(2, bool), drawn.words)
    rows, asked, answers = moved_inputs(inputs, Wording(clevr_v1()), pictures, questions, still, which)
    plain = inputs.visual(pictures)
    assert (rows == plain[:, : rows.shape[1]]).all() and not plain[:, rows.shape[1] :].any()
    assert (answers == inputs.answer(questions)).all()
    rows, asked, answers = moved_inputs(inputs, Wording(clevr_v1()), pictures, questions, drawn, which)
    _, codes = move_scenes(val.coordinates[pictures], val.codes[pictures], drawn)
    assert (rows[:, :, 3:11].argmax(2).numpy() + 1)[codes[:, : rows.shape[1], 0] != 0].tolist() == codes[
        codes[:, :, 0] != 0
    ][:, 0].tolist()
    assert asked.shape == inputs.question(questions).shape


def test_a_vocabulary_without_a_value_is_refused() -> None:
    full = clevr_v1()
    without = Vocabulary(full.words, tuple(answer for answer in full.answers if answer != "purple"))
    with pytest.raises(ConfigError, match="'purple' is missing"):
        Wording(without)


def test_a_recipe_has_no_symmetries_by_default() -> None:
    assert not Recipe().symmetries
