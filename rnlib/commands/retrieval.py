"""`rnlib features` and `retrieve`."""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnlib.clevr.split import Split, open_split
from rnlib.commands.options import require_other, split_of
from rnlib.errors import ConfigError
from rnlib.files import atomic_write, make_folder, read_json, write_json
from rnlib.model.checkpoint import ATTRIBUTES_FORMAT, Weights, load_weights
from rnlib.model.inputs import choose_device
from rnlib.provenance import provenance
from rnlib.retrieval.attributes import AttributeWeights, load_attribute_weights
from rnlib.retrieval.feature_file import FeatureSet, load_features, save_features
from rnlib.retrieval.features import all_features, conv_features, random_features
from rnlib.retrieval.neighbours import distances_from, require_neighbours
from rnlib.retrieval.rankings import better_vectors, rank_features, readable, recall_curve, summarise
from rnlib.retrieval.scene_distance import ground_truth

CURVE = 30  # points of a recall curve


def run_features(options: argparse.Namespace) -> None:
    """`features`."""
    require_other(options.out, options.weights)
    weights = _weights(options.weights)
    preset = weights.preset
    size = preset.picture_size
    split = open_split(options.clevr, split_of(options), images=size, cache=options.cache)
    if options.images is not None and not 1 <= options.images <= split.n_images:
        raise ConfigError(
            f"expected --images from 1 to {split.n_images}, the pictures of the split; found {options.images}."
        )
    pictures = np.arange(options.images or split.n_images)
    device = choose_device(options.device)
    if isinstance(weights, AttributeWeights):
        if options.layer:
            raise ConfigError(f"{options.weights} is a classifier of attributes and has no g: leave --layer out.")
        vectors = {
            f"attributes {name}": values for name, values in conv_features(weights, split, pictures, device).items()
        }
    else:
        last = preset.question_layer if preset.aggregation_layer is None else preset.aggregation_layer
        layers = [] if preset.most_objects and not preset.relations else [last]  # cnn-lstm has convolutions alone
        vectors = all_features(weights, split, pictures, options.layer or layers, device)
        vectors["random"] = random_features(len(pictures))
    origin = {key: weights.info.get(key) for key in ("sha256", "provenance")}
    made = FeatureSet.of(
        vectors, split, pictures, weights=options.weights.name, preset=preset.name, origin=origin, made=provenance()
    )
    save_features(options.out, made)
    print(f"{', '.join(vectors)} of {len(pictures):,} pictures in {options.out}")


def _weights(path: Path) -> Weights | AttributeWeights:
    sidecar = path.with_suffix(".json")
    if (
        path.suffix == ".safetensors"
        and os.path.isfile(sidecar)
        and read_json(sidecar, dict[str, Any]).get("format") == ATTRIBUTES_FORMAT
    ):
        return load_attribute_weights(path)
    return load_weights(path)


def run_retrieve(options: argparse.Namespace) -> None:
    """`retrieve`."""
    split = open_split(options.clevr, split_of(options), images=None, cache=options.cache)
    if options.database < 3:
        raise ConfigError(f"expected --database of at least 3 pictures, to be ranked; found {options.database}.")
    if options.threads is not None and options.threads < 1:
        raise ConfigError(f"expected --threads of at least 1, found {options.threads}.")
    features = _read_features(options.features, split, options.database)
    count = len(next(iter(features.values())))
    for k in options.k:
        require_neighbours(count, k)
    if not 2 <= options.queries <= count:
        raise ConfigError(
            f"expected --queries from 2 to {count}, the pictures of the database; found {options.queries}."
        )
    pictures, queries = np.arange(count), np.arange(options.queries)
    truths = {
        f"{variant} {cost}": ground_truth(
            split, pictures, queries, variant, cost, cache=options.cache, threads=options.threads
        )
        for variant in options.truth
        for cost in options.cost
    }
    rankings = rank_features(features, truths, queries, options.k)
    summary = summarise(rankings)
    ks = np.unique(np.geomspace(1, max(options.k), CURVE).astype(int)).tolist()
    curves = {
        (truth, name): recall_curve(distances_from(values, queries), scenes, queries, ks).mean(0)
        for name, values in features.items()
        for truth, scenes in truths.items()
    }
    make_folder(options.out, "the rankings")
    for name, table in (
        ("rankings", summary.set_axis([" ".join(column).strip() for column in summary.columns], axis=1)),
        ("per_query", rankings.set_index("truth")),
        ("recall_curves", pd.DataFrame(curves, index=pd.Index(ks, name="k")).T.rename_axis(["truth", "feature"])),
    ):
        with atomic_write(options.out / f"{name}.csv", "w") as file:
            table.to_csv(file, lineterminator="\n")
    write_json(
        options.out / "provenance.json",
        provenance(
            features=[path.name for path in options.features],
            data=split.fingerprint,
            database=count,
            queries=options.queries,
            truths=list(truths),
        ),
    )
    print(readable(better_vectors(summary)).to_string())
    print(f"{options.queries} queries to {count:,} pictures; mean ± half a 95 % interval; details in {options.out}")


def _read_features(paths: list[Path], split: Split, database: int) -> dict[str, np.ndarray]:
    """Features of the first `database` pictures, by name; where several files have one, by file and name."""
    read = {path: load_features(path) for path in paths}
    rows = {path: one.rows_in(split) for path, one in read.items()}
    count = min(database, min(map(len, rows.values())))
    names = [name for one in read.values() for name in one.vectors]
    stems = [path.stem for path in read]
    features = {}
    for path, one in read.items():
        if not np.array_equal(rows[path][:count], np.arange(count)):
            raise ConfigError(
                f"expected features of the first pictures of the split, {path} has others. Make it again."
            )
        for name, values in one.vectors.items():
            file = path.stem if stems.count(path.stem) == 1 else path.with_suffix("")
            label = name if names.count(name) == 1 else f"{file}: {name}"
            features[label] = values[:count]
    return features
