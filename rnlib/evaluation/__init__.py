"""Predictions of a network, what is measured from them, and the published figures for comparison.

predict.py         the answers to all questions of a split: one row per question; the folder of an evaluation
metrics.py         accuracy, loss, invalid answers, by type, group and answer class; the question-type baseline
statistics.py      intervals, paired tests, several seeds
breakdowns.py      accuracy by family and binned by length, objects, distances, visibility; what questions demand
calibration.py     does the confidence match the accuracy?
confusion.py       which answers are confused; how far counts are off
error_analysis.py  the weakest types, and which mistakes to look at
attribution.py     what each pair of objects contributed to an answer
consistency.py     of minimal pairs: both answered correctly?
what_if.py         what decides an answer, by running its program on a changed scene; networks asked about scenes
turning_point.py   where an object has to be for a network to say that it is left of another
deletion.py        objects removed: is the evidence where the attribution says?
examples.py        one answer with its picture
report.py          a text about mistakes, written from the numbers
tables.py          results for readers, and the published ones
model_set.py       several sets of weights: names, origins, comparability
plots/             the figures of all of these
"""

from rnlib.evaluation.metrics import compare_types, compute_metrics, question_type_baseline, training_split
from rnlib.evaluation.predict import predict, require_answers, save_answers, save_predictions
from rnlib.evaluation.tables import (
    central_comparison,
    comparison_table,
    complete_table,
    metrics_table,
    metrics_text,
    published,
    results_row,
)
