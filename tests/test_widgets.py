"""What the widgets do, without a browser: their callbacks are plain methods, their buttons can be pressed from here."""

import html
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from clevr_files import ClevrFiles
from hypothesis import given
from hypothesis import strategies as st
from small_networks import small_weights

from rnlib.clevr.programs import Programs, chains
from rnlib.clevr.schema import ProgramNode, read_questions
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import part_of
from rnlib.clevr.vocabulary import Vocabulary, clevr_v1
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation import predict
from rnlib.evaluation.attribution import Attribution, PairMap
from rnlib.evaluation.error_analysis import error_selections, weak_kinds, weakest_types
from rnlib.evaluation.examples import Answer
from rnlib.evaluation.plots.examples import AGAINST
from rnlib.model import RelationNetwork, Weights
from rnlib.runs.papermill_runner import WIDGET_VIEW
from rnlib.widgets.answer_html import card
from rnlib.widgets.autocomplete import KNOWN, UNFINISHED, UNKNOWN, UNTRAINED, Word, check_words, suggest_questions
from rnlib.widgets.error_browser import ErrorBrowser
from rnlib.widgets.inspector import state as inspection_module
from rnlib.widgets.inspector import view as inspector_module
from rnlib.widgets.inspector.state import ANY_OUTCOME, ANY_TYPE, Inspection
from rnlib.widgets.inspector.view import Inspector, words_html


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(scope="module")
def models() -> dict[str, Weights]:
    return {"state": small_weights("ir-sd"), "question": small_weights("question-only")}


@pytest.fixture(scope="module")
def predictions(models: dict[str, Weights], split: Split) -> dict[str, pd.DataFrame]:
    tables = {name: predict(weights, split, verbose=False) for name, weights in models.items()}
    # Untrained networks get hardly anything right: make every third answer right, so that each outcome occurs.
    for table in tables.values():
        third = table.index % 3 == 0
        table.loc[third, "answer"] = table.loc[third, "truth"]
        table["correct"] = table["answer"] == table["truth"]
        table.loc[third, "invalid"] = False
        table.loc[1, ["correct", "invalid"]] = [False, False]
    return tables


@pytest.fixture
def inspection(models: dict[str, Weights], split: Split, predictions: dict[str, pd.DataFrame]) -> Inspection:
    return Inspection(models, split, predictions)


def test_at_first_every_question_can_be_looked_at(inspection: Inspection, split: Split) -> None:
    assert (inspection.model, inspection.type, inspection.outcome) == ("state", ANY_TYPE, ANY_OUTCOME)
    assert inspection.question == 0
    assert inspection.place == f"1 of {split.n_questions}"
    answer = inspection.answer()
    assert answer is not None
    assert (answer.question, answer.truth) == (split.question_text(0), split.answer_text(0))
    assert len(answer.top) == 5
    assert answer.picture.shape == (80, 120, 3)


def test_filters_leave_what_they_say(inspection: Inspection, predictions: dict[str, pd.DataFrame]) -> None:
    for model, table in predictions.items():
        for kind in inspection.types[1:]:
            for outcome, rows in (
                ("right", table["correct"]),
                ("wrong", ~table["correct"] & ~table["invalid"]),
                ("invalid", table["invalid"]),
            ):
                expected = np.flatnonzero(rows & (table["type"] == kind))
                assert inspection.choose(model=model, type=kind, outcome=outcome) == len(expected)
                assert inspection.chosen.tolist() == expected.tolist()
                answer = inspection.answer()
                assert (answer is None) == (len(expected) == 0)
                if answer:
                    assert (answer.type, answer.outcome) == (kind, outcome)
    assert inspection.choose(type=ANY_TYPE, outcome=ANY_OUTCOME) == len(table)


