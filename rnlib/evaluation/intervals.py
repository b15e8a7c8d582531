"""How far an accuracy can be trusted: intervals for a share, for a difference of two shares, for a mean over seeds.

Wilson's interval for a share p of n questions:

    (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

Unlike p ± z sqrt(p(1-p)/n) it never leaves 0..1 and stays honest for few questions and for
shares near 0 or 1 (Wilson 1927; Brown, Cai and DasGupta 2001). It takes questions for
independent. Those on one picture are not quite: `picture_effect` tells how much wider it should be.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import stats


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high), both 0..1, for the share that `hits` of `n` trials stand for.

    Raises ValueError unless 0 <= hits <= n, n >= 1 and 0 < confidence < 1.
    """
    low, high = wilson_bounds(np.array([hits]), np.array([n]), confidence)
    return float(low[0]), float(high[0])


def wilson_bounds(
    hits: Integer[np.ndarray, " shares"], n: Integer[np.ndarray, " shares"], confidence: float = 0.95
) -> tuple[Float[np.ndarray, " shares"], Float[np.ndarray, " shares"]]:
    """`wilson` for many shares at once. Raises ValueError as it does."""
    if not (0 < confidence < 1 and (n >= 1).all() and (hits >= 0).all() and (hits <= n).all()):
        raise ValueError(f"expected 0 <= hits <= n, n >= 1, 0 < confidence < 1, found {hits}, {n}, {confidence}")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = hits / n
    middle = share + z * z / (2 * n)
    reach = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are 0 and 1 exactly for no hits and for hits alone; rounding would miss them by a hair.
    return np.where(hits == 0, 0.0, (middle - reach) / scale), np.where(hits == n, 1.0, (middle + reach) / scale)


def picture_effect(correct: Bool[np.ndarray, " questions"], pictures: Integer[np.ndarray, " questions"]) -> float:
    """How many times wider an accuracy's interval is if pictures were drawn, and not single questions.

    `pictures`: the picture of each question. The ratio of the standard errors, the square root of
    Kish's design effect; 1 where questions on one picture have nothing in common, sqrt(n) where all n on a
    picture come out alike. 1 also where all answers are right, or none.
    """
    share = correct.mean()
    if share in (0, 1):
        return 1.0
    _, which = np.unique(pictures, return_inverse=True)
    surplus = np.bincount(which, correct) - share * np.bincount(which)
    return math.sqrt((surplus**2).sum() / (share * (1 - share) * len(correct)))


def paired_difference(
    only_first: int, only_second: int, n: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Difference of two shares measured on the same n questions, with its interval: (difference, low, high), -1..1.

    `only_first` of them only the first got right, `only_second` only the second; the others say
    nothing of the difference. Bonett and Price's interval (2012): Wald's after one question more in
    each of the two cells, which keeps its coverage where the two hardly differ.
    Raises ValueError unless both counts are 0 or more and sum to at most n, n >= 1.
    """
    if not (only_first >= 0 and only_second >= 0 and max(1, only_first + only_second) <= n and 0 < confidence < 1):
        raise ValueError(f"expected counts of 0 or more among n questions, found {only_first}, {only_second}, {n}")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    reach = z * math.sqrt((first + second - (first - second) ** 2) / (n + 2))
    low, high = max(first - second - reach, -1.0), min(first - second + reach, 1.0)
    return (only_first - only_second) / n, low, high


def mean_and_sd(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float, float]:
    """Mean, standard deviation (of the runs, n - 1) and Student's t-interval of the mean: (mean, sd, low, high).

    For a figure of several trainings that differ only by their seed. Raises ValueError for fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"expected the figures of at least two runs, found {len(values)}")
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return mean, sd, mean - reach, mean + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for there being several of them (Holm 1979): each 0..1, in the order given.

    Calling those below 0.05 significant is wrong about any of them with a probability of at most 5 %.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return corrected.tolist()
