"""Objects removed: what an attribution blames must be what the answer hangs on."""

import numpy as np
import pandas as pd
import pytest

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError
from rnlib.evaluation.deletion import (
    ILL_POSED,
    REMOVED,
    Asked,
    delete_objects,
    deletion_table,
    object_evidence,
    sample_questions,
)
from rnlib.evaluation.plots import plot_deletion
from rnlib.evaluation.what_if import asked_objects, log_probabilities_of
from rnlib.model import load_preset, load_weights
from rnlib.model.checkpoint import Weights
from rnlib.model.network import RelationNetwork
from rnlib.synthesis.execution import execute, node_values

NUMBER = 30


@pytest.fixture(scope="module")
def queries() -> list[Asked]:
    """Questions for an attribute of an object that is named by others."""
    asked = sample_questions(3 * NUMBER, seed=5, families=["zero_hop"])
    return [one for one in asked if one.program[-1].name.startswith("query")][:NUMBER]


@pytest.mark.parametrize("name", ["medium-sd", "detect-fp"])
def test_the_object_asked_about_carries_the_answer(queries, name):
    table = delete_objects(load_weights(name), queries)
    assert len(table) == len(queries) * len(REMOVED)
    for number, one in enumerate(queries):
        (asked,) = asked_objects(one.program, node_values(one.program, one.case.scene))
        rows = table[table["question"] == number].set_index("removed")
        assert (rows["truth"] == execute(one.program, one.case.scene)).all()
        assert (rows["truth after"][rows["object"] == asked] == ILL_POSED).all()
    asked = [asked_objects(one.program, node_values(one.program, one.case.scene)).pop() for one in queries]
    objects = table.pivot(index="question", columns="removed", values="object")
    assert (objects["most, by integrated gradients"] == asked).mean() > 0.7
    assert (objects["least, by integrated gradients"] == asked).mean() < 0.2
    found = deletion_table(table)
    assert found["changed"].iloc[0] > found["changed"].iloc[-1] + 20
    assert found["truth changes"].iloc[0] == 100 * (table["truth after"][:: len(REMOVED)] == ILL_POSED).mean()


def test_evidence_of_states_is_what_leaving_the_row_out_does(queries):
    """Of two objects alone, leaving one out leaves the pair of the other with itself: nothing to approximate."""
    weights, case = load_weights("medium-sd"), queries[0].case
    evidence = object_evidence(weights, case)
    assert set(evidence) == {"integrated gradients", "leaving pairs out"}
    assert all(len(shares) == len(case.scene.objects) for shares in evidence.values())
    top = np.sort(log_probabilities_of(weights, [case])[0])[::-1]
    assert top[0] > top[1] and evidence["integrated gradients"].max() > 0


def test_networks_without_described_objects_are_refused(queries):
    for preset in ("small-fp", "question-only"):
        settings = load_preset(preset)
        weights = Weights(RelationNetwork(settings, clevr_v1()), settings, clevr_v1())
        with pytest.raises(ConfigError, match="describe what they see"):
            object_evidence(weights, queries[0].case)


def test_the_table_counts_what_changes_and_why():
    rows = []
    for question, (after, truth_after) in enumerate(
        [("red", ILL_POSED), ("blue", "red"), ("red", "red"), ("blue", "x")]
    ):
        rows += [(question, what, 0, "red", "red", after, truth_after) for what in REMOVED]
    names = ["question", "removed", "object", "answer", "truth", "answer after", "truth after"]
    found = deletion_table(pd.DataFrame(rows, columns=names))
    assert found.index.tolist() == list(REMOVED)
    expected = {"answers": 4, "changed": 50, "truth changes": 50}
    assert found[list(expected)].eq(pd.Series(expected)).all(axis=None)
    assert (found[["changed with the truth", "changed without cause"]] == 50).all(axis=None)
    assert (found["low"] < 50).all() and (found["high"] > 50).all()
    (axes,) = plot_deletion({"one": found, "other": found}, "removed").axes
    assert [text.get_text().replace(",\n", ", ") for text in axes.get_yticklabels()] == list(REMOVED)


def test_questions_are_those_of_the_seed():
    first, again, other = (sample_questions(3, seed) for seed in (1, 1, 2))
    assert [one.case.question for one in first] == [one.case.question for one in again]
    assert [one.case.question for one in first] != [one.case.question for one in other]
