"""Does computing a training in another way cost accuracy? Final accuracies over several seeds.

    python benchmarks/equivalence.py                     3 seeds, about 10 minutes on one core
    python benchmarks/equivalence.py --preset small-fp --scenes 6000 --epochs 4

Trains small-sd on one set (4,000 synthetic scenes of 2 to 4 objects, zero_hop questions) in float32 with single
questions shuffled, with products in bfloat16, and with a picture's questions kept together, and prints mean
and standard deviation over the seeds. From pixels (convolutions in bfloat16 too): scenes of 1 or 2 objects, questions
kept together, a moving average of the weights.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from rnlib.clevr.split import open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.model.preset import load_preset
from rnlib.synthesis import synthesize
from rnlib.training import Options, make_recipe, train

WAYS = {
    "float32": {"precision": "fp32"},
    "bfloat16": {"precision": "bf16"},
    "questions grouped": {"precision": "fp32", "group_questions": True},
}
FROM_PIXELS = {"group_questions": True, "ema": 0.99, "clip_norm": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small-sd", choices=("small-sd", "small-fp"))
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--epochs", type=int, default=6, metavar="N")
    parser.add_argument("--scenes", type=int, default=4000, metavar="N")
    options = parser.parse_args()
    preset = load_preset(options.preset)
    images = preset.picture_size
    pixels = images is not None
    recipe = {"epochs": options.epochs, "batch_size": 64, "lr": 1e-3, "lr_gamma": 1, "weight_decay": 0}
    ways = {name: {**fields, **FROM_PIXELS} for name, fields in list(WAYS.items())[:2]} if pixels else WAYS
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        clevr = synthesize(
            root / "clevr",
            train=options.scenes,
            val=500,
            families=["zero_hop"],
            objects=(1, 2) if pixels else (2, 4),
            images=images,
            verbose=False,
        )
        splits = [
            open_split(clevr, name, images=images, cache=root / "cache", verbose=False) for name in ("train", "val")
        ]
        for name, fields in ways.items():
            accuracies = []
            for seed in range(options.seeds):
                out = root / f"{name} {seed}"
                run = train(
                    preset,
                    make_recipe({**recipe, **fields, "seed": seed}),
                    splits,
                    out,
                    Options(vocabulary=clevr_v1(), verbose=False),
                )
                accuracies.append(100 * float(run.history()["val_accuracy"].iloc[-1]))
            mean, deviation = np.mean(accuracies), np.std(accuracies, ddof=1)
            each = ", ".join(f"{value:.2f}" for value in accuracies)
            print(f"{name:18s} {mean:.2f} % +- {deviation:.2f} ({each}), last epoch", flush=True)


if __name__ == "__main__":
    main()
