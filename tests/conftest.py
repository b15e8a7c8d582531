"""What all tests share: run-time checked annotations, the real inputs, a tiny synthetic CLEVR."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from filelock import FileLock
from jaxtyping import install_import_hook

# Before anything imports rnlib: from here on every annotation in it, shapes included, is checked
# when its function is called.
install_import_hook("rnlib", "beartype.beartype")

# Several processes may share the tests (make test): they share the cores, and what takes long to make.
ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ

# Prepared arrays of the tests go to a folder of their own.
if not ONE_OF_SEVERAL:
    os.environ["RNLIB_CACHE"] = tempfile.mkdtemp(prefix="rnlib-test-cache-")

torch.set_num_threads(1 if ONE_OF_SEVERAL else 2)

_REAL_INPUTS = {
    "CLEVR_OFFICIAL": "a folder in the CLEVR layout made by the public CLEVR generator",
    "SEED_WEIGHTS": "the folder with original_fp_epoch_493.pth and ir_fp_epoch_312.pth",
    "CLEVR_CASES": "a folder of small sets as people have them, such as generator_output and no_scenes",
}


def _real_input(variable: str) -> Path:
    """The folder that the environment variable names; the test is skipped, and says so, where it is not set."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set: export {variable}=FOLDER, {_REAL_INPUTS[variable]}")
    folder = Path(os.environ[variable])
    if not folder.is_dir():
        pytest.fail(f"{variable} is {folder}: expected {_REAL_INPUTS[variable]}, found no such folder.")
    return folder


@pytest.fixture(scope="session")
def clevr_official() -> Path:
    """100 scenes rendered by the public CLEVR generator, with 1,000 questions (read-only)."""
    return _real_input("CLEVR_OFFICIAL")


@pytest.fixture(scope="session")
def seed_weights() -> Path:
    """The folder of the two weight files that the 2018 implementation released (read-only)."""
    return _real_input("SEED_WEIGHTS")


def _made_once(name: str, make: Callable[[Path], object], factory: pytest.TempPathFactory) -> Path:
    """The folder that `make` fills, in the first of the processes that asks for it."""
    root = factory.getbasetemp().parent if ONE_OF_SEVERAL else factory.getbasetemp()
    folder, done = root / name, root / f"{name}.done"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def clevr_cases() -> Path:
    """Small sets as people have them: each lacks something or has something that CLEVR has not (read-only)."""
    return _real_input("CLEVR_CASES")


@pytest.fixture(scope="session")
def tiny_clevr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic CLEVR of 24 + 12 + 6 scenes at 120x80. Shared: copy it before changing anything in it."""
    from rnlib.synthesis import synthesize

    sizes = {"train": 24, "val": 12, "test": 6, "seed": 1, "objects": (3, 6), "images": (120, 80), "verbose": False}
    return _made_once("tiny_clevr", lambda out: synthesize(out, **sizes), tmp_path_factory)


@pytest.fixture(scope="session")
def color_questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of 2 or 3 objects with pictures, and one kind of question: "What color is the <shape>?"

    Asked about every object whose shape is the only one of its kind in the scene; 20 scenes of train, 40 of val.
    Shared: copy it before changing anything in it.
    """
    sizes = {"train": 20, "val": 40, "seed": 2, "images": 128}
    return _made_once("color_questions", lambda out: _color_set(out, **sizes), tmp_path_factory)


def _color_set(out: Path, **sizes: Any) -> Path:
    from rnlib.synthesis import synthesize

    synthesize(out, test=0, families=["zero_hop"], objects=(2, 3), verbose=False, workers=1, **sizes)
    for split in ("train", "val"):
        scenes = json.loads((out / f"scenes/CLEVR_{split}_scenes.json").read_text())["scenes"]
        path = out / f"questions/CLEVR_{split}_questions.json"
        content = json.loads(path.read_text())
        content["questions"] = [question for scene in scenes for question in _color_questions(scene)]
        path.write_text(json.dumps(content))
    return out


def _color_questions(scene: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shapes = [item["shape"] for item in scene["objects"]]
    for item in scene["objects"]:
        if shapes.count(item["shape"]) == 1:
            steps = [("scene", []), ("filter_shape", [item["shape"]]), ("unique", []), ("query_color", [])]
            yield {
                "image_index": scene["image_index"],
                "image_filename": scene["image_filename"],
                "question": f"What color is the {item['shape']}?",
                "answer": item["color"],
                "question_family_index": 87,
                "program": [
                    {"function": name, "inputs": [place - 1] if place else [], "value_inputs": values}
                    for place, (name, values) in enumerate(steps)
                ],
            }


@pytest.fixture(scope="session")
def color_weights(color_questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network on state descriptions that answers `color_questions`, in ten seconds of training."""
    folder = _made_once("color_training", lambda out: _train_on_colors(out, color_questions), tmp_path_factory)
    return folder / "run" / "weights" / "best.safetensors"


def _train_on_colors(out: Path, questions: Path) -> None:
    from rnlib.clevr import clevr_v1, open_split
    from rnlib.model import load_preset
    from rnlib.training import Options, Recipe, train

    sizes = {"g_layers": [64, 64], "f_layers": [64, 64], "lstm_hidden": 32, "dropout": 0}
    recipe = Recipe(
        epochs=22,
        lr=3e-3,
        lr_gamma=1,
        batch_size=64,
        weight_decay=0,
        forget_bias=2.0,
        group_questions=True,
    )
    learnt = _color_set(out / "set", train=1000, val=1, seed=1, images=None)
    sets = [
        open_split(path, name, images=None, verbose=False) for path, name in ((learnt, "train"), (questions, "val"))
    ]
    options = Options(vocabulary=clevr_v1(), verbose=False)
    train(load_preset("small-sd", sizes), recipe, sets, out / "run", options)


@pytest.fixture(autouse=True)
def _no_figure_stays_open() -> Iterator[None]:
    """pyplot keeps figures until they are closed, and warns when there are many."""
    yield
    plt.close("all")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in lines of their own what was not there to test with: green without it proves less."""
    if not (shutil.which("chromedriver") and any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))):
        terminalreporter.section("BROWSER NOT TESTED", yellow=True, bold=True)
        terminalreporter.line("no Chromium with its chromedriver: 'make browser' installs them, or says how")
    absent = [variable for variable in _REAL_INPUTS if not os.environ.get(variable)]
    if absent:
        terminalreporter.section("REAL INPUTS NOT TESTED", yellow=True, bold=True)
        for variable in absent:
            terminalreporter.line(f"{variable} is not set: export {variable}=FOLDER, {_REAL_INPUTS[variable]}")