def test_the_question_stays_while_the_filter_leaves_it(inspection: Inspection) -> None:
    inspection.step(3)
    inspection.choose(outcome="right")
    assert inspection.question == 3
    inspection.choose(outcome="wrong")
    assert inspection.question == int(inspection.chosen[0])


def test_steps_go_round(inspection: Inspection, split: Split) -> None:
    inspection.step(-1)
    assert inspection.question == split.n_questions - 1
    inspection.step(1)
    assert inspection.question == 0


def test_random_goes_elsewhere_among_those_chosen(inspection: Inspection) -> None:
    inspection.choose(outcome="right")
    for _ in range(20):
        before = inspection.question
        inspection.jump()
        assert inspection.question != before
        assert inspection.question in inspection.chosen


def test_nothing_left_is_said_and_can_be_undone(inspection: Inspection) -> None:
    inspection._outcomes["state"][:] = "right"
    assert inspection.choose(outcome="invalid") == 0
    assert (inspection.question, inspection.answer(), inspection.place) == (None, None, "no such question")
    inspection.step(1)
    inspection.jump()
    with pytest.raises(ConfigError, match="choose a filter that leaves some questions"):
        inspection.ask("How many cubes are there?")
    assert inspection.choose(outcome=ANY_OUTCOME) > 0
    assert inspection.question == 0


def test_what_cannot_be_chosen_is_refused(inspection: Inspection) -> None:
    with pytest.raises(
        ConfigError, match="expected as outcome one of any outcome, right, wrong, invalid; found 'good'"
    ):
        inspection.choose(outcome="good")
    with pytest.raises(ConfigError, match="expected as model one of state, question; found 'pixels'"):
        inspection.choose(model="pixels")


@pytest.mark.parametrize("model", ["state", "question"])
def test_the_answer_to_a_question_of_the_split_is_the_predicted_one(
    models: dict[str, Weights], split: Split, model: str
) -> None:
    tables = {name: predict(weights, split, verbose=False) for name, weights in models.items()}
    inspection = Inspection(models, split, tables)
    inspection.choose(model=model)
    for _ in range(3):
        inspection.jump()
        predicted = inspection.answer()
        assert predicted is not None
        shown = inspection.ask(predicted.question)
        asked = shown.answer
        assert (shown.pairs is None) == (model == "question")
        assert [name for name, _ in asked.top] == [name for name, _ in predicted.top]
        np.testing.assert_allclose([p for _, p in asked.top], [p for _, p in predicted.top], rtol=1e-4)
        assert asked.question == predicted.question
        assert (asked.truth, asked.type, shown.note) == (predicted.truth, predicted.type, "")
        assert asked.outcome == predicted.outcome
        assert shown.steps[-1].endswith(f"[{predicted.truth}]")


def test_a_question_without_truth_says_why(inspection: Inspection) -> None:
    shown = inspection.ask("Is the ball red?")
    assert (shown.answer.truth, shown.answer.outcome, shown.steps) == ("", "", [])
    assert shown.answer.verdict == f"answer: {shown.answer.given}"
    assert "not of CLEVR's grammar" in shown.note
    many = inspection.ask("What color is the thing?")
    assert "The question does not fit this scene: it speaks of one thing, and the scene has" in many.note
    assert "unique [not one object]" in many.steps[-1] and many.answer.truth == ""


def test_without_scenes_there_is_no_truth(tiny_clevr: Path) -> None:
    split = replace(open_split(tiny_clevr, "val", images=None, verbose=False), scenes=None)
    models = {"question": small_weights("question-only")}
    inspection = Inspection(models, split, {"question": predict(models["question"], split, verbose=False)})
    assert inspection.ask("How many cubes are there?").note == "No truth to compare with: the split has no scenes."


