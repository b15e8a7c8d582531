"""Several sets of weights beside one another: their names, where they come from, their accuracies."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rnlib.clevr.constants import OFFICIAL_COUNTS
from rnlib.clevr.split import Split
from rnlib.clevr.unknown_words import open_known
from rnlib.errors import ConfigError, WeightsError
from rnlib.model.checkpoint import Weights, load_weights


def load_named(paths: Sequence[Path | str]) -> dict[str, Weights]:
    """Load weights files; each gets a name of its own, in the order given.

    A file in the folder of a training, TRAINING/weights/best.safetensors, is named after the
    training (less the digest that a run adds to its name), any other after itself;
    repeated names get a number. Raises WeightsError for a
    file that cannot be read, ConfigError where none is given.
    """
    if not paths:
        raise ConfigError(
            "expected at least one weights file, found none. Give the path of a .safetensors or .pth file."
        )
    loaded: dict[str, Weights] = {}
    for path in map(Path, paths):
        training = path.resolve().parents[1]
        of_training = path.parent.name == "weights" and (training / "run.json").is_file()
        base = re.sub(r"-[0-9a-f]{8}$", "", training.name) if of_training else path.stem
        name, number = base, 1
        while name in loaded:
            number += 1
            name = f"{base}-{number}"
        loaded[name] = load_weights(path)
    return loaded


def image_size(models: Mapping[str, Weights]) -> int | None:
    """Side of the pictures the models read, None where none reads pictures. WeightsError where they differ."""
    sizes = {size for weights in models.values() if (size := weights.preset.picture_size)}
    if len(sizes) > 1:
        raise WeightsError(
            f"expected weights that read pictures of one size, found {sorted(sizes)} pixels. "
            "Evaluate them one at a time."
        )
    return sizes.pop() if sizes else None


def open_questions(
    models: Mapping[str, Weights],
    directory: Path | str,
    split: str,
    *,
    unknown_words: str = "refuse",
    cache: Path | str | None = None,
) -> Split:
    """The questions of a split for these weights, with pictures where one reads some, as `open_known` opens them."""
    vocabularies = [weights.vocabulary for weights in models.values()]
    size = image_size(models)
    return open_known(directory, split, vocabularies, images=size, cache=cache, unknown_words=unknown_words)


def models_table(models: Mapping[str, Weights], split: Split) -> pd.DataFrame:
    """What each set of weights says of itself: a row a model.

    `trained on` compares the fingerprints of the data its training used with that of `split`:
    "these questions" were learnt from, "this set" means that they chose the best epoch.
    """
    return pd.DataFrame([_origin(name, weights, split) for name, weights in models.items()]).set_index("model")


def _origin(name: str, weights: Weights, split: Split) -> dict[str, Any]:
    origin = weights.info.get("provenance", {})
    data = origin.get("data", {})
    if "note" in origin:
        trained = f"elsewhere: {origin['note']}"
    elif not data:
        trained = "not recorded"
    elif split.fingerprint == data.get("train"):
        trained = "these questions"
    else:
        trained = "this set" if split.fingerprint == data.get("val") else "another set"
    return {
        "model": name,
        "preset": weights.preset.name,
        "reads": weights.preset.kind.reads,
        "parameters": weights.network.parameter_count(),
        "words": len(weights.vocabulary.words),
        "answers": len(weights.vocabulary.answers),
        "epoch": str(origin.get("epoch", "not recorded")),
        "trained on": trained,
    }


def is_official(split: Split) -> bool:
    """Whether the split has the size of the one of CLEVR v1.0."""
    counts = (split.n_images, split.n_questions)
    return counts == OFFICIAL_COUNTS.get(split.name) and split.label == split.name


def comparability(split: Split) -> str:
    """One sentence: whether accuracies on this split may be set beside the published ones."""
    if split.name not in OFFICIAL_COUNTS:
        return f"NOT COMPARABLE with published figures: CLEVR v1.0 has no split '{split.name}'."
    pictures, questions = OFFICIAL_COUNTS[split.name]
    if split.label != split.name:
        return f"NOT COMPARABLE with published figures: {split.label}."
    if is_official(split):
        return f"The {questions:,} questions of CLEVR v1.0 {split.name}: comparable with its published figures."
    return (
        f"NOT COMPARABLE with published figures: CLEVR v1.0 {split.name} has {questions:,} questions on {pictures:,} "
        f"pictures, this set {split.n_questions:,} on {split.n_images:,}."
    )
