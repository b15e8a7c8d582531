"""Is a network as sure as it should be? Of the answers that it gives with 80 %, 80 % ought to be right.

Reliability diagram and expected calibration error (ECE): Guo et al. 2017, "On Calibration of Modern Neural Networks";
in parts with the same number of answers each (Nguyen and O'Connor 2015), so that no mark rests on a few answers.
Brier's score (1950) and the negative log-likelihood are proper: they are least, in the mean, for who states the true
probabilities.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rnlib.evaluation.statistics import wilson_bounds

BINS = 10
_SIMULATIONS = 200


def reliability_table(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Answers by their probability, in `bins` parts with the same number of answers each; equal ones are not parted.

    Index `bin` (from 0; parts that ties leave without answers are left out). Columns: questions, confidence (mean
    probability of the answer given), accuracy, low, high (95 % Wilson interval); all in percent.
    """
    confidence = predictions["probability"].to_numpy(float)
    correct = predictions["correct"].to_numpy(bool)
    which = _bin(confidence, bins)
    questions = np.bincount(which, minlength=bins)
    hits = np.bincount(which, correct, bins).astype(int)
    sums = np.bincount(which, confidence, bins)
    used = questions > 0
    low, high = wilson_bounds(hits[used], questions[used])
    columns = {
        "questions": questions[used],
        "confidence": 100 * sums[used] / questions[used],
        "accuracy": 100 * hits[used] / questions[used],
        "low": 100 * low,
        "high": 100 * high,
    }
    return pd.DataFrame(columns, index=pd.Index(np.flatnonzero(used), name="bin"))


def calibration_error(predictions: pd.DataFrame, bins: int = BINS) -> float:
    """ECE in percent: |accuracy - confidence| of each part of `reliability_table`, weighted by its questions."""
    table = reliability_table(predictions, bins)
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["questions"]))


def chance_calibration_error(predictions: pd.DataFrame, bins: int = BINS, seed: int = 0) -> float:
    """The ECE in percent that a perfectly calibrated network with these probabilities would show, in the mean.

    More than 0, since few questions never show exactly the share that they are expected to. By simulation.
    """
    confidence = predictions["probability"].to_numpy(float)
    which = _bin(confidence, bins)
    rng = np.random.default_rng(seed)
    off = [
        np.abs(np.bincount(which, (rng.random(len(confidence)) < confidence) - confidence, bins)).sum()
        for _ in range(_SIMULATIONS if len(confidence) < 20_000 else 20)
    ]
    return 100 * float(np.mean(off)) / len(confidence)


def calibration_table(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a model: accuracy, confidence (mean), their difference, ECE (all in percent), Brier score, NLL (nats).

    "ECE by chance" is `chance_calibration_error`. Brier: the mean over questions of the sum over the
    answers of (probability - truth)², 0 (best) to 2.
    """
    rows = {}
    for name, table in predictions.items():
        accuracy, confidence = 100 * float(table["correct"].mean()), 100 * float(table["probability"].mean())
        rows[name] = {
            "accuracy %": accuracy,
            "confidence %": confidence,
            "too sure by": confidence - accuracy,
            "ECE %": calibration_error(table),
            "ECE by chance %": chance_calibration_error(table),
            "Brier": float(table["brier"].mean()),
            "NLL": float(table["loss"].mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.searchsorted(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]), confidence)
