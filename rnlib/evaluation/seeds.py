"""Trainings that differ by nothing but their seed: one figure a setting, with the spread between seeds.

The interval of a single run speaks of the choice of questions only. Training again with another
seed moves the figure too, and by how much only several trainings tell.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pandas as pd

from rnlib.evaluation.intervals import mean_and_sd
from rnlib.model.checkpoint import Weights


def seed_groups(models: Mapping[str, Weights]) -> dict[str, list[str]]:
    """The models that differ by seed only, two or more of them, by a name for all: "state x 3 seeds".

    Compared are preset, vocabulary, recipe and data, as the weights' provenance has them; the
    epoch may differ, for each training keeps its own best. Weights without a recorded recipe
    (the seed's of 2018) belong to no group, and neither do two files of one training.
    """
    found: dict[bytes, dict[Any, str]] = {}
    for name, weights in models.items():
        origin = weights.info.get("provenance", {})
        if "recipe" not in origin:
            continue
        recipe = dict(origin["recipe"])
        seed = recipe.pop("seed", None)
        setting = [weights.preset, weights.vocabulary, recipe, origin.get("data"), origin.get("start")]
        found.setdefault(msgspec.json.encode(setting, order="sorted"), {}).setdefault(seed, name)
    groups = [list(names.values()) for names in found.values() if len(names) > 1]
    return {f"{names[0]} × {len(names)} seeds": names for names in groups}


def seeds_table(accuracies: pd.DataFrame, groups: Mapping[str, list[str]]) -> pd.DataFrame:
    """Mean and spread over seeds of each accuracy: a row a group, by and name, in percent.

    `accuracies`: `accuracy_table` of rnlib.evaluation.models; `groups`: `seed_groups`. Columns: model,
    by, name, questions, accuracy (mean), sd, low, high (95 % t-interval of the mean), seeds.
    """
    columns = ["model", "by", "name", "questions", "accuracy", "sd", "low", "high", "seeds"]
    rows = []
    for group, names in groups.items():
        chosen = accuracies[accuracies["model"].isin(names)]
        for (by, name), part in chosen.groupby(["by", "name"], sort=False):
            mean, sd, low, high = mean_and_sd(part["accuracy"].tolist())
            rows.append((group, by, name, int(part["questions"].iloc[0]), mean, sd, low, high, len(part)))
    return pd.DataFrame(rows, columns=columns)
