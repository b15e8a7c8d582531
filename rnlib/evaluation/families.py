"""Accuracy by question family: the 90 templates of CLEVR's questions, in their 9 groups."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rnlib.clevr.constants import FAMILY_GROUPS
from rnlib.clevr.split import Split
from rnlib.evaluation.intervals import wilson_bounds

# In the order of what they demand: no relation first, comparisons last.
GROUPS = (
    *("zero_hop", "one_hop", "two_hop", "three_hop", "single_and"),
    *("single_or", "same_relate", "comparison", "compare_integer"),
)
_GROUP_OF_FAMILY = {family: group for group, families in FAMILY_GROUPS.items() for family in families}


def accuracy_by_family(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a model and family that occurs, and one a model and group (family -1), in the order of GROUPS.

    Columns: model, group, family, questions, accuracy, low, high (percent, 95 % Wilson interval).
    Families that are not recorded (255) are left out.
    """
    tables = []
    for model, table in predictions.items():
        known = pd.DataFrame({"family": table["family"].astype(int), "correct": table["correct"].astype(bool)})
        known["group"] = known["family"].map(_GROUP_OF_FAMILY)
        known = known.dropna(subset="group")
        for keys in (["group"], ["group", "family"]):
            counts = known.groupby(keys)["correct"].agg(["size", "sum"]).reset_index()
            low, high = wilson_bounds(counts["sum"].to_numpy(int), counts["size"].to_numpy(int))
            counts = counts.assign(model=model, low=100 * low, high=100 * high)
            tables.append(counts if "family" in keys else counts.assign(family=-1))
    found = pd.concat(tables, ignore_index=True)
    found["accuracy"] = 100 * found["sum"] / found["size"]
    place = found["group"].map({group: number for number, group in enumerate(GROUPS)})
    found = found.assign(place=place).sort_values(["place", "family"], kind="stable")
    columns = ["model", "group", "family", "questions", "accuracy", "low", "high"]
    return found.rename(columns={"size": "questions"})[columns].reset_index(drop=True)


def hardest_families(families: pd.DataFrame, split: Split, n: int = 8, least: int = 5) -> pd.DataFrame:
    """The n families with the lowest accuracy in the mean over the models, with an example from the split.

    `families`: `accuracy_by_family`. Families of fewer than `least` questions are left out. Index family;
    columns group, questions, a model each (percent), example.
    """
    single = families[(families["family"] >= 0) & (families["questions"] >= least)]
    table = single.pivot_table("accuracy", "family", "model", sort=False)
    table = table.loc[table.mean(axis=1).sort_values(kind="stable").index[:n]].round(1)
    about = single.drop_duplicates("family").set_index("family").loc[table.index]
    examples = [split.question_text(int(np.argmax(split.families == family))) for family in table.index]
    table = pd.concat([about[["group", "questions"]], table], axis=1)
    return table.assign(example=examples)