def test_ones_own_question_stays_when_the_model_changes(inspection: Inspection) -> None:
    text = "How many cubes are there?"
    inspection.ask(text)
    assert inspection.shown().answer.question != text  # only asked, not looked at
    inspection.put(text)
    inspection.choose(model="question")
    shown = inspection.shown()
    assert shown is not None and shown.answer.question == text and shown.pairs is None
    inspection.step(1)
    assert inspection.shown().answer.question == inspection.split.question_text(1)
    inspection.put(text)
    inspection.choose(outcome="right")
    assert inspection.shown().answer.question != text
    inspection.put(text)
    words, own = clevr_v1().words, inspection.split.vocabulary.words
    rare = next(word for word in words if word not in own)
    few = Vocabulary(tuple(word for word in words if word != rare), clevr_v1().answers)
    preset = inspection.models["question"].preset
    inspection.models = {**inspection.models, "few": Weights(RelationNetwork(preset, few).eval(), preset, few)}
    for tables in (inspection.predictions, inspection._outcomes):
        tables["few"] = tables["question"]
    inspection.put(f"Is there a {rare}?")
    inspection.choose(model="few")
    with pytest.raises(ConfigError, match=f"unknown word '{rare}'"):
        inspection.shown()
    assert inspection.shown().answer.question == inspection.split.question_text(inspection.question)


def test_pictures_of_an_array_are_shown_of_a_part_of_the_split(color_questions: Path) -> None:
    whole = open_split(color_questions, "val", images=128, verbose=False)
    part = part_of(whole, 3, 9)
    np.testing.assert_array_equal(part.picture(2), whole.picture(5))


def test_a_question_that_cannot_be_asked_says_why(inspection: Inspection) -> None:
    with pytest.raises(ConfigError, match=r"unknown word 'spere'.*nearest known words: sphere"):
        inspection.ask("What color is the spere?")
    with pytest.raises(ConfigError, match="found no words"):
        inspection.ask("  ")
    with pytest.raises(ConfigError, match="at most 50 words, found 60"):
        inspection.ask("cube " * 60)


def test_models_and_tables_must_belong_together(models: dict[str, Weights], split: Split) -> None:
    with pytest.raises(ConfigError, match="a table of predictions for each model"):
        Inspection(models, split, {})


def test_a_split_without_answers_is_refused(tmp_path: Path) -> None:
    clevr_files, models = ClevrFiles(tmp_path / "clevr"), {"question": small_weights("question-only")}
    for question in clevr_files.questions:
        del question["answer"]
    clevr_files.write()
    split = open_split(clevr_files.root, "val", images=None, verbose=False)
    tables = {name: predict(weights, split, verbose=False) for name, weights in models.items()}
    with pytest.raises(DataError, match="has no answers"):
        Inspection(models, split, tables)


def test_one_can_go_to_a_question_by_its_number(inspection: Inspection, split: Split) -> None:
    inspection.go_to(7)
    assert (inspection.question, inspection.place) == (7, f"8 of {split.n_questions}")
    inspection.choose(outcome="right")
    with pytest.raises(ConfigError, match=r"found question 7. .*choose any type and any outcome"):
        inspection.go_to(7)
    with pytest.raises(ConfigError, match=f"The split has 0 to {split.n_questions - 1}"):
        inspection.go_to(split.n_questions)
    inspection.go_to(6)
    assert inspection.question == 6


def test_turning_to_another_split_answers_its_first_questions(
    inspection: Inspection, tiny_clevr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_module, "AT_ONCE", 5)
    assert inspection.split_names == ["train", "val"]
    inspection.step(3)
    train = open_split(tiny_clevr, "train", images=None, verbose=False)
    asked = int((train.image_of_question < 5).sum())
    assert inspection.choose(split="train") == asked == inspection.split.n_questions
    assert inspection.place == f"1 of {asked}"
    records = list(read_questions(train.directory.questions("train")))
    for question in range(0, asked, 7):
        inspection.go_to(question)
        answer = inspection.answer()
        assert answer is not None
        assert (answer.question, answer.truth) == (train.question_text(question), train.answer_text(question))
        assert inspection.chains() == chains(records[question].program or [])
    assert inspection.choose(split="val") == len(inspection.predictions["state"])
    with pytest.raises(ConfigError, match="expected as split one of train, val; found 'test'"):
        inspection.choose(split="test")


