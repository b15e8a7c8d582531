"""The widgets in a real JupyterLab in a headless Chromium, worked as a person works them.

Skipped, and loudly so, where there is no Chromium: `make browser` installs it, or says how.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lab import Lab, chromium, copy_notebooks, open_lab
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from rnlib.clevr import clevr_v1
from rnlib.model import RelationNetwork, load_preset, load_weights, save_weights
from rnlib.training import TrainingFolder
from rnlib.training.pause_stop import progress_of
from rnlib.training.resume_state import load_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium with its driver: 'make browser' installs it"),
    # A socket of urllib3's pool is collected when it likes.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, color_questions: Path, color_weights: Path) -> Iterator[Lab]:
    """JupyterLab on copies of the notebooks, whose parameters name a small set and weights that answer it."""
    folder = tmp_path_factory.mktemp("lab")
    common = {"clevr": str(color_questions), "cache": str(folder / "cache"), "device": "cpu"}
    values = {
        "02_train_state_descriptions": {**common, "epochs": 1, "batch_size": 3, "log_every": 1},
        "04_evaluation": {**common, "weights": [str(color_weights)]},
        "05_confusion_analysis": {**common, "weights": [str(color_weights)]},
        "06_retrieval": {**common, "weights": str(picture_weights(folder)), "attribute_epochs": 1, **RETRIEVAL},
    }
    copy_notebooks(folder, values)
    with open_lab(folder) as opened:
        yield opened


RETRIEVAL = {"database": 40, "judged": 12, "neighbours": 5, "recall_at": [2, 5]}


def picture_weights(folder: Path) -> Path:
    """Untrained weights that read pictures: enough to search by."""
    torch.manual_seed(0)
    network = RelationNetwork(load_preset("small-fp"), clevr_v1())
    return save_weights(folder / "weights" / "pictures.safetensors", network, clevr_v1())


def shown(widget: WebElement, selector: str) -> str:
    """The text of an element of a widget. Outside of `wait_for`, after `settle`: a page may be redrawn any time."""
    return widget.find_element(By.CSS_SELECTOR, selector).text


def number_left(widget: WebElement) -> int:
    """How many questions the filter leaves, as the widget says it."""
    return int(re.search(r"\d+ of (\d+)", widget.text)[1])


def test_the_answer_inspector(lab: Lab) -> None:
    inspector = lab.widget_of("04_evaluation", "rn-inspector")
    lab.wait_for_text(inspector, "1 of ")
    lab.settle(inspector)
    first = shown(inspector, ".rn-question")
    assert re.match(r"What color is the (cube|sphere|cylinder)\? \(query_color\)", first)
    assert len(inspector.find_elements(By.CSS_SELECTOR, ".rn-top tr")) == 5
    assert "scene → filter shape: " in shown(inspector, ".rn-chain")
    assert re.search("evidence for “.+” over “.+”", inspector.text)
    assert inspector.find_elements(By.CSS_SELECTOR, ".rn-pairs circle")
    size = inspector.find_element(By.CSS_SELECTOR, "figure img").size
    assert size["width"] > 200 and size["height"] > 100
    lab.screenshot("inspector", inspector)

    lab.press(inspector, "next")
    lab.wait_for_text(inspector, "2 of ")
    lab.press(inspector, "previous")
    lab.wait_for_text(inspector, "1 of ")
    lab.wait_for(lambda: shown(inspector, ".rn-question") == first, "the first question")
    lab.type(inspector, "5", enter=True, field="input[type=number]")
    lab.wait_for_text(inspector, "6 of ")
    lab.press(inspector, "random")
    lab.wait_for(lambda: not re.search(r"\b6 of ", inspector.text), "another question")
    lab.type(inspector, "5", enter=True, field="input[type=number]")
    lab.wait_for_text(inspector, "6 of ")
    lab.key(inspector, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    lab.wait_for_text(inspector, "8 of ")
    lab.key(inspector, Keys.ARROW_LEFT)
    lab.wait_for_text(inspector, "7 of ")
    with lab.as_wide_as(800):
        lab.wait_for(lambda: inspector.rect["width"] < 800, "a narrow page")
        assert lab.hidden_controls(inspector) == []
        lab.screenshot("inspector_800", inspector)

    lab.choose(inspector, "outcome", "invalid")
    lab.wait_for_text(inspector, "no such question")
    lab.wait_for_text(inspector, "choose “any outcome”")
    lab.choose(inspector, "outcome", "right")
    lab.wait_for_text(inspector, "– right")
    lab.choose(inspector, "split", "train")
    lab.wait_for(lambda: number_left(inspector) < 30, "the questions of the other split")
    lab.choose(inspector, "split", "val")
    lab.wait_for(lambda: number_left(inspector) > 30, "the questions of the first split")


def test_a_question_of_ones_own(lab: Lab) -> None:
    inspector = lab.widget_of("04_evaluation", "rn-inspector")
    lab.type(inspector, "What color is the spher")
    lab.wait_for(lambda: "spher… (spheres" in inspector.text or "spher… (sphere" in inspector.text, "endings")
    lab.type(inspector, "What color is the bulb ")
    lab.wait_for_text(inspector, "bulb (unknown: ")
    lab.settle(inspector)
    examples = [one.text for one in inspector.find_elements(By.CSS_SELECTOR, ".rn-example")]
    assert examples and all(example.startswith("What color is the ") for example in examples)
    lab.screenshot("unknown_word", inspector)
    lab.press(inspector, "ask")
    lab.wait_for_text(inspector, "unknown word 'bulb'")
    lab.press(inspector, examples[0])
    lab.wait_for(lambda: "unknown word" not in inspector.text, "an answer in place of the message")
    lab.wait_for(lambda: shown(inspector, ".rn-question").startswith(examples[0]), "the example as the question")
    lab.wait_for(lambda: shown(inspector, "figcaption").startswith("answer: "), "its answer")
    lab.type(inspector, "What color is the big cube?", enter=True)
    lab.wait_for(lambda: shown(inspector, ".rn-question").startswith("What color is the big cube?"), "the answer")
    # Whether the scene has one big cube or not, the truth is told.
    told = r"answer: \w+ – (right|wrong|invalid)|it speaks of one large cube, and the scene has"
    lab.wait_for(lambda: re.search(told, inspector.text), "the truth")
    lab.settle(inspector)
    assert "filter size: large [" in shown(inspector, ".rn-chain")
    lab.screenshot("own_question", inspector)


def test_the_error_browser(lab: Lab) -> None:
    browser = lab.widget_of("05_confusion_analysis", "rn-browser")
    lab.settle(browser)
    selection = browser.find_element(By.CSS_SELECTOR, ".widget-dropdown")
    names = [option.text for option in selection.find_elements(By.CSS_SELECTOR, "option")]
    assert names[-1].startswith("right, but hardly believed")
    lab.choose(browser, "selection", names[-1])
    lab.wait_for_text(browser, "– right")

    def listed() -> list[str]:
        return [option.text for option in browser.find_elements(By.CSS_SELECTOR, ".widget-select option")]

    lab.wait_for(lambda: listed() and listed()[0].partition(" → ")[2].startswith(listed()[0][:2]), "right answers")
    lab.settle(browser)
    lines = listed()
    truth, _, answer = lines[0].partition(" → ")
    assert answer.startswith(f"{truth} (") and "What color is the" in answer
    lab.press(browser, "next")
    lab.wait_for_text(browser, f"2 of {len(lines)}")
    lab.click(browser, ".widget-select option", 3)
    lab.wait_for_text(browser, f"4 of {len(lines)}")
    lab.wait_for_text(browser, f"answer: {lines[3].partition(' → ')[0]} – right")
    lab.wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, ".rn-pairs line"), "lines between the objects")
    lab.key(browser, Keys.ARROW_LEFT)
    lab.wait_for_text(browser, f"3 of {len(lines)}")
    with lab.as_wide_as(800):
        assert lab.hidden_controls(browser) == []
    lab.screenshot("error_browser", browser)


def test_the_retrieval_browser(lab: Lab) -> None:
    browser = lab.widget_of("06_retrieval", "rn-retrieval")
    lab.choose(browser, "feature", "conv flat")
    lab.wait_for_text(browser, "nearest by conv flat")
    lab.settle(browser)
    found = ".rn-found .rn-picture"
    name = re.search(r"CLEVR_val_\d+\.png", browser.find_element(By.CSS_SELECTOR, found).get_attribute("title"))[0]
    assert name not in shown(browser, ".rn-headline")
    lab.click(browser, found)
    lab.wait_for(lambda: name in shown(browser, ".rn-headline"), "the picture that was clicked as the query")
    lab.wait_for(lambda: re.search(r"1: [\d.]+ apart", browser.text), "distances")
    lab.settle(browser)  # the query itself is never among those that were found
    assert all(name not in one.get_attribute("title") for one in browser.find_elements(By.CSS_SELECTOR, found))
    assert browser.find_elements(By.CSS_SELECTOR, ".rn-truth")
    lab.screenshot("retrieval_browser", browser)
    lab.press(browser, "random query")
    lab.wait_for(lambda: name not in shown(browser, ".rn-headline"), "another query")


def test_the_training_monitor(lab: Lab) -> None:
    """Train on, pause, go on and stop in a thread; then stop a cell that trains, from another notebook."""
    monitor = lab.widget_of("02_train_state_descriptions", "rn-monitor")
    lab.wait_for_text(monitor, "ended")
    lab.settle(monitor)

    def curve() -> str:
        return monitor.find_element(By.CSS_SELECTOR, "img").get_attribute("src")

    before = curve()
    lab.type(monitor, "5000", enter=True, field="input[type=number]")
    lab.press(monitor, "train on")
    lab.wait_for(lambda: re.search(r"training · epoch \d", monitor.text), "a report")
    lab.wait_for(lambda: curve() != before, "a longer curve")
    lab.press(monitor, "pause")
    lab.wait_for_text(monitor, "paused · ")
    lab.settle(monitor)
    assert not button_of(monitor, "pause").is_enabled() and not button_of(monitor, "train on").is_enabled()
    lab.screenshot("monitor_paused", monitor)
    lab.press(monitor, "go on")
    lab.wait_for_text(monitor, "training · ")
    lab.press(monitor, "stop")
    lab.wait_for_text(monitor, "the state is saved")
    lab.screenshot("monitor", monitor)
    (folder,) = (lab.folder / "outputs/demo/02_train_state_descriptions").glob("state-*")
    stopped = load_state(folder / "state/last.pt")["position"]
    assert stopped["epoch"] >= 2
    load_weights(folder / "weights/last.safetensors")

    lab.add_cell("import msgspec\n_ = train_on(recipe=msgspec.structs.replace(recipe, epochs=9000))")
    lab.wait_for(lambda: reported(folder) == "training", "a cell that trains")
    lab.write_notebook("watch", WATCH.format(folder))
    watching = lab.widget_of("watch", "rn-monitor")
    lab.wait_for(lambda: re.search(r"training · epoch \d", watching.text), "a report of the cell's training")
    lab.press(watching, "follow")

    def enabled() -> list[str]:
        return [one.text.strip() for one in watching.find_elements(By.CSS_SELECTOR, "button") if one.is_enabled()]

    assert lab.steadily(enabled) == ["pause", "stop", "follow"]
    lab.press(watching, "stop")
    lab.wait_for_text(watching, "ended · ")
    assert load_state(folder / "state/last.pt")["position"]["total_steps"] > stopped["total_steps"]


def button_of(widget: WebElement, text: str) -> WebElement:
    """The button with this text."""
    (found,) = (one for one in widget.find_elements(By.CSS_SELECTOR, "button") if one.text.strip() == text)
    return found


WATCH = """
from rnlib.training import TrainingFolder
from rnlib.widgets.monitor.view import Monitor
from rnlib.widgets.monitor.state import Monitoring
Monitor(Monitoring(TrainingFolder("{}")), "state descriptions")
"""


def reported(folder: Path) -> str:
    """What the training of this folder says that it does."""
    progress = progress_of(TrainingFolder(folder))
    return progress.state if progress else ""


def test_the_scene_editor(lab: Lab, color_weights: Path, color_questions: Path) -> None:
    """Drag an object in the picture, change it with lists and keys, take it all back; the answers follow."""
    paths = [color_weights, lab.folder / "weights/pictures.safetensors", color_questions]
    lab.write_notebook("edit", EDIT.format(lab.folder, *paths))
    editor = lab.widget_of("edit", "rn-editor")
    scene = lab.wait_for(lambda: editor.find_element(By.CSS_SELECTOR, ".rn-scene"), "the picture")
    lab.wait_for_text(editor, "truth: ")
    lab.settle(editor)
    picture = scene.find_element(By.CSS_SELECTOR, "image")
    first = picture.get_attribute("href")
    assert len(editor.find_elements(By.CSS_SELECTOR, "figure")) == 2

    def marked() -> tuple[float, float]:
        """Where the selected object is, in parts of the picture."""
        mark = scene.find_element(By.CSS_SELECTOR, ".rn-selected")
        return float(mark.get_attribute("cx")) / 480, float(mark.get_attribute("cy")) / 320

    start = lab.wait_for(marked, "a selected object")
    end = (start[0] + (0.15 if start[0] < 0.5 else -0.15), start[1])
    lab.drag(scene, start, end)
    lab.wait_for_text(editor, "undo (1)")
    lab.wait_for(lambda: abs(marked()[0] - end[0]) < 0.02 and abs(marked()[1] - end[1]) < 0.02, "the object there")
    lab.wait_for(lambda: picture.get_attribute("href") != first, "another picture")
    lab.screenshot("editor", editor)

    lab.settle(editor)
    before = marked()[0]
    lab.key(editor, *[Keys.ARROW_RIGHT] * 3)
    lab.wait_for_text(editor, "undo (4)")
    lab.wait_for(lambda: marked()[0] > before, "the object further to the right")
    lab.press(editor, "remove")
    lab.wait_for_text(editor, "undo (5)")
    lab.type(editor, "How many things are there?", enter=True)
    lab.settle(editor)
    count = len(editor.find_elements(By.CSS_SELECTOR, ".rn-scene circle")) - 1  # but for the outline being dragged
    lab.wait_for_text(editor, f"truth: {count}")
    for left in (4, 3, 2, 1):
        lab.press(editor, f"undo ({left + 1})")
        lab.wait_for_text(editor, f"undo ({left})")
    lab.press(editor, "undo (1)")
    lab.wait_for(lambda: picture.get_attribute("href") == first, "the first picture again")
    lab.wait_for_text(editor, f"truth: {count + 1}")
    with lab.as_wide_as(800):
        assert lab.hidden_controls(editor) == []
        lab.screenshot("editor_800", editor)


EDIT = """
from rnlib.clevr import open_split
from rnlib.model import load_weights
from rnlib.widgets.editor.state import SceneEditing
from rnlib.widgets.editor.view import SceneEditor
models = {{"states": load_weights("{1}"), "pixels": load_weights("{2}")}}
split = open_split("{3}", "val", images=None, cache="{0}/cache", verbose=False)
SceneEditor(SceneEditing.of_split(models, split, 0, "How many cubes are there?"))
"""
