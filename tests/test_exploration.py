"""What notebook 01 tells of a split: tables that agree with plain counting, figures that say what they show."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rnlib.clevr import Split, open_split, plots, summary, tokenize
from rnlib.clevr.constants import ANSWER_CLASSES, QUESTION_TYPES
from rnlib.clevr.schema import ProgramNode, read_questions
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation import question_type_baseline
from rnlib.runs import RunFolder
from rnlib.runs.synthetic import synthetic_set


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def node(function: str, *inputs: int, value: str = "") -> ProgramNode:
    return ProgramNode(function=function, inputs=list(inputs), value_inputs=[value] if value else [])


def test_a_program_reads_as_a_chain() -> None:
    program = [node("scene"), node("filter_color", 0, value="red"), node("count", 1)]
    assert summary.program_text(program) == "scene → filter color: red → count"


def test_chains_that_meet_stand_in_brackets() -> None:
    program = [node("scene"), node("count", 0), node("scene"), node("count", 2), node("less_than", 1, 3)]
    assert summary.program_text(program) == "[scene → count] and [scene → count] → less than"


def test_the_tables_agree_with_counting_the_file(split: Split) -> None:
    records = list(read_questions(split.directory.questions("val")))
    types = Counter(record.program[-1].name for record in records if record.program)
    assert {kind: n for kind, n in summary.types_table(split)["questions"].items() if n} == types
    answers = Counter(record.answer_word for record in records)
    assert {answer: n for answer, n in summary.answers_table(split)["questions"].items() if n} == answers
    words = Counter(word for record in records for word in tokenize(record.question) if word.isalnum())
    assert summary.words_table(split)["times"].to_dict() == words


def test_the_published_kinds_cover_all_questions(split: Split) -> None:
    assert sum(summary.PUBLISHED_VAL_COUNTS.values()) == 149_991
    assert summary.published_shares(split).sum().to_list() == pytest.approx([100, 100])


def test_the_shortest_question_of_each_type_is_of_that_type(split: Split) -> None:
    numbers = summary.shortest_of_each_type(split)
    records = summary.question_records(split, numbers)
    names = [record.program[-1].name for record in records if record.program]
    assert names == [kind for number, kind in enumerate(QUESTION_TYPES) if number in split.types]
    assert [tokenize(record.question) for record in records] == [tokenize(split.question_text(n)) for n in numbers]
    for number in numbers:
        assert split.program_lengths[number] == split.program_lengths[split.types == split.types[number]].min()


def test_questions_come_in_the_order_asked_for(split: Split) -> None:
    [later, earlier] = summary.question_records(split, [5, 2])
    assert tokenize(later.question) == tokenize(split.question_text(5))
    assert tokenize(earlier.question) == tokenize(split.question_text(2))


def test_the_scene_of_a_picture_is_its_own(split: Split) -> None:
    scene = split.scene(3)
    assert scene.image_filename == split.image_filenames[3]
    assert len(summary.objects_table(scene)) == split.n_objects[3]


def test_a_picture_that_is_not_there_is_an_error(split: Split) -> None:
    with pytest.raises(DataError, match="from 0 to 11, found 12"):
        split.scene(12)


def test_one_line_says_what_a_split_lacks(tiny_clevr: Path, split: Split, capsys: pytest.CaptureFixture[str]) -> None:
    summary.say_what_is_missing(split)
    assert capsys.readouterr().out == ""
    summary.say_what_is_missing(open_split(tiny_clevr, "test", images=None, verbose=False))
    assert capsys.readouterr().out == "'test' has no scenes, no programs, no answers: what needs them is left out.\n"


def test_pictures_stand_in_a_grid_under_their_captions(split: Split) -> None:
    pictures = [plots.picture(split, row) for row in range(5)]
    figure = plots.plot_pictures(
        pictures, [*"abcd", "a caption much too long to stand in a single line above its picture"]
    )
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 5
    assert [axes.get_title("left") for axes in shown][:4] == [*"abcd"]
    assert "\n" in shown[4].get_title("left")


def test_a_scene_shows_each_object_twice_and_four_directions(split: Split) -> None:
    scene = split.scene(0)
    seen, above = plots.plot_scene(plots.picture(split, 0), scene).axes
    numbers = {str(number) for number in range(len(scene.objects))}
    assert {text.get_text() for text in seen.texts} == numbers
    assert {text.get_text() for text in above.texts if text.get_text()} == numbers | {
        "left",
        "right",
        "front",
        "behind",
    }


def test_the_map_has_right_to_the_right_as_the_relations_have_it(split: Split) -> None:
    scene = split.scene(0)
    _, above = plots.plot_scene(plots.picture(split, 0), scene).axes
    place = {text.get_text(): text.get_position() for text in above.texts}
    for i, others in enumerate(scene.relationships["right"]):
        assert all(place[str(j)][0] > place[str(i)][0] for j in others)
    for i, others in enumerate(scene.relationships["behind"]):
        assert all(place[str(j)][1] > place[str(i)][1] for j in others)


def test_objects_have_a_panel_for_their_number_and_for_each_attribute(split: Split) -> None:
    axes = plots.plot_objects(split).axes
    assert [one.get_title() for one in axes] == ["objects in a scene", "color", "material", "shape", "size"]
    heights = [sum(bar.get_height() for bar in one.patches) for one in axes]
    assert heights == [split.n_images] + 4 * [int(split.n_objects.sum())]


def test_types_are_compared_with_the_published_shares(split: Split) -> None:
    left, right = plots.plot_types(summary.types_table(split), summary.published_shares(split), "types").axes
    assert sum(map(len, left.containers)) == 13
    assert sum(map(len, right.containers)) == 2 * len(summary.PUBLISHED_VAL_COUNTS)


def test_answers_have_a_panel_a_class(split: Split) -> None:
    axes = plots.plot_answers(summary.answers_table(split)).axes
    assert [one.get_title() for one in axes] == list(ANSWER_CLASSES)
    assert sum(bar.get_height() for one in axes for bar in one.patches) == split.n_questions


def test_lengths_words_and_the_baseline_are_labelled(split: Split) -> None:
    lengths = plots.plot_lengths(split, "lengths").axes[0]
    assert sum(bar.get_height() for bar in lengths.patches) == split.n_questions
    assert lengths.get_xlabel() == "words in the question"
    words = plots.plot_words(summary.words_table(split), "words", most=7).axes[0]
    assert len(words.get_xticklabels()) == 7
    baseline = question_type_baseline(split, split)
    bars = plots.plot_question_type_baseline(baseline, "baseline").axes[0]
    assert len(bars.patches) == len(baseline) - 1  # a bar for each type, a line for all questions
    assert "%" in bars.get_xlabel()


def test_the_picture_for_the_network_has_its_grid() -> None:
    picture, squeezed = np.zeros((80, 120, 3), np.uint8), np.zeros((3, 128, 128), np.uint8)
    axes = plots.plot_for_network(picture, squeezed, cells=8).axes
    assert [one.get_title() for one in axes] == ["the picture, 120 x 80", "squeezed to 128 x 128", "8 x 8 cells"]
    assert len(axes[2].lines) == 14


def test_a_row_of_tokens_shows_words_and_padding() -> None:
    [axes] = plots.plot_tokens({"stored": np.array([2, 1, 0]), "read": np.array([0, 1, 2])}, ["red", "a"]).axes
    assert [text.get_text() for text in axes.texts] == ["a", "red", "0", "0", "red", "a"]


def test_other_arguments_give_a_run_another_synthetic_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path))
    folder = RunFolder("trial", "01_data_exploration")

    def made(val: int) -> Path:
        return synthetic_set(folder, train=0, val=val, test=0, seed=1, families=[], objects=(3, 4), images=(48, 32))

    first = made(1)
    assert first == made(1)
    assert first.is_relative_to(tmp_path / "trial")
    assert made(2) != first
    assert open_split(first, "val", images=None, verbose=False).n_images == 1


def test_a_synthetic_set_of_unknown_families_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNLIB_OUTPUTS", str(tmp_path))
    with pytest.raises(ConfigError, match="zero_hops"):
        synthetic_set(
            RunFolder("trial", "01_data_exploration"),
            train=0, val=1, test=0, seed=1, families=["zero_hops"], objects=(3, 4), images=(48, 32),
        )  # fmt: skip
