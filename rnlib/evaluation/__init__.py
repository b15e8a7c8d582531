"""Predictions of a network, the figures made from them, and the published figures beside them."""

from rnlib.evaluation.baseline import compare_types, question_type_baseline
from rnlib.evaluation.metrics import compute_metrics
from rnlib.evaluation.predictions import predict, require_answers, save_answers, save_predictions
from rnlib.evaluation.tables import comparison_table, metrics_table, metrics_text, published, results_row

__all__ = [
    "compare_types",
    "comparison_table",
    "compute_metrics",
    "metrics_table",
    "metrics_text",
    "predict",
    "published",
    "question_type_baseline",
    "require_answers",
    "results_row",
    "save_answers",
    "save_predictions",
]
