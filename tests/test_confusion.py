"""Confusion tables agree with scikit-learn and with plain counting; their figures say what they show."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn import metrics

from rnlib.clevr.constants import ANSWER_CLASSES, CLASS_OF_ANSWER
from rnlib.evaluation import confusion, plots

pairs = st.lists(st.tuples(*[st.sampled_from(confusion.ANSWERS)] * 2), min_size=1, max_size=60)


def table(answers: list[tuple[str, str]]) -> pd.DataFrame:
    """Predictions from (truth, answer) pairs; the later a question, the surer its answer."""
    predictions = pd.DataFrame(answers, columns=["truth", "answer"])
    predictions["correct"] = predictions["truth"] == predictions["answer"]
    predictions["probability"] = np.linspace(0.1, 0.9, len(predictions))
    return predictions


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


FEW = table([("2", "1"), ("2", "1"), ("3", "5"), ("1", "1"), ("red", "2"), ("yes", "yes"), ("yes", "no"), ("2", "1")])


@given(pairs)
def test_the_matrix_is_that_of_scikit_learn(answers: list[tuple[str, str]]) -> None:
    predictions = table(answers)
    oracle = metrics.confusion_matrix(predictions["truth"], predictions["answer"], labels=confusion.ANSWERS)
    matrix = confusion.confusion_matrix(predictions)
    assert (matrix.to_numpy() == oracle).all()
    assert list(matrix.index) == list(matrix.columns) == list(confusion.ANSWERS)


@given(pairs)
def test_the_class_matrix_is_that_of_scikit_learn_on_classes(answers: list[tuple[str, str]]) -> None:
    predictions = table(answers)
    truth, answer = (predictions[name].map(CLASS_OF_ANSWER) for name in ("truth", "answer"))
    oracle = metrics.confusion_matrix(truth, answer, labels=list(ANSWER_CLASSES))
    assert (confusion.class_matrix(confusion.confusion_matrix(predictions)).to_numpy() == oracle).all()


@given(pairs)
def test_frequent_confusions_are_all_wrong_answers_counted(answers: list[tuple[str, str]]) -> None:
    wrong = Counter((truth, answer) for truth, answer in answers if truth != answer)
    found = confusion.frequent_confusions(table(answers), most=1000)
    assert {(row.truth, row.answer): row.questions for row in found.itertuples()} == wrong
    assert list(found["questions"]) == sorted(wrong.values(), reverse=True)
    if wrong:
        assert found["of errors"].sum() == pytest.approx(100)


def test_the_answers_stand_in_the_order_of_their_classes() -> None:
    assert len(confusion.ANSWERS) == 28
    classes = [CLASS_OF_ANSWER[answer] for answer in confusion.ANSWERS]
    assert classes == sorted(classes, key=list(ANSWER_CLASSES).index)


def test_rows_in_percent_sum_to_a_hundred_or_are_empty() -> None:
    percent = confusion.row_percent(confusion.confusion_matrix(FEW))
    assert percent.loc["2", "1"] == 100
    assert percent.loc["yes", "no"] == 50
    assert percent.loc["blue"].isna().all()


def test_a_confusion_tells_its_share_of_the_truth_and_whether_it_is_invalid() -> None:
    first, *_, last = confusion.frequent_confusions(FEW).to_dict("records")
    assert (first["truth"], first["answer"], first["questions"]) == ("2", "1", 3)
    assert first["of truth"] == 100
    assert first["of errors"] == 50
    assert not first["invalid"]
    assert (last["truth"], last["answer"]) == ("yes", "no")
    [invalid] = confusion.frequent_confusions(FEW).query("invalid").to_dict("records")
    assert (invalid["truth"], invalid["answer"]) == ("red", "2")


def test_no_more_confusions_than_asked_and_none_where_all_is_right() -> None:
    assert len(confusion.frequent_confusions(FEW, most=2)) == 2
    assert confusion.frequent_confusions(table([("1", "1")])).empty


def test_the_example_of_a_confusion_is_the_surest() -> None:
    confusions = confusion.frequent_confusions(FEW)
    chosen = confusion.confused_questions(FEW, confusions)
    assert chosen[0] == 7  # the last of the three questions with truth 2 and answer 1
    for row, question in zip(confusions.itertuples(), chosen, strict=True):
        assert (FEW["truth"][question], FEW["answer"][question]) == (row.truth, row.answer)


def test_count_errors_are_signed_and_without_gaps() -> None:
    errors = confusion.count_errors(FEW)
    assert errors.to_dict() == {-1: 3, 0: 1, 1: 0, 2: 1}


def test_count_errors_of_questions_without_numbers_are_none() -> None:
    assert confusion.count_errors(table([("yes", "no"), ("red", "2")])).empty


def test_numbers_come_out_too_low_right_or_too_high() -> None:
    found = confusion.errors_by_number(FEW)
    assert found["questions"].to_dict() == {1: 1, 2: 3, 3: 1}
    assert found.loc[2, ["too low", "right", "too high"]].tolist() == [100, 0, 0]
    assert found.loc[3, ["too low", "right", "too high"]].tolist() == [0, 0, 100]


@given(pairs)
def test_the_matrices_of_the_types_hold_every_question_once(answers: list[tuple[str, str]]) -> None:
    predictions = table(answers)
    kind_of = {"number": "count", "exist": "exist"}
    kinds = [kind_of.get(CLASS_OF_ANSWER[truth], f"query_{CLASS_OF_ANSWER[truth]}") for truth, _ in answers]
    found = confusion.matrix_by_type(predictions.assign(type=kinds))
    assert set(found) == set(kinds)
    assert sum(matrix.to_numpy().sum() for matrix in found.values()) == len(answers)
    invalid = sum(CLASS_OF_ANSWER[truth] != CLASS_OF_ANSWER[answer] for truth, answer in answers)
    assert sum(matrix[confusion.INVALID].sum() for matrix in found.values()) == invalid
    right = sum(np.trace(matrix.to_numpy()) for matrix in found.values())
    assert right == sum(truth == answer for truth, answer in answers)


def all_answers() -> pd.DataFrame:
    """Every answer taken for every other, and each right many thousand times: the fullest matrix there can be."""
    every = [(truth, answer) for truth in confusion.ANSWERS for answer in confusion.ANSWERS]
    return table(every + [(answer, answer) for answer in confusion.ANSWERS] * 200)


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts (ticks, titles, labels, numbers) of a figure that lie over one another."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [
        (one, other)
        for (one, first), (other, second) in combinations(boxes, 2)
        if first.x0 < second.x1 - 1
        and second.x0 < first.x1 - 1
        and first.y0 < second.y1 - 1
        and second.y0 < first.y1 - 1
    ]


@pytest.mark.parametrize("percent", [False, True])
def test_the_figure_of_the_matrix_names_answers_and_outlines_classes(percent: bool) -> None:
    figure = plots.plot_confusion(confusion.confusion_matrix(all_answers()), "a network", percent)
    [axes] = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(confusion.ANSWERS)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(confusion.ANSWERS)
    assert set(ANSWER_CLASSES) <= {text.get_text() for text in axes.texts}
    assert len(axes.patches) == 6
    assert axes.get_title().startswith("a network")
    assert ("percent" in axes.get_title()) is percent
    assert not overlapping(figure)


def test_the_figure_by_type_has_a_panel_a_type_and_no_label_over_another() -> None:
    every = all_answers()
    kind_of = {"number": "count", "exist": "exist"}
    kinds = every["truth"].map(lambda truth: kind_of.get(CLASS_OF_ANSWER[truth], f"query_{CLASS_OF_ANSWER[truth]}"))
    for kind in ("equal_size", "equal_color", "equal_material", "equal_shape", "less_than"):
        every = pd.concat([every, every[every["truth"] == "yes"][:9]], ignore_index=True)
        kinds = pd.concat([kinds, pd.Series([kind] * 9)], ignore_index=True)
    figure = plots.plot_type_confusion(confusion.matrix_by_type(every.assign(type=kinds)), "a network")
    assert len(figure.axes) == 13
    titles = [axes.get_title().split(" ")[0] for axes in figure.axes if axes.get_title()]
    assert set(titles) == set(kinds) and "not asked" in str([text.get_text() for text in figure.findobj(Text)])
    assert not overlapping(figure)


def test_a_share_below_half_a_percent_is_a_dot() -> None:
    figure = plots.plot_confusion(
        confusion.confusion_matrix(table([("yes", "yes")] * 300 + [("yes", "no")])), "a network", percent=True
    )
    assert "·" in {text.get_text() for text in figure.axes[0].texts}


def test_the_figure_of_classes_leaves_out_those_that_were_not_asked() -> None:
    [axes] = plots.plot_class_confusion(confusion.confusion_matrix(FEW), "a network").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["number", "color", "exist"]
    assert len(axes.get_xticklabels()) == len(ANSWER_CLASSES)


def test_the_figure_of_count_errors_has_a_bar_an_error() -> None:
    errors, by_number = confusion.count_errors(FEW), confusion.errors_by_number(FEW)
    figure = plots.plot_count_errors({"one": errors, "two": errors}, {"one": by_number, "two": by_number}, "?")
    left, right = figure.axes[:2]
    assert len(figure.axes) == 4
    assert [round(bar.get_height()) for bar in left.patches] == [3, 0, 1]  # errors of -1, 1 and 2
    assert left.get_title() == "one: 1 of 5 right (20.0 %)"
    assert [round(bar.get_height()) for bar in right.patches] == [0, 100, 0, 0, 0, 100]
    assert not overlapping(figure)


def test_count_errors_of_nothing_are_an_empty_figure() -> None:
    none = table([("yes", "no")])
    figure = plots.plot_count_errors(
        {"one": confusion.count_errors(none)}, {"one": confusion.errors_by_number(none)}, "a network"
    )
    assert not figure.axes[0].patches
