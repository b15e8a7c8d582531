"""The scene editor: its state without a front end, and the boxes, keys and drags that drive it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from small_networks import small_weights

from rnlib.clevr.constants import ATTRIBUTES, RADII, RELATIONS
from rnlib.clevr.schema import Scene
from rnlib.clevr.split import Split, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.evaluation import predict
from rnlib.model import Weights
from rnlib.synthesis.scenes import relationships
from rnlib.synthesis.tracing import ROOM
from rnlib.synthesis.truth import truth_of
from rnlib.widgets.editor.state import MOST, SceneEditing, relational_question
from rnlib.widgets.editor.view import SceneEditor


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(scope="module")
def models() -> dict[str, Weights]:
    return {
        "states": small_weights("ir-sd"),
        "pixels": small_weights("small-fp"),
        "words": small_weights("question-only"),
    }


@pytest.fixture
def editing(models: dict[str, Weights], split: Split) -> SceneEditing:
    return SceneEditing.of_split(models, split, 2)


def attributes(scene: Scene) -> list[tuple[str, ...]]:
    return [tuple(getattr(item, name) for name in ATTRIBUTES) for item in scene.objects]


def test_the_scene_is_at_first_that_of_the_split(editing: SceneEditing, split: Split) -> None:
    scene = split.scene(2)
    assert attributes(editing.scene) == attributes(scene)
    assert editing.scene.relationships == scene.relationships
    assert (editing.selected, editing.changes, editing.broken()) == (0, 0, [])
    assert editing.drawn.shape == (320, 480, 3)
    stored = split.picture(2).astype(float)
    redrawn = editing.drawn.reshape(80, 4, 120, 4, 3).mean((1, 3))
    assert np.abs(redrawn - stored).mean() < 12  # lamps stand where they are before their jitter
    for (x, y, radius), item in zip(editing.outlines(), scene.objects, strict=True):
        assert abs(120 * x - item.pixel_coords[0]) < 1 and abs(80 * y - item.pixel_coords[1]) < 1
        assert radius > 0


def test_what_is_changed_shows_in_scene_picture_and_relations(editing: SceneEditing) -> None:
    before, drawn = editing.scene, editing.drawn
    editing.change(color="red" if editing.item.color != "red" else "blue")
    assert editing.item.color != before.objects[0].color and (editing.drawn != drawn).any()
    assert attributes(editing.scene)[1:] == attributes(before)[1:]
    size = "small" if editing.item.size == "large" else "large"
    editing.change(size=size)
    assert editing.item.coordinates[2] == pytest.approx(RADII[size])
    editing.turn_to(405.0)
    assert editing.degrees == pytest.approx(45)
    for attribute, values in ATTRIBUTES.items():
        value = getattr(editing.item, attribute)
        for _ in values:
            editing.cycle(attribute)
        assert getattr(editing.item, attribute) == value
    with pytest.raises(ConfigError, match=r"expected as color one of .*; found 'pink'"):
        editing.change(color="pink")


def test_an_object_goes_where_it_is_dragged_or_told(editing: SceneEditing) -> None:
    for x, y in ((0.3, 0.5), (0.62, 0.71)):
        editing.drag_to(x, y)
        assert editing.outlines()[0][:2] == pytest.approx((x, y), abs=1e-4)
    editing.move_to(1.25, -0.5)
    assert editing.place == pytest.approx((1.25, -0.5), abs=1e-4)
    editing.move_by(-0.25, 1.0)
    assert editing.place == pytest.approx((1.0, 0.5), abs=1e-4)
    centres = np.array([item.coordinates for item in editing.scene.objects])
    assert editing.scene.relationships == relationships(centres)
    editing.move_to(-100.0, 0.0)
    assert max(map(abs, editing.item.coordinates)) == 5.0
    assert editing.item.coordinates[2] == RADII[editing.item.size]


def test_left_on_the_screen_is_left_in_the_scene(editing: SceneEditing) -> None:
    editing.move_to(0.0, 0.0)
    x, y, _ = editing.outlines()[0]
    editing.move_by(-0.5, 0.0)
    assert editing.outlines()[0][0] < x
    editing.move_to(0.0, 0.5)
    assert editing.outlines()[0][1] < y  # behind is up


def test_objects_are_added_removed_and_changes_taken_back(editing: SceneEditing) -> None:
    first = editing.scene
    count = len(first.objects)
    editing.add()
    assert (len(editing.scene.objects), editing.selected) == (count + 1, count)
    assert attributes(editing.scene)[count] == attributes(first)[0]
    assert editing.broken() == []  # it stands where there is room
    editing.select(1)
    editing.remove()
    assert attributes(editing.scene) == [*attributes(first)[:1], *attributes(first)[2:], attributes(first)[0]]
    assert editing.changes == 2
    editing.undo()
    editing.undo()
    editing.undo()
    assert editing.scene is first and editing.changes == 0
    for _ in range(count + 1):
        editing.remove()
    assert editing.scene.objects == [] and editing.selected is None and editing.item is None
    assert set(editing.scene.relationships) >= set(RELATIONS)
    editing.drag_to(0.5, 0.5)
    editing.cycle("color")
    editing.select_next()
    assert editing.scene.objects == [] and editing.labels == []
    editing.add()
    assert editing.labels == ["1: small gray rubber sphere"]


def test_selecting_goes_round(editing: SceneEditing) -> None:
    for _ in editing.scene.objects:
        editing.select_next()
    assert editing.selected == 0
    with pytest.raises(ConfigError, match="expected an object from 1 to"):
        editing.select(99)


def test_broken_rules_are_said_not_forbidden(editing: SceneEditing) -> None:
    other = editing.scene.objects[1]
    editing.change(coordinates=other.coordinates)
    said = " ".join(editing.broken())
    assert "overlap" in said and "apart along left and right" in said


def test_networks_answer_as_they_do_elsewhere(models: dict[str, Weights], split: Split) -> None:
    """About a scene as it is in the split, the network on state descriptions says what `predict` says."""
    table = predict(models["states"], split, verbose=False)
    for question in range(0, split.n_questions, 17):
        text = split.question_text(question)
        editing = SceneEditing.of_split(models, split, int(split.image_of_question[question]), text)
        opinion = editing.opinions()["states"]
        assert opinion.answer is not None and opinion.pairs is not None
        assert opinion.answer.given == table["answer"][question]
        assert opinion.answer.top[0][1] == pytest.approx(table["probability"][question], rel=1e-3)
        assert opinion.answer.truth == split.answer_text(question) == editing.truth().answer


def test_all_answers_follow_the_scene(editing: SceneEditing) -> None:
    editing.question = "How many things are there?"
    count = len(editing.scene.objects)
    before = editing.opinions()
    assert set(before) == {"states", "pixels", "words"}
    assert before["words"].pairs is None and before["pixels"].pairs is not None
    assert before["states"].answer.truth == str(count)
    editing.remove()
    after = editing.opinions()
    assert after["states"].answer.truth == str(count - 1)
    for name in ("states", "pixels"):
        assert before[name].answer.top != after[name].answer.top
    assert before["words"].answer.top == after["words"].answer.top
    editing.question = "How many dragons are there?"
    assert all("unknown word 'dragons'" in one.problem and one.answer is None for one in editing.opinions().values())
    editing.question = "What color is the thing?"
    truth = editing.truth()
    assert truth == truth_of(editing.question, editing.scene) and "it speaks of one thing" in truth.problem
    assert editing.opinions()["states"].answer.outcome == ""


def test_answers_are_a_table_too(editing: SceneEditing) -> None:
    editing.question, start = relational_question(editing.scene)
    table = editing.answers()
    assert list(table.index) == ["states", "pixels", "words"] and set(table["truth"]) == {editing.truth().answer}
    left = sum(start in others for others in editing.scene.relationships["right"])
    assert editing.truth().answer == str(left)
    first = editing.opinions()["states"].answer
    assert table.loc["states"].tolist() == [*first.top[0], first.truth, first.outcome]
    editing.question = "Why?"
    assert editing.answers()["answer"].str.contains("unknown word").all()
    while len(editing.scene.objects) > 1:
        editing.remove()
    editing.add()
    with pytest.raises(ConfigError, match="expected an object without a double"):
        relational_question(editing.scene)


def test_more_objects_than_a_network_reads_are_its_problem_alone(editing: SceneEditing) -> None:
    while len(editing.scene.objects) < 13:
        editing.add()
    opinions = editing.opinions()
    assert opinions["states"].problem == "reads at most 12 objects, the scene has 13"
    assert opinions["pixels"].answer is not None
    while len(editing.scene.objects) < MOST:
        editing.add()
    with pytest.raises(ConfigError, match="expected at most 16 objects, found one more"):
        editing.add()
    assert MOST == ROOM


def test_a_scene_of_a_file_can_be_edited(models: dict[str, Weights], tiny_clevr: Path, tmp_path: Path) -> None:
    path = tiny_clevr / "scenes/CLEVR_val_scenes.json"
    editing = SceneEditing.of_file(models, path, "CLEVR_val_000004.png")
    assert editing.scene.image_filename == "CLEVR_val_000004.png"
    with pytest.raises(DataError, match="holds 12 scenes"):
        SceneEditing.of_file(models, path)
    empty = Scene(image_index=0, image_filename="x.png", objects=[], relationships={name: [] for name in RELATIONS})
    (tmp_path / "empty.json").write_bytes(msgspec.json.encode(empty))
    nothing = SceneEditing.of_file(models, tmp_path / "empty.json")
    assert nothing.selected is None and nothing.truth().answer == "0"
    with pytest.raises(ConfigError, match="expected at least one network"):
        SceneEditing.of_file({}, path, "CLEVR_val_000004.png")


# The widget


@pytest.fixture
def editor(editing: SceneEditing) -> SceneEditor:
    return SceneEditor(editing)


def test_boxes_show_and_change_the_selected_object(editor: SceneEditor) -> None:
    editing = editor.editing
    assert [label for label, _ in editor.list.options] == editing.labels
    assert editor.canvas.picture.startswith("data:image/jpeg;base64,") and editor.canvas.selected == 0
    editor.list.value = 1
    assert editing.selected == editor.canvas.selected == 1 and editing.changes == 0
    color = "red" if editing.item.color != "red" else "blue"
    editor.attributes["color"].value = color
    assert editing.item.color == color and editing.changes == 1 and color in editor.canvas.labels[1]
    picture = editor.canvas.picture
    editor.right.value = -1.5
    assert editing.place[0] == pytest.approx(-1.5, abs=1e-4) and editor.canvas.picture != picture
    editor.turned.value = 90
    assert editing.degrees == pytest.approx(90)
    assert editor.undo.description == "undo (3)"
    editor.undo.click()
    assert editing.changes == 2
    editor.remove.click()
    assert len(editor.canvas.outlines) == len(editing.scene.objects)


def test_the_mouse_selects_and_drags(editor: SceneEditor) -> None:
    editing = editor.editing
    editor.canvas.receive({"select": 2})
    assert editing.selected == editor.list.value == 2 and editing.changes == 0
    editor.canvas.receive({"drop": [1, 0.5, 0.6]})
    assert editing.selected == 1
    assert editor.canvas.outlines[1][:2] == pytest.approx([0.5, 0.6], abs=1e-4)
    editor.canvas.receive({"select": 99})
    assert "expected an object from 1 to" in editor.message.value


def test_keys_do_all_that_the_mouse_does(editor: SceneEditor) -> None:
    editing = editor.editing
    right, behind = editing.place
    editor.keyboard.press("ArrowRight")
    editor.keyboard.press("ArrowUp")
    assert editing.place == pytest.approx((right + 0.1, behind + 0.1), abs=1e-4)
    for key, name in {"c": "color", "m": "material", "s": "shape", "z": "size"}.items():
        before = getattr(editing.item, name)
        editor.keyboard.press(key)
        assert getattr(editing.item, name) != before
    editor.keyboard.press("n")
    assert editing.selected == 1
    count = len(editing.scene.objects)
    editor.keyboard.press("a")
    assert len(editing.scene.objects) == count + 1
    editor.keyboard.press("Delete")
    editor.keyboard.press("u")
    editor.keyboard.press("u")
    assert len(editing.scene.objects) == count


def test_the_question_typed_is_answered_beside_the_truth(editor: SceneEditor) -> None:
    editor.text.value = "How many things are there?"
    assert f"truth: <b>{len(editor.editing.scene.objects)}</b>" in editor.answers.value
    assert editor.answers.value.count("<figure>") == 3 and editor.answers.value.count("rn-pairs") == 2
    assert "scene [" in editor.answers.value
    editor.text.value = "What <b>color</b> is it"
    assert "&lt;b&gt;" in editor.answers.value and "<b>color" not in editor.answers.value
    editor.text.value = "What color is the thing?"
    assert "The question does not fit this scene" in editor.answers.value and "truth:" not in editor.answers.value


def test_broken_rules_stand_below_the_picture_and_the_card_stays(editor: SceneEditor) -> None:
    assert "keeps all of CLEVR's rules" in editor.broken.value
    editor.editing.select(0)
    editor._do(lambda: editor.editing.change(coordinates=editor.editing.scene.objects[1].coordinates))
    assert "CLEVR would not have this scene" in editor.broken.value and "overlap" in editor.broken.value
    bundle = editor._repr_mimebundle_()
    assert "overlap" in bundle["text/html"] and "<figure>" in bundle["text/html"]
    for _ in range(10):
        editor.remove.click()
    assert editor.list.options == () and editor.remove.disabled and "<figure>" in editor.answers.value