def test_the_map_of_pairs_is_of_the_answer_shown(inspection: Inspection) -> None:
    for outcome in ("right", "wrong"):
        inspection.choose(outcome=outcome)
        inspection.predictions["state"] = predict(inspection.models["state"], inspection.split, verbose=False)
        answer, pairs = inspection.answer(), inspection.pairs()
        assert answer is not None and pairs is not None
        assert pairs.answer == answer.given
        assert pairs.against == (answer.truth if answer.truth != answer.given else answer.top[1][0])
        assert len(pairs.places) == inspection.split.n_objects[inspection.split.image_of_question[inspection.question]]
        assert inspection.left_out().shape == pairs.attribution.pairs.shape
    inspection.choose(model="question")
    assert inspection.pairs() is None
    with pytest.raises(ConfigError, match="network with pairs of objects"):
        inspection.left_out()


# Programs, words and examples


def test_programs_read_as_chains() -> None:
    plain = [node("scene"), node("filter_color", 0, value="red"), node("unique", 1), node("query_size", 2)]
    assert chains(plain) == ["scene → filter color: red → unique → query size"]
    compared = [
        node("scene"), node("filter_shape", 0, value="cube"), node("count", 1),
        node("scene"), node("filter_size", 3, value="large"), node("unique", 4), node("relate", 5, value="left"),
        node("count", 6), node("greater_than", 2, 7),
    ]  # fmt: skip
    assert chains(compared) == [
        "A: scene → filter shape: cube → count",
        "B: scene → filter size: large → unique → relate: left → count",
        "A and B → greater than",
    ]
    assert chains([]) == []


def node(name: str, *inputs: int, value: str = "") -> ProgramNode:
    return ProgramNode(function=name, inputs=list(inputs), value_inputs=[value] if value else [])


def test_both_dialects_of_programs_can_be_shown(clevr_official: Path) -> None:
    split = open_split(clevr_official, "val", images=None, verbose=False)
    programs = Programs(split)
    records = list(read_questions(split.directory.questions("val")))
    for number in range(0, split.n_questions, 37):
        lines = programs.chains(number)
        steps = sum(line.count("→") + (not line.startswith(("A and", "B and", "C and"))) for line in lines)
        assert steps >= len(records[number].program or []) - 2 * len(lines)
        assert lines[-1].endswith((records[number].program or [])[-1].name.replace("_", " "))


def test_words_are_checked_while_they_are_typed() -> None:
    vocabulary = clevr_v1()
    assert check_words("", vocabulary) == []
    [how, many, sphears] = check_words("How many sphears", vocabulary)
    assert (how, many) == (Word("how", KNOWN), Word("many", KNOWN))
    assert sphears.state == UNKNOWN and "spheres" in sphears.suggestions
    assert check_words("How many cu", vocabulary)[-1] == Word("cu", UNFINISHED, ("cubes", "cube"))
    assert check_words("How many cu ", vocabulary)[-1].state == UNKNOWN  # the word has ended
    assert check_words("How many cu are", vocabulary)[2].state == UNKNOWN
    assert check_words("zzz", vocabulary) == [Word("zzz", UNKNOWN)]
    assert check_words("elephant", vocabulary) == [Word("elephant", UNKNOWN)]  # nothing like it
    assert check_words("red cube", vocabulary, {"cube"}) == [Word("red", KNOWN), Word("cube", UNTRAINED)]
    assert "in no training question" in words_html([Word("cube", UNTRAINED)])


@given(st.text(max_size=60))
def test_a_question_is_known_word_by_word_exactly_if_it_can_be_asked(text: str) -> None:
    words = check_words(text, clevr_v1())
    try:
        clevr_v1().encode(text)
    except ConfigError:
        assert not words or any(word.state != KNOWN for word in words)
    else:
        assert all(word.state == KNOWN for word in words)


