"""Synthetic CLEVR: the v1.0 layout and true answers."""

import json
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from rnlib.clevr.schema import Program, Scene
from rnlib.synthesis import execute, synthesize

SMALL = (96, 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """40 scenes of train, 6 of val, 5 of test, of all families."""
    out = tmp_path_factory.mktemp("synthetic") / "set"
    return synthesize(out, train=40, val=6, test=5, seed=3, images=SMALL, workers=1, verbose=False)


def load(out: Path, kind: str, split: str) -> list[dict]:
    return json.loads((out / kind / f"CLEVR_{split}_{kind}.json").read_text())[kind]


def test_layout_and_keys_are_those_of_the_release(made):
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.suffix == ".json"}
    assert files == {
        "synthesis.json",
        "scenes/CLEVR_train_scenes.json",
        "scenes/CLEVR_val_scenes.json",
        "questions/CLEVR_train_questions.json",
        "questions/CLEVR_val_questions.json",
        "questions/CLEVR_test_questions.json",
    }
    for split, number in (("train", 40), ("val", 6), ("test", 5)):
        names = sorted(path.name for path in (made / "images" / split).iterdir())
        assert names == [f"CLEVR_{split}_{i:06d}.png" for i in range(number)]
        document = json.loads((made / "questions" / f"CLEVR_{split}_questions.json").read_text())
        assert set(document) == {"info", "questions"}
        assert set(document["info"]) == {"date", "version", "split", "license"}
        assert document["info"]["split"] == split
        rows = document["questions"]
        assert [row["question_index"] for row in rows] == list(range(len(rows)))
        keys = {"split", "image_index", "image_filename", "question", "question_index"}
        if split != "test":
            keys |= {"answer", "program", "question_family_index"}
        assert all(set(row) == keys for row in rows)
        assert all(row["image_filename"] == f"CLEVR_{split}_{row['image_index']:06d}.png" for row in rows)
    scene = load(made, "scenes", "train")[7]
    assert set(scene) == {"split", "image_index", "image_filename", "objects", "relationships", "directions"}
    assert scene["image_index"] == 7
    keys = {"3d_coords", "pixel_coords", "rotation", "size", "color", "material", "shape"}
    assert all(set(item) == keys for item in scene["objects"])
    for row in load(made, "questions", "train"):
        for node in row["program"]:
            assert set(node) == {"function", "inputs", "value_inputs"}
    with Image.open(made / "images/train/CLEVR_train_000000.png") as image:
        assert (image.size, image.mode) == (SMALL, "RGB")


def test_every_answer_is_what_its_program_gives(made):
    for split in ("train", "val"):
        scenes = load(made, "scenes", split)
        rows = load(made, "questions", split)
        assert len(rows) > 9 * len(scenes)
        for row in rows:
            assert (
                execute(msgspec.convert(row["program"], Program), msgspec.convert(scenes[row["image_index"]], Scene))
                == row["answer"]
            ), row["question"]
