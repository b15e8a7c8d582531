"""The figures of an evaluation.

accuracy.py    by question type, answer class and family, and binned by a number
comparison.py  models against each other, the published figures, and their own confidence; the weakest types
confusion.py   confusion matrices, and how far counts are off
examples.py    single answers, and what pairs of objects contributed to them
what_if.py     turning points, removed objects, minimal pairs
"""

from rnlib.evaluation.plots.accuracy import plot_binned_accuracy, plot_by_type, plot_classes, plot_families
from rnlib.evaluation.plots.comparison import plot_calibration, plot_paired, plot_published, plot_weakest
from rnlib.evaluation.plots.confusion import (
    plot_class_confusion,
    plot_confusion,
    plot_count_errors,
    plot_type_confusion,
)
from rnlib.evaluation.plots.examples import plot_answer, plot_explained, plot_gallery, plot_pair_matrix
from rnlib.evaluation.plots.what_if import plot_consistency, plot_deletion, plot_turning_points, plot_widths
