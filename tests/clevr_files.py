"""A CLEVR set of three scenes, written by hand, that tests may bend and break."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CUBE = {
    "3d_coords": [1.0, -2.0, 0.7], "pixel_coords": [100, 120, 9.5], "rotation": 30.5,
    "color": "red", "material": "metal", "shape": "cube", "size": "large",
}  # fmt: skip
BALL = {
    "3d_coords": [-1.5, 0.5, 0.35], "pixel_coords": [220, 90, 11.0], "rotation": 200.0,
    "color": "cyan", "material": "rubber", "shape": "sphere", "size": "small",
}  # fmt: skip
TOWARDS = {"left": [[1], []], "right": [[], [0]], "front": [[], [0]], "behind": [[1], []]}


def scene(index: int, split: str = "val") -> dict[str, Any]:
    return {
        "split": split,
        "image_index": index,
        "image_filename": f"CLEVR_{split}_{index:06d}.png",
        "objects": copy.deepcopy([CUBE, BALL]),
        "relationships": copy.deepcopy(TOWARDS),
        "directions": {},
    }


def question(index: int, text: str, answer: object, kind: str, split: str = "val", **extra: Any) -> dict[str, Any]:
    return {
        "split": split,
        "image_index": index,
        "image_filename": f"CLEVR_{split}_{index:06d}.png",
        "question": text,
        "answer": answer,
        "program": [
            {"function": "scene", "inputs": [], "value_inputs": []},
            {"function": kind, "inputs": [0], "value_inputs": []},
        ],
        "question_family_index": 84,
        "question_index": 0,
        **extra,
    }


QUESTIONS = [
    question(0, "How many red cubes are there?", "1", "count"),
    question(0, "Are there any cyan things?", "yes", "exist"),
    question(1, "What color is the small rubber ball; is it big?", "cyan", "query_color"),
    question(2, "What size is the cube?", "large", "query_size"),
]


class ClevrFiles:
    """A CLEVR directory with the split `val` (or another); change `scenes` and `questions`, then `write` again."""

    def __init__(self, root: Path, split: str = "val") -> None:
        self.root, self.split = root, split
        self.scenes = [scene(index, split) for index in range(3)]
        self.questions = copy.deepcopy(QUESTIONS)
        for entry in self.questions:
            entry["image_filename"] = entry["image_filename"].replace("val", split)
        for folder in ("images/" + split, "scenes", "questions"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(7)
        for index in range(3):
            pixels = generator.integers(0, 256, (80, 120, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.picture(index))
        self.write()

    @property
    def questions_file(self) -> Path:
        return self.root / "questions" / f"CLEVR_{self.split}_questions.json"

    @property
    def scenes_file(self) -> Path:
        return self.root / "scenes" / f"CLEVR_{self.split}_scenes.json"

    def picture(self, index: int) -> Path:
        return self.root / "images" / self.split / f"CLEVR_{self.split}_{index:06d}.png"

    def write(self) -> None:
        self.scenes_file.write_text(json.dumps({"info": {}, "scenes": self.scenes}))
        self.questions_file.write_text(json.dumps({"info": {}, "questions": self.questions}))
