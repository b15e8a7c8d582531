"""Which answers are taken for which: tables made from predictions, to find out what a network gets wrong.

A row is always the truth, a column the network's answer, both in the order of the answer
classes (numbers, materials, colours, shapes, sizes, yes and no).
"""

import numpy as np
import pandas as pd

from rnlib.clevr.catalogue import ANSWER_CLASSES, CLASS_OF_ANSWER
from rnlib.clevr.split import Split
from rnlib.evaluation.intervals import wilson

ANSWERS = tuple(CLASS_OF_ANSWER)


def confusion_matrix(predictions: pd.DataFrame) -> pd.DataFrame:
    """How many questions of each truth (row) got each answer (column): 28 x 28 counts."""
    number = {answer: position for position, answer in enumerate(ANSWERS)}
    cells = predictions["truth"].map(number) * len(ANSWERS) + predictions["answer"].map(number)
    counts = np.bincount(cells.to_numpy(np.int64), minlength=len(ANSWERS) ** 2)
    return _matrix(counts.reshape(len(ANSWERS), -1), ANSWERS)


def class_matrix(matrix: pd.DataFrame) -> pd.DataFrame:
    """A confusion matrix summed over answer classes: 6 x 6 counts. What is off the diagonal is invalid."""
    members = np.array([[CLASS_OF_ANSWER[answer] == name for answer in matrix.columns] for name in ANSWER_CLASSES])
    return _matrix(members @ matrix.to_numpy() @ members.T, tuple(ANSWER_CLASSES))


def row_percent(matrix: pd.DataFrame) -> pd.DataFrame:
    """Each row in percent of its sum: of the questions with this truth, how many got each answer. Empty rows: NaN."""
    return 100 * matrix.div(matrix.sum(axis=1).replace(0, np.nan), axis=0)


def occurring(matrix: pd.DataFrame) -> pd.DataFrame:
    """The matrix without the answers that are neither a truth nor were given."""
    used = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return matrix.loc[used, used]


def frequent_confusions(predictions: pd.DataFrame, most: int = 10) -> pd.DataFrame:
    """The most frequent (truth, answer) pairs among the wrong answers, at most `most`, a row each.

    Columns: truth, answer, questions, of truth (percent of the questions with this truth), of
    errors (percent of all wrong answers), invalid. Ties are in the order of the answer classes.
    """
    matrix = confusion_matrix(predictions)
    totals = matrix.sum(axis=1)
    wrong = matrix.to_numpy(copy=True)
    np.fill_diagonal(wrong, 0)
    cells = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows = [
        {
            "truth": ANSWERS[truth],
            "answer": ANSWERS[answer],
            "questions": int(wrong[truth, answer]),
            "of truth": 100 * wrong[truth, answer] / totals.iloc[truth],
            "of errors": 100 * wrong[truth, answer] / wrong.sum(),
            "invalid": CLASS_OF_ANSWER[ANSWERS[truth]] != CLASS_OF_ANSWER[ANSWERS[answer]],
        }
        for truth, answer in zip(*np.unravel_index(cells, wrong.shape), strict=True)
        if wrong[truth, answer]
    ]
    return pd.DataFrame(rows, columns=["truth", "answer", "questions", "of truth", "of errors", "invalid"])


def confused_questions(predictions: pd.DataFrame, confusions: pd.DataFrame) -> list[int]:
    """For each row of `frequent_confusions` the row of the predictions where the network was surest of it."""
    chosen = []
    for truth, answer in zip(confusions["truth"], confusions["answer"], strict=True):
        mistaken = (predictions["truth"] == truth) & (predictions["answer"] == answer)
        chosen.append(int(np.argmax(np.where(mistaken, predictions["probability"], -1.0))))
    return chosen


def count_errors(predictions: pd.DataFrame) -> pd.Series:
    """How far counts are off: number answered minus true number (index), questions.

    Of questions whose truth and answer are numbers; from the smallest error to the largest, without gaps.
    """
    numbers = predictions[predictions["answer"].str.isdigit() & predictions["truth"].str.isdigit()]
    errors = numbers["answer"].astype(int) - numbers["truth"].astype(int)
    counts = errors.value_counts()
    span = range(errors.min(), errors.max() + 1) if len(errors) else range(0)
    return counts.reindex(pd.RangeIndex(span.start, span.stop, name="error"), fill_value=0).rename("questions")


def accuracy_by(correct: pd.Series, key: np.ndarray, name: str) -> pd.DataFrame:
    """Accuracy in percent with its 95 % Wilson interval for each value of `key`, given a question each.

    Index `name`; columns questions, accuracy, low, high.
    """
    rows = {}
    for value, answers in correct.groupby(key):
        low, high = wilson(int(answers.sum()), len(answers))
        rows[value] = {
            "questions": len(answers),
            "accuracy": 100 * float(answers.mean()),
            "low": 100 * low,
            "high": 100 * high,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(name)


def by_objects(predictions: pd.DataFrame, split: Split) -> pd.DataFrame:
    """`accuracy_by` the number of objects in the scene. `predictions` are of all questions of `split`, in order."""
    objects = split.n_objects[split.image_of_question]
    return accuracy_by(predictions["correct"], objects, "objects in the scene")


def by_program_length(predictions: pd.DataFrame, split: Split) -> pd.DataFrame:
    """`accuracy_by` the number of steps of the question's program, as `by_objects`."""
    return accuracy_by(predictions["correct"], split.program_lengths, "steps of the program")


def _matrix(counts: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(counts, pd.Index(names, name="truth"), pd.Index(names, name="answer"))
