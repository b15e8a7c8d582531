"""The pictures nearest to a query, by the L2 distance of their features. The query itself never counts."""

import numpy as np
from jaxtyping import Float, Integer
from scipy.spatial.distance import cdist

from rnlib.errors import ConfigError


def distances_from(
    features: Float[np.ndarray, "pictures size"], queries: Integer[np.ndarray, " queries"]
) -> Float[np.ndarray, "queries pictures"]:
    """L2 distances from each query (a row of `features`) to every picture."""
    return cdist(features[queries], features)


def nearest(
    distances: Float[np.ndarray, "queries pictures"], queries: Integer[np.ndarray, " queries"], k: int
) -> Integer[np.ndarray, "queries k"]:
    """The k nearest pictures of each query, nearest first, without the query; of equally near ones the first.

    Raises ConfigError where there are fewer than k other pictures.
    """
    others = distances.shape[1] - 1
    if not 1 <= k <= others:
        raise ConfigError(
            f"expected 1 to {others} neighbours, for the database has {others + 1} pictures and the query is left out, "
            f"found {k}. Ask for fewer, or enlarge the database."
        )
    without = np.array(distances, np.float64)
    without[np.arange(len(queries)), queries] = np.inf
    return np.argsort(without, axis=1, kind="stable")[:, :k]