def test_suggested_questions_share_the_words_typed() -> None:
    questions = ["Is there a cube?", "What color is the ball?", "How many balls are there?", "Is there a cube?"]
    assert suggest_questions("color", questions)[0] == "What color is the ball?"
    assert suggest_questions("how many", questions)[0] == "How many balls are there?"
    assert suggest_questions("", questions) == [
        "Is there a cube?",
        "What color is the ball?",
        "How many balls are there?",
    ]
    assert suggest_questions("anything", []) == []


def test_suggestions_are_about_the_picture_looked_at(inspection: Inspection, split: Split) -> None:
    inspection.go_to(15)
    same = np.flatnonzero(split.image_of_question == split.image_of_question[15])
    suggested = inspection.suggest("is there")
    assert len(suggested) == 3
    assert set(suggested) <= {split.question_text(int(number)) for number in same}
    for text in suggested:
        inspection.ask(text)


# The card


def test_a_card_shows_everything_and_lets_no_html_through() -> None:
    picture = np.zeros((8, 12, 3), np.uint8)
    answer = Answer(picture, "Is <b>this</b> red?", "yes", "exist", "wrong", (("no", 0.6), ("yes", 0.4)))
    pairs = np.array([[1.0, -2.0], [0.5, 0.25]])
    found = Attribution(1, 0, np.log([0.4, 0.6]), 0.25, pairs, 0.0)
    places = np.array([[0.25, 0.5], [0.75, 0.5]], np.float32)
    shown = card(answer, PairMap(found, "no", "yes", places, None), ["A: scene → count", "A → <i>"])
    assert "<b>" not in shown and "<i>" not in shown
    for text in (
        "Is &lt;b&gt;this&lt;/b&gt; red?",
        "answer: no – wrong, truth: yes",
        "60.0 %",
        "40.0 %",
        "A: scene → count",
    ):
        assert text in shown
    root = ElementTree.fromstring(re.search(r"<svg.*</svg>", shown)[0].replace("href=", "src="))
    assert root.get("viewBox") == "0 0 12 8"
    assert [one.text for one in root.iter("text")] == ["+0.25", "-0.50"]
    assert [circle.get("cx") for circle in root.iter("circle")] == ["3.0", "9.0"]
    (line,) = root.iter("line")
    assert (line.get("stroke"), line[0].text) == (AGAINST, "pair: -1.50 nats")
    cells = card(answer, PairMap(found, "no", "yes", places, (1, 2)))
    assert [(one.get("width"), one.get("height")) for one in svg(cells).iter("rect")] == [("6.0", "8.0")] * 2
    assert "<svg" not in card(answer)


def test_a_map_writes_its_shares_alike_and_no_minus_zero() -> None:
    places = np.zeros((3, 2), np.float32)
    for pairs, expected in (
        (np.diag([12.34, -0.04, -3.0]), ["+12.3", "+0.0", "-3.0"]),
        (np.diag([0.123, -0.004, -0.96]), ["+0.12", "+0.00", "-0.96"]),
    ):
        found = Attribution(1, 0, np.log([0.4, 0.6]), 0.25, pairs, 0.0)
        assert PairMap(found, "no", "yes", places, None).numbers == expected


