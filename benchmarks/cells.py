"""What a network can know if each cell of a picture holds one object, and what it sees once cells are taught.

    python benchmarks/cells.py --clevr DIR                                  an oracle, by the number of cells
    python benchmarks/cells.py --clevr DIR --cells RUN/weights/last.safetensors --state medium-ir-sd

The oracle: a network on state descriptions answers val questions about scenes from which the farther one of two
objects whose centres share a cell is left out. With `--cells`: convolutions of `train-cells` (preset detect-fp), with
the network on state descriptions reading what they describe. It has seen no question about a picture; it answers those
of the last `--scenes` scenes of the train split.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import part_of
from rnlib.evaluation import predict
from rnlib.model import RelationNetwork, load_preset, load_weights
from rnlib.model.checkpoint import Weights, init_convolutions
from rnlib.model.net2net import init_from

VIEW = (480, 320)  # what pixel_coords of a set with a picture array speak of


def without_hidden(split: Split, side: int) -> tuple[Split, np.ndarray]:
    """The split with one object in each of side x side cells, and which objects it keeps."""
    scenes = split.require_scenes()
    there = scenes.codes[:, :, 0] != 0
    places = np.floor(scenes.pixel_coords[:, :, :2] / VIEW * side).astype(int)
    keep = there.copy()
    for row, cells in enumerate(places[:, :, 1] * side + places[:, :, 0]):
        taken: set[int] = set()
        for number in np.argsort(scenes.pixel_coords[row, :, 2]):
            if there[row, number]:
                keep[row, number] = cells[number] not in taken
                taken.add(int(cells[number]))
    order = np.argsort(~keep, axis=1, kind="stable")  # objects come first, padding behind them
    codes = np.take_along_axis(scenes.codes * keep[:, :, None], order[:, :, None], 1)
    coordinates = np.take_along_axis(scenes.coordinates * keep[:, :, None], order[:, :, None], 1)
    left = replace(scenes, codes=codes, coordinates=coordinates, n_objects=keep.sum(1).astype(np.uint8))
    return replace(split, scenes=left), keep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clevr", type=Path, required=True, help="a synthetic set with a picture array")
    parser.add_argument("--cells", type=Path, help="weights of train-cells")
    parser.add_argument("--state", default="medium-sd", help="weights on state descriptions (default medium-sd)")
    parser.add_argument("--scenes", type=int, default=600)
    options = parser.parse_args()
    if options.cells:
        preset, state = load_preset("detect-fp"), load_weights(options.state)
        network = RelationNetwork(preset, state.vocabulary)
        init_convolutions(network, options.cells)
        init_from(network, state.vocabulary, options.state)
        train = open_split(options.clevr, "train", images=preset.image_size)
        table = predict(
            Weights(network.eval(), preset, state.vocabulary),
            part_of(train, train.n_images - options.scenes, train.n_images),
        )
        print(f"{100 * table['correct'].mean():.1f} % of {len(table):,} questions")
        return
    val = open_split(options.clevr, "val", images=None)
    split, weights = part_of(val, 0, options.scenes), load_weights(options.state)
    objects = split.codes[:, :, 0] != 0
    print(f"all objects: {100 * predict(weights, split, verbose=False)['correct'].mean():.1f} % right")
    for side in (4, 5, 6, 8, 16):
        seen, keep = without_hidden(split, side)
        print(
            f"{side**2} cells: {100 * (1 - keep.sum() / objects.sum()):.1f} % of the objects left out, "
            f"{100 * (keep == objects).all(1).mean():.0f} % of the scenes whole, "
            f"{100 * predict(weights, seen, verbose=False)['correct'].mean():.1f} % right"
        )


if __name__ == "__main__":
    main()
