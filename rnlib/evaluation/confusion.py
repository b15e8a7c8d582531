"""Which answers are taken for which: tables made from predictions, to find out what a network gets wrong.

A row is always the truth, a column the network's answer, both in the order of the answer
classes (numbers, materials, colours, shapes, sizes, yes and no).
"""

import numpy as np
import pandas as pd

from rnlib.clevr.constants import ANSWER_CLASSES, CLASS_OF_ANSWER, QUESTION_TYPES

ANSWERS = tuple(CLASS_OF_ANSWER)
INVALID = "invalid"


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


def matrix_by_type(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each question type that occurs its counts: a row a true answer, a column an answer, INVALID last.

    Rows and columns are all answers of the type's answer class.
    """
    found = {}
    for kind in QUESTION_TYPES:
        chosen = predictions[predictions["type"] == kind]
        if len(chosen):
            whole = confusion_matrix(chosen)
            answers = list(ANSWER_CLASSES[CLASS_OF_ANSWER[chosen["truth"].iloc[0]]])
            own = whole.loc[answers, answers]
            found[kind] = own.assign(**{INVALID: whole.loc[answers].sum(axis=1) - own.sum(axis=1)})
    return found


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


def errors_by_number(predictions: pd.DataFrame) -> pd.DataFrame:
    """How numbers come out by the true number (index): questions, and percent too low, right, too high.

    Of questions whose truth and answer are numbers.
    """
    numbers = predictions[predictions["answer"].str.isdigit() & predictions["truth"].str.isdigit()]
    truth, off = numbers["truth"].astype(int), numbers["answer"].astype(int) - numbers["truth"].astype(int)
    outcome = pd.DataFrame({"too low": off < 0, "right": off == 0, "too high": off > 0})
    grouped = outcome.groupby(truth.rename("true number"))
    return pd.concat([grouped.size().rename("questions"), 100 * grouped.mean()], axis=1)


def _matrix(counts: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(counts, pd.Index(names, name="truth"), pd.Index(names, name="answer"))
