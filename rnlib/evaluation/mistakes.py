"""Which mistakes to look at: the hardest, where a network is surest of nonsense, and the typical."""

import pandas as pd


def hardest_mistakes(predictions: pd.DataFrame, n: int) -> list[int]:
    """Numbers of up to n questions answered wrongly with the greatest loss, that is: the truth thought least likely.

    At most one a picture, so that one odd scene does not fill the gallery. Greatest loss first.
    `predictions`: what `predict` returns, or some of its rows.
    """
    wrong = predictions[~predictions["correct"].astype(bool)].sort_values("loss", ascending=False, kind="stable")
    return wrong.drop_duplicates("image_index")["question_index"][:n].tolist()


def typical_mistakes(predictions: pd.DataFrame, n: int) -> list[int]:
    """Numbers of up to n questions that stand for the n most frequent kinds of mistake, the most frequent first.

    A kind is what was asked, what was true and what was answered: (count, 2, 1). Of its questions
    the one with the middle loss is taken: neither the surest nor the closest miss.
    """
    wrong = predictions[~predictions["correct"].astype(bool)].sort_values("loss", kind="stable")
    kinds = wrong.groupby(["type", "truth", "answer"])["question_index"]
    frequent = kinds.size().sort_values(ascending=False, kind="stable").index[:n]
    questions = (kinds.get_group(kind) for kind in frequent)
    return [int(numbers.iloc[(len(numbers) - 1) // 2]) for numbers in questions]