def svg(shown: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", shown)[0])


# The widgets themselves: ipywidgets without a front end


@pytest.fixture
def inspector(inspection: Inspection) -> Inspector:
    return Inspector(inspection)


def test_buttons_and_filters_do_what_they_say(inspector: Inspector) -> None:
    inspection = inspector.inspection
    first = inspector.card.value
    assert inspection.split.question_text(0) in html.unescape(first)
    inspector.on.click()
    assert (inspection.question, inspector.index.value) == (1, 1)
    assert inspector.card.value != first
    inspector.back.click()
    assert inspection.question == 0
    assert inspector.card.value == first
    inspector.index.value = 9
    assert inspection.question == 9
    inspector.outcome.value = "right"
    assert inspection.outcome == "right"
    assert inspector.place.value == inspection.place
    inspector.random.click()
    assert inspection.question in inspection.chosen
    inspector.index.value = 1
    assert "found question 1" in inspector.notice.value
    assert inspector.index.value == inspection.question
    inspector.split.value = "train"
    assert inspection.split.name == "train" and inspector.notice.value == ""
    assert plt.get_fignums() == []  # figures of callbacks would show up below the next cell


def test_a_question_of_ones_own_is_answered_or_explained(inspector: Inspector) -> None:
    before = inspector.card.value
    inspector.text.value = "How many bulls ar"
    assert 'class="rn-unknown"' in inspector.words.value and "balls" in inspector.words.value
    assert 'class="rn-unfinished">ar… <small>(are' in inspector.words.value
    assert (inspector.card.value, inspector.message.value) == (before, "")
    inspector.text.value = "How many bulls are there?"
    inspector.ask.click()
    assert inspector.message.value.startswith("unknown word 'bulls'")
    assert "balls" in inspector.message.value
    assert inspector.card.value == before
    inspector.text.value = "How many balls are there?"
    inspector._submitted(None, {"event": "submit"}, None)  # Enter
    assert inspector.message.value == ""
    assert "How many balls are there?" in inspector.card.value
    assert "rn-pairs" in inspector.card.value


def test_words_that_arrive_after_enter_are_asked_too(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    inspector.text.value = "W"
    inspector._submitted(None, {"event": "submit"}, None)
    assert "unknown word 'w'" in inspector.message.value
    inspector.text.value = "What color is the ball?"
    assert inspector.message.value == "" and "What color is the ball?" in inspector.card.value
    inspector.text.value = "How many balls"  # a new question is not asked before Enter
    assert "What color is the ball?" in inspector.card.value
    monkeypatch.setattr(inspector_module, "LATE", 0.0)
    inspector._submitted(None, {"event": "submit"}, None)
    assert "How many balls" in inspector.card.value
    inspector.text.value = "How many balls?"  # one letter, long after Enter: typed just now
    assert "How many balls?" not in inspector.card.value


def test_examples_can_be_asked_at_a_press(inspector: Inspector) -> None:
    assert len(inspector.examples.children) == 3
    button = inspector.examples.children[0]
    button.click()
    assert inspector.text.value == button.description
    assert html.escape(button.description) in inspector.card.value


def test_an_empty_filter_says_what_to_change(inspector: Inspector) -> None:
    inspector.inspection._outcomes["state"][:] = "right"
    inspector.outcome.value = "invalid"
    assert "rn-card rn-empty" in inspector.card.value
    assert "No question of any type with invalid in the answers of state: choose “any outcome”" in inspector.card.value
    assert inspector.place.value == "no such question"
    assert len(inspector.examples.children) == 0
    inspector.outcome.value = ANY_OUTCOME
    assert "rn-empty" not in inspector.card.value and "rn-question" in inspector.card.value


def test_changing_the_model_asks_it_ones_own_question(inspector: Inspector) -> None:
    text = "How many balls are there?"
    inspector.text.value = text
    inspector.ask.click()
    asked = inspector.card.value
    inspector.model.value = "question"
    assert text in inspector.card.value and inspector.card.value != asked
    inspector.on.click()
    assert text not in inspector.card.value


def test_keys_do_what_the_buttons_do(inspector: Inspector, inspection: Inspection) -> None:
    inspector.keyboard.press("ArrowRight")
    assert inspection.question == 1
    inspector.keyboard.press("ArrowLeft")
    inspector.keyboard.press("x")
    assert inspection.question == 0
    assert inspector.keyboard.panel == "rn-inspector" and inspector.keyboard.heard == ["ArrowLeft", "ArrowRight"]
    browser = ErrorBrowser(inspection, {"some": [4, 1, 2]})
    browser.keyboard.press("ArrowRight")
    assert inspection.question == 1


def test_an_output_carries_the_card_beside_the_widget(inspector: Inspector, inspection: Inspection) -> None:
    for widget in (inspector, ErrorBrowser(inspection, {"some": [4, 1, 2]})):
        bundle = widget._repr_mimebundle_()
        assert bundle[WIDGET_VIEW]["model_id"] == widget.model_id
        assert bundle["text/html"] == widget.card.value and "data:image/jpeg" in bundle["text/html"]


def test_a_split_that_cannot_be_opened_is_said_and_left(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DataError("expected pictures, found none.")

    monkeypatch.setattr(inspection_module, "open_split", fails)
    inspector.split.value = "train"
    assert inspector.notice.value == "expected pictures, found none."
    assert inspector.split.value == inspector.inspection.split.name == "val"


# The error browser


def test_selections_are_what_their_names_say(predictions: dict[str, pd.DataFrame]) -> None:
    table = predictions["state"]
    selections = {name.rpartition(" (")[0]: numbers for name, numbers in error_selections(table).items()}
    assert set(selections["all wrong answers"]) == set(np.flatnonzero(~table["correct"]))
    assert all(np.diff(table["probability"].iloc[selections["all wrong answers"]]) <= 0)
    confused = [name for name in selections if " taken for " in name]
    assert len(confused) == 8
    for name in confused:
        truth, _, answer = name.partition(" taken for ")
        rows = table.iloc[selections[name]]
        assert set(rows["truth"]) == {truth} and set(rows["answer"]) == {answer}
    assert table["invalid"].iloc[selections["invalid answers"]].all()
    (weakest,) = (name for name in selections if name.startswith("weakest type, "))
    kind = weakest.removeprefix("weakest type, ").removesuffix(": wrong")
    assert kind == weak_kinds(weakest_types(table))[0]
    assert table["correct"].iloc[selections["right, but hardly believed"]].all()


def test_counts_far_off_are_numbers_on_both_sides() -> None:
    table = pd.DataFrame(
        [("3", "5"), ("3", "4"), ("red", "5"), ("9", "1"), ("yes", "no")], columns=["truth", "answer"]
    ).assign(correct=False, probability=[0.1, 0.2, 0.3, 0.4, 0.5], invalid=False, type="count")
    assert error_selections(table)["counts off by two or more (2)"] == [3, 0]
    everything_right = table.assign(correct=True, answer=table["truth"])
    assert list(error_selections(everything_right)) == ["right, but hardly believed (5)"]


def test_the_browser_shows_the_question_that_is_pressed(inspection: Inspection) -> None:
    browser = ErrorBrowser(inspection, {"some": [4, 1, 2], "none": [], "others": [3]})
    assert browser.selection.options == ("some", "others")
    assert (inspection.question, browser.place.value) == (4, "1 of 3")
    row = inspection.predictions["state"].iloc[4]
    assert browser.list.options[0][0].startswith(f"{row['truth']} → {row['answer']} (")
    assert inspection.split.question_text(4) in browser.list.options[0][0]
    browser.on.click()
    assert (inspection.question, browser.list.index) == (1, 1)
    browser.list.index = 2
    assert inspection.question == 2 and inspection.split.question_text(2) in html.unescape(browser.card.value)
    browser.on.click()
    assert inspection.question == 4
    browser.selection.value = "others"
    assert (inspection.question, browser.place.value) == (3, "1 of 1")
    with pytest.raises(ConfigError, match="at least one selection"):
        ErrorBrowser(inspection, {"none": []})
    with pytest.raises(ConfigError, match="one of some, others; found 'more'"):
        browser.state.choose("more")
