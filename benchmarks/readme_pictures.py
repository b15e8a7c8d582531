"""The pictures of the README, made anew with the released weights.

    rnlib data synthesize --out DIR --train 1 --val 120 --images 480x320
    python benchmarks/readme_pictures.py --clevr DIR --question 680

scene.png, answer.png (only with --clevr): the picture of a question of the val split, and the answer with the pairs
that are evidence for it.
turning.png: one object is moved past another in small steps, and two networks are asked the same question at each.
learning.png: held-out accuracy of the released networks against the time of their training. 01.png to 07.png: a figure
of each notebook, small, as its stored outputs have it.
"""

import argparse
import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
from PIL import Image

from rnlib.clevr.constants import DIRECTIONS
from rnlib.clevr.schema import Scene, SceneObject
from rnlib.clevr.split import open_split
from rnlib.evaluation import predict
from rnlib.evaluation.attribution import pair_map
from rnlib.evaluation.examples import answer_of
from rnlib.evaluation.plots.examples import plot_explained
from rnlib.evaluation.what_if import Case, yes_probability
from rnlib.model import NetworkInputs, load_weights
from rnlib.model.pretrained import shipped_folder
from rnlib.runs.paths import notebook_name, notebook_path
from rnlib.style import MARKERS, PALETTE, label
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View
from rnlib.synthesis.editing import with_objects
from rnlib.synthesis.pictures import draw
from rnlib.synthesis.truth import truth_of

OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"
NETWORKS = {"detect-fp": "detect-fp, sees the picture", "medium-sd": "medium-sd, given the scene"}
QUESTION = "Is there a tiny yellow ball right of the big red cube?"
REACH = 2.4  # how far the ball moves to each side, in world units
PAPER = {95.5: "paper, pixels, on the real CLEVR", 96.4: "paper, state descriptions, on the real CLEVR"}
THUMBNAILS = {  # the figure that stands for each notebook
    "01": "scene",
    "02": "by_type",
    "03": "cells",
    "04": "inspected",
    "05": "count_errors",
    "06": "nearest_scenes",
    "07": "turning_point",
}
STEPS = 49  # odd: one of them is in the middle
FRAMES = (0, 16, 24, 32, 48)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, help="a set with pictures, for answer.png")
    parser.add_argument("--question", type=int, default=0, help="number of a question of its val split")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    turning(options.out / "turning.png")
    learning(options.out / "learning.png")
    if options.clevr:
        explained(options.clevr, options.question, options.out / "answer.png")
    for number, name in THUMBNAILS.items():
        thumbnail(number, name, options.out / f"{number}.png")


def moved_scene(camera: Camera, across: float) -> Scene:
    """Four objects; the ball is `across` world units right of the red cube, and in front of it."""
    right, front = (np.array(DIRECTIONS[name][:2]) for name in ("right", "front"))
    looks = [
        (0 * right, "large", "red", "rubber", "cube", 20.0),
        (across * right + 1.5 * front, "small", "yellow", "metal", "sphere", 0.0),
        (2.2 * right - 2.0 * front, "large", "cyan", "metal", "cylinder", 0.0),
        (-2.0 * right - 1.2 * front, "small", "gray", "rubber", "cylinder", 0.0),
    ]
    made = [
        SceneObject((float(place[0]), float(place[1]), 0.0), (0.0, 0.0, 0.0), rotation, size, color, material, shape)
        for place, size, color, material, shape, rotation in looks
    ]
    empty = Scene(image_index=0, image_filename="", split="", objects=[], relationships={}, directions=DIRECTIONS)
    return with_objects(empty, camera, made)


def turning(out: Path) -> None:
    """Five pictures of the moving ball, and how likely "yes" is to two networks at each place."""
    view = View(Camera(np.array(CAMERA)), np.array(LAMPS))
    places = np.linspace(-REACH, REACH, STEPS)
    scenes = [moved_scene(view.camera, across) for across in places]
    pictures = draw(scenes, [view] * STEPS, (480, 320))
    truths = [truth_of(QUESTION, scene).answer for scene in scenes]
    figure = plt.figure(figsize=(11, 5.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.35])
    above.suptitle(f"“{QUESTION}”", fontsize=13)
    for axes, number in zip(above.subplots(1, len(FRAMES)), FRAMES, strict=True):
        axes.imshow(pictures[number])
        axes.set_title(f"{places[number]:+.1f}: {truths[number]}", fontsize=11)
        axes.set_axis_off()
    axes = below.subplots()
    axes.axvspan(-0.4, 0.4, color="0.92", label="no training scene has two objects so nearly level")
    axes.axvline(0.2, color="0.4", ls="--", lw=1.2, label="CLEVR's rule: right of, from 0.2 on")
    for name, color, marker in zip(NETWORKS, PALETTE, MARKERS, strict=False):
        said = 100 * yes_probability(load_weights(name))([Case(scene, view, QUESTION) for scene in scenes])
        axes.plot(places, said, color=color, marker=marker, ms=4, lw=1.5, label=NETWORKS[name])
    axes.set_ylim(-3, 103)
    label(axes, "", "how far the ball is right of the cube (world units)", "“yes” against “no” (%)")
    axes.legend(loc="upper left", fontsize=10, frameon=False)
    figure.savefig(out, dpi=90)


def learning(out: Path) -> None:
    """Wrong answers of the released networks to synthetic held-out questions against the minutes of training."""
    figure, axes = plt.subplots(figsize=(10.5, 3.6), layout="constrained")
    names = ("medium-sd", "medium-ir-sd", "detect-fp")
    for name, color, marker in zip(names, PALETTE, MARKERS, strict=False):
        curve, size = pd.read_csv(shipped_folder() / f"{name}.csv"), 9 if name == "detect-fp" else 4
        curve = curve[curve["curve"] == curve["curve"].iloc[-1]]  # not what came before
        axes.plot(curve["minutes"], 100 - curve["accuracy"], color=color, marker=marker, ms=size, lw=1.5, label=name)
    for accuracy, what in PAPER.items():
        axes.axhline(100 - accuracy, color="0.4", ls="--" if "pixels" in what else ":", lw=1.2, label=what)
    label(axes, "", "minutes of training on questions, 1 or 2 CPU cores", "held-out questions wrong (%, log)")
    axes.set_yscale("log")
    axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(out, dpi=90)


def explained(clevr: Path, question: int, out: Path) -> None:
    """A question with its answer and the pairs that are evidence for it."""
    weights = load_weights("detect-fp")
    split = open_split(clevr, "val", images=weights.preset.image_size, verbose=False)
    table = predict(weights, split, verbose=False)
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
    tokens = inputs.tokens[question, : int(split.lengths[question])]
    pairs = pair_map(weights, inputs, int(split.image_of_question[question]), tokens)
    answer = answer_of(table, split, question)
    Image.fromarray(answer.picture).save(out.with_name("scene.png"), optimize=True)
    plot_explained(answer, pairs).savefig(out, dpi=90)


def thumbnail(number: str, name: str, out: Path) -> None:
    """The figure `name` of a notebook's stored outputs, at most 320 x 200 pixels."""
    notebook = nbformat.read(notebook_path(notebook_name(number)), as_version=4)
    [cell] = [cell for cell in notebook.cells if f', "{name}")' in cell.source]
    [png, *_] = [one["data"]["image/png"] for one in cell.outputs if "image/png" in one.get("data", {})]
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((320, 200), Image.Resampling.LANCZOS)
    picture.save(out, optimize=True)


if __name__ == "__main__":
    main()
