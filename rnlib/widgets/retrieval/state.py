"""What the retrieval browser does, without a front end: a query, a feature, a filter, and the nearest pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from rnlib.clevr.split import Split
from rnlib.errors import ConfigError, require_one_of
from rnlib.retrieval.neighbours import distances_from, nearest
from rnlib.retrieval.scene_distance import Scenes

TRUTH = "ground truth"


@dataclass(frozen=True)
class Found:
    """A picture found: its row in the split, its rank from 1, and how far its scene is (None without scenes)."""

    row: int
    rank: int
    scenes_apart: float | None


class Search:
    """Pictures of a split to search by features; the query is always one of them.

    `features` have a row for each of `pictures` (rows of the split). With scenes, the canonical soft ground truth can
    be searched by like a feature, and pictures can be filtered by their number of objects.
    """

    def __init__(
        self,
        split: Split,
        pictures: Integer[np.ndarray, " pictures"],
        features: Mapping[str, Float[np.ndarray, "_ _"]],
        neighbours: int = 10,
        seed: int = 0,
    ) -> None:
        """Raises ConfigError for no features, for features of another number of pictures, and for too few pictures."""
        wrong = [name for name, values in features.items() if len(values) != len(pictures)]
        if wrong or not features:
            raise ConfigError(
                f"expected features of {len(pictures)} pictures, found {', '.join(wrong) or 'none'} of another number."
            )
        if len(pictures) < 2 or neighbours < 1:
            raise ConfigError(
                f"expected at least 2 pictures and 1 neighbour to show, found {len(pictures)} and {neighbours}."
            )
        self.split, self.pictures, self.features, self.neighbours = split, pictures, dict(features), neighbours
        self._scenes = Scenes.of(split, pictures) if split.has_scenes else None
        self._rng = np.random.default_rng(seed)
        self.feature = next(iter(features))
        self.query = 0  # counts within `pictures`
        self.most = int(self.counts.max()) if self.has_scenes else 0
        self.fewest = int(self.counts.min()) if self.has_scenes else 0

    @property
    def has_scenes(self) -> bool:
        """Whether objects can be counted and scenes compared."""
        return self._scenes is not None

    @property
    def counts(self) -> Integer[np.ndarray, " pictures"]:
        """Objects in each picture; zeros without scenes."""
        return np.zeros(len(self.pictures), np.int64) if self._scenes is None else self._scenes.counts

    @property
    def names(self) -> list[str]:
        """What a person can search by."""
        return [*self.features, *([TRUTH] if self.has_scenes else [])]

    @property
    def query_row(self) -> int:
        """The query as a row of the split."""
        return int(self.pictures[self.query])

    @property
    def headline(self) -> str:
        """One line on the query, for people."""
        objects = f", {self.counts[self.query]} objects" if self.has_scenes else ""
        return f"query: {self.split.image_filenames[self.query_row]}{objects}"

    @property
    def advice(self) -> str:
        """What to change where the filter leaves no other picture."""
        return f"No other picture has {self.fewest} to {self.most} objects: widen the range of objects."

    def choose(self, *, feature: str | None = None, fewest: int | None = None, most: int | None = None) -> None:
        """Change what is searched by, and between how many objects pictures may have. ConfigError for a wrong one."""
        if feature is not None:
            require_one_of(feature, self.names, "feature")
            self.feature = feature
        fewest, most = self.fewest if fewest is None else fewest, self.most if most is None else most
        if fewest > most:
            raise ConfigError(f"expected at least as many objects at most as at least, found {fewest} to {most}.")
        self.fewest, self.most = fewest, most

    def look_for(self, row: int) -> None:
        """Make a picture (a row of the split) the query. Raises ConfigError where it is not in the database."""
        at = np.flatnonzero(self.pictures == row)
        if not len(at):
            raise ConfigError(f"expected a picture of the database, found row {row} of the split.")
        self.query = int(at[0])

    def jump(self) -> None:
        """Another query, drawn at random."""
        self.query = int((self.query + self._rng.integers(1, len(self.pictures))) % len(self.pictures))

    def found(self, feature: str | None = None) -> list[Found]:
        """The nearest pictures by a feature (default: the chosen one) among those that the filter leaves."""
        feature = feature or self.feature
        apart = self._scenes.distances(self.query) if self._scenes is not None else None
        if feature == TRUTH:
            assert apart is not None, "not among the names without scenes"
            distances = apart.astype(np.float64)
        else:
            distances = distances_from(self.features[feature], np.array([self.query]))[0]
        left = (self.counts >= self.fewest) & (self.counts <= self.most)
        left[self.query] = True
        rows = np.flatnonzero(left)
        if len(rows) < 2:
            return []
        own = np.flatnonzero(rows == self.query)
        order = nearest(distances[None, rows], own, min(self.neighbours, len(rows) - 1))[0]
        return [
            Found(int(self.pictures[at]), rank, None if apart is None else float(apart[at]))
            for rank, at in enumerate(rows[order].tolist(), 1)
        ]
