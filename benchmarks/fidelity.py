"""How faithful the synthetic pictures are: weights, such as those of 2018 that know the real CLEVR, answer on them.

    python benchmarks/fidelity.py --official DIR --weights mesnico-ir-fp mesnico-original-fp

DIR of --official: a set made by the public CLEVR generator. Three things are compared, by question type:

official     its own pictures and questions
replay      its questions on our pictures of its scenes (cameras fitted, lamps at their mean places)
synthetic   2,000 questions of ours on 200 pictures of ours

and for the replay, colour, contrast and the places of the objects. The renderer's constants were
fitted to the first 50 scenes of such a set, so the rest are reported apart. Takes 3 minutes on a CPU.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rnlib.clevr.constants import VIEW
from rnlib.clevr.images import open_picture
from rnlib.clevr.schema import Scene, read_scenes
from rnlib.clevr.split import Split, open_split
from rnlib.evaluation.predict import predict
from rnlib.model.checkpoint import load_weights
from rnlib.synthesis import synthesize
from rnlib.synthesis.camera import View
from rnlib.synthesis.camera_fit import fit_views
from rnlib.synthesis.pictures import draw

FITTED = 50  # scenes to which the renderer's constants were fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", nargs="+", required=True, metavar="WEIGHTS", help="from pixels: files or names")
    parser.add_argument("--scenes", type=int, default=200, help="synthetic scenes, of 10 questions each")
    parser.add_argument("--seed", type=int, default=20, help="of the synthetic scenes")
    options = parser.parse_args()
    official = open_split(options.official, "val")
    scenes = list(read_scenes(official.directory.scenes("val")))
    views = fit_views(scenes)
    report_pictures(official, scenes, views)

    small = np.ascontiguousarray(draw(scenes, views, (128, 128)).transpose(0, 3, 1, 2))
    replay = dataclasses.replace(official, images=small)
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder), train=0, val=options.scenes, seed=options.seed, images=128)
        synthetic = open_split(folder, "val", cache=Path(folder) / "cache")
        for weights in options.weights:
            report_answers(weights, {"official": official, "replay": replay, "synthetic": synthetic})


def report_pictures(official: Split, scenes: list[Scene], views: list[View]) -> None:
    off = [
        np.abs(
            view.camera.project(np.array([item.coordinates for item in scene.objects]), VIEW)[:, :2]
            - [item.pixel_coords[:2] for item in scene.objects]
        ).max()
        for scene, view in zip(scenes, views, strict=True)
    ]
    print(f"objects' centres: at most {max(off):.2f} pixels from pixel_coords, {len(off)} scenes")
    theirs = np.stack([np.asarray(open_picture(official.image_path(row))) for row in range(len(scenes))]).astype(float)
    ours = draw(scenes, views, VIEW).astype(float)
    for name, rows in (("fitted", slice(FITTED)), ("others", slice(FITTED, None)), ("all", slice(None))):
        a, b = theirs[rows], ours[rows]
        pixel, mean = np.abs(a - b).mean(), np.abs(a.mean((1, 2)) - b.mean((1, 2))).mean()
        print(
            f"{name:8} scenes: mean RGB official {a.mean((0, 1, 2)).round(1)}, ours {b.mean((0, 1, 2)).round(1)}; "
            f"contrast (sd) {a.std((1, 2)).mean(0).round(1)}, {b.std((1, 2)).mean(0).round(1)}; "
            f"a pixel differs by {pixel:.1f}, a picture's mean by {mean:.1f}"
        )


def report_answers(name: str, splits: dict[str, Split]) -> None:
    weights = load_weights(name)
    tables = {key: predict(weights, split, verbose=False) for key, split in splits.items()}
    for key in ("official", "replay"):
        tables[f"{key}, others"] = tables[key][tables[key].image_index >= FITTED]
    columns = {}
    for setting, table in tables.items():
        parts = [table.groupby(key).correct.mean() for key in ("group", "type")]
        columns[setting] = pd.concat([pd.Series({"ALL": table.correct.mean()}), *parts]) * 100
    counts = tables["synthetic"].groupby("type").size()
    print(f"\n{name}: accuracy in percent")
    print(pd.DataFrame(columns).assign(questions=counts).round(1).to_string(na_rep=""))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
