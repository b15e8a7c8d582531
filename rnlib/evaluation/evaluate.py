"""The folder of an evaluation: metrics.json, predictions.parquet and provenance.json."""

from pathlib import Path
from typing import Any

import torch

from rnlib.clevr.split import Split
from rnlib.evaluation.consistency import consistency
from rnlib.evaluation.metrics import compute_metrics
from rnlib.evaluation.predict import predict, require_answers, save_predictions
from rnlib.files import sole_user, write_json
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.provenance import provenance


def evaluate_into(
    out: Path, weights: Weights, split: Split, *, device: torch.device | str = "cpu", batch_size: int = 256
) -> dict[str, Any]:
    """Answer all questions of a split with weights and write the folder `out`; returns the metrics.

    Of minimal pairs they have an entry "consistency" (`rnlib.evaluation.consistency`) for each change.

    Raises DataError for a split without answers, and as `predict`, before anything is written.
    """
    require_answers(split)
    NetworkInputs.of(split, weights.preset, weights.vocabulary)  # what does not fit must show before a folder is made
    with sole_user(out, "evaluation"):
        table = predict(weights, split, device=device, batch_size=batch_size)
        metrics = compute_metrics(table)
        if (pairs := consistency(table, split)) is not None:
            metrics["consistency"] = pairs.to_dict("index")
        origin = provenance(
            weights=weights.name,
            sha256=weights.info.get("sha256"),
            precision=weights.network.precision,
            split=split.label,
            data=split.fingerprint,
        )
        save_predictions(table, out / "predictions.parquet")
        write_json(out / "metrics.json", metrics)
        write_json(out / "provenance.json", origin)
    return metrics
