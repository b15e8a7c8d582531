"""Predictions of a network, the figures made from them, and the published figures beside them.

predictions.py   the answers to all questions of a split, as a table with a row a question
metrics.py       accuracy, loss, invalid answers: overall, by type, group and answer class
models.py        several sets of weights: their names, origins, accuracies    tables.py   results for readers
intervals.py     how far a figure can be trusted                              seeds.py    several trainings
paired.py        two networks on the same questions                           baseline.py guessing by type
along.py         accuracy along a quantity                                    families.py by question family
calibration.py   are sure answers right?                                      answers.py  single answers
confusion.py     which answers are taken for which                            mistakes.py which to look at
deciding.py      what a question hangs on, by running its program             scene_factors.py crowding, distances
weakest.py       the types a network is weakest at                            findings.py a text written from numbers
contributions.py which pairs of objects carried an answer                     selections.py mistakes to browse
folder.py        metrics, predictions and provenance as files                 release.py  weights with card and curve
plots*.py        the figures of all of these
"""

from rnlib.evaluation.baseline import compare_types, question_type_baseline
from rnlib.evaluation.metrics import compute_metrics
from rnlib.evaluation.predictions import predict, require_answers, save_answers, save_predictions
from rnlib.evaluation.tables import (
    comparison_table,
    complete_table,
    metrics_table,
    metrics_text,
    published,
    results_row,
)

__all__ = [
    "compare_types",
    "comparison_table",
    "complete_table",
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
