"""The pictures nearest to a query, by the L2 distance of their features. The query itself never counts."""

import numpy as np
import scipy
from jaxtyping import Float, Integer

from rnlib.errors import ConfigError


def unit_length(features: Float[np.ndarray, "pictures size"]) -> Float[np.ndarray, "pictures size"]:
    """Features brought to L2 length 1; a vector of zeros stays one."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norms == 0, 1, norms)


def distances_from(
    features: Float[np.ndarray, "pictures size"], queries: Integer[np.ndarray, " queries"]
) -> Float[np.ndarray, "queries pictures"]:
    """L2 distances from each query (a row of `features`) to every picture."""
    return scipy.spatial.distance.cdist(features[queries], features)


def require_neighbours(pictures: int, k: int) -> None:
    """Raise ConfigError where there are fewer than k pictures beside the query."""
    if not 1 <= k <= pictures - 1:
        raise ConfigError(
            f"expected 1 to {pictures - 1} neighbours, for the database has {pictures} pictures and the query is left "
            f"out, found {k}. Ask for fewer, or enlarge the database."
        )


def nearest(
    distances: Float[np.ndarray, "queries pictures"], queries: Integer[np.ndarray, " queries"], k: int
) -> Integer[np.ndarray, "queries k"]:
    """The k nearest pictures of each query, nearest first, without the query; of equally near ones the first.

    Raises ConfigError where there are fewer than k other pictures.
    """
    require_neighbours(distances.shape[1], k)
    without = np.array(distances, np.float64)
    without[np.arange(len(queries)), queries] = np.inf
    return np.argsort(without, axis=1, kind="stable")[:, :k]
