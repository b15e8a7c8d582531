"""How far an accuracy can be trusted: Wilson's interval for a share of n questions.

    (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

Unlike p ± z sqrt(p(1-p)/n) it never leaves 0..1 and stays honest for few questions and for
shares near 0 or 1 (Wilson 1927; Brown, Cai and DasGupta 2001). It takes questions for
independent; ten questions on one picture are not quite, so the truth is a little wider.
"""

import math

from scipy.stats import norm


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high), both 0..1, for the share that `hits` of `n` trials stand for.

    Raises ValueError unless 0 <= hits <= n, n >= 1 and 0 < confidence < 1.
    """
    if not (0 <= hits <= n and n >= 1 and 0 < confidence < 1):
        raise ValueError(f"expected 0 <= hits <= n, n >= 1, 0 < confidence < 1, found {hits}, {n}, {confidence}")
    z = float(norm.ppf((1 + confidence) / 2))
    share = hits / n
    middle = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The ends are 0 and 1 exactly for no hits and for hits alone; rounding would miss them by a hair.
    low = 0.0 if hits == 0 else (middle - reach) / scale
    high = 1.0 if hits == n else (middle + reach) / scale
    return low, high
