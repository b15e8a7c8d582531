"""The released weights on official pictures rank as notebook 06 and the README say."""

from pathlib import Path

import numpy as np
import pytest

from rnlib.clevr.split import open_split
from rnlib.model import load_weights
from rnlib.retrieval import (
    all_features,
    better_vectors,
    compare_with_all,
    ground_truth,
    random_features,
    rank_features,
    summarise,
)


@pytest.mark.slow
def test_the_ranking_of_features_on_official_pictures(clevr_official: Path, seed_weights: Path) -> None:
    weights = load_weights(seed_weights / "ir_fp_epoch_312.pth")
    split = open_split(clevr_official, "val", images=128, verbose=False)
    pictures = np.arange(100)
    features = all_features(weights, split, pictures, [2]) | {"random": random_features(100)}
    truths = {name: ground_truth(split, pictures, pictures, name, verbose=False) for name in ("canonical", "node")}
    rankings = rank_features(features, truths, pictures, [10])
    rho = better_vectors(summarise(rankings))["spearman", "mean"].droplevel("vectors")
    expected = {
        ("canonical", "pairs 2 mean"): 0.150,
        ("canonical", "conv mean"): 0.076,
        ("canonical", "conv flat"): 0.622,
        ("canonical", "random"): 0.006,
        ("node", "pairs 2 mean"): 0.696,
        ("node", "conv mean"): 0.714,
        ("node", "conv flat"): 0.231,
        ("node", "random"): 0.016,
    }
    assert {key: float(rho[key]) for key in expected} == pytest.approx(expected, abs=0.01)
    for truth in truths:
        assert compare_with_all(rankings, "pairs 2 mean", truth, "spearman").loc["random", "p"] < 0.01
