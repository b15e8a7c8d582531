"""How far apart two scenes are, from their descriptions (Messina et al. 2018; Riesen and Bunke 2009).

    distance = 2 A + inversions_right + inversions_front

A is the least cost of turning the objects of one scene into those of the other: exchanging an object for another costs
the fraction of the four attributes in which they differ ("soft") or 1 if any differs ("hard"), adding or removing one
costs 1. An inversion is a relation (x is left of y, x is behind y) that the objects' counterparts have the other way
round. Several assignments can cost A, and they turn round different relations. So there are three variants:

canonical   the fewest inversions among the cheapest assignments
literal     those of the one assignment that scipy's linear_sum_assignment finds for the published (n + m) x (n + m)
            matrix, with the objects in the order of the files; from the query to the picture
node        2 A alone: it knows nothing of where objects are

**Canonical is invariant and symmetric.** Let M be the set of cheapest assignments, that is of cheapest injections of
the smaller scene into the larger one (see `rnlib.retrieval.assignment`). (1) Renumbering the objects of either scene
renumbers both sides of every assignment: M goes one to one into the M of the renumbered scenes, and neither an
assignment's cost nor the number of relations it turns round changes, since both are sums over pairs of objects that do
not speak of numbers. So the minimum over M is the same. (2) From the other side, an assignment is the same set of pairs
read backwards, at the same cost; and x, y with counterparts x', y' are reversed if the sign of (y right of x) is
opposite to that of (y' right of x'), which reads the same backwards. So d(1, 2) = d(2, 1). (3) d(1, 1) = 0, by the
identity, and d >= 0. Literal has neither of the first two: that is its hazard, and why it is here only to compare. The
triangle inequality is not claimed of any of them.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8

from rnlib.clevr.cache import cache_folder, new_folder, open_or_make, seal
from rnlib.clevr.constants import RELATIONS
from rnlib.clevr.split import Split
from rnlib.errors import DataError, require_one_of
from rnlib.progress import progress
from rnlib.retrieval.assignment import MOST, cheapest_assignment, distances_to_scenes

VARIANTS = ("canonical", "literal", "node")
COSTS = ("soft", "hard")
VERSION = 1  # of the definitions above: part of a cached truth's fingerprint


@dataclass(frozen=True)
class Scenes:
    """What the distance reads of scenes, as `rnlib.retrieval.assignment` wants it."""

    codes: UInt8[np.ndarray, "scenes most 4"]
    counts: Int[np.ndarray, " scenes"]
    sides: Int[np.ndarray, "scenes most most"]

    @classmethod
    def of(cls, split: Split, pictures: Integer[np.ndarray, " pictures"]) -> "Scenes":
        """The scenes of some rows of a split. DataError for a split without scenes, or with more than MOST objects."""
        if split.codes.shape[1] > MOST:
            raise DataError(
                f"expected scenes of at most {MOST} objects to compare, found one of {split.codes.shape[1]} in "
                f"{split.directory.scenes(split.name)}. Leave such scenes out."
            )
        bits = split.relationships[pictures][..., None] >> np.arange(split.relationships.shape[2]) & 1
        lies = {relation: bits[:, number].astype(np.int64) for number, relation in enumerate(RELATIONS)}
        right, front = (lies[relation] - lies[relation].swapaxes(1, 2) for relation in ("right", "front"))
        return cls(split.codes[pictures], split.n_objects[pictures].astype(np.int64), 3 * (1 + right) + 1 + front)

    def distances(self, query: int, variant: str = "canonical", cost: str = "soft") -> Float[np.ndarray, " scenes"]:
        """From scene `query` to every scene: multiples of 1/2. Raises ConfigError for an unknown variant or cost."""
        require_one_of(variant, VARIANTS, "variant of the ground truth")
        require_one_of(cost, COSTS, "cost of an exchange")
        quarters, turned = np.zeros((2, len(self.codes)), np.int64)
        scenes = self.codes, self.counts, self.sides
        distances_to_scenes(query, scenes, cost == "hard", VARIANTS.index(variant), quarters, turned)
        return (quarters / 2 + turned).astype(np.float32)

    def counterparts(self, first: int, second: int, cost: str = "soft") -> list[tuple[int, int]]:
        """What the canonical distance rests on: (object of `first`, object of `second`) of each exchange."""
        require_one_of(cost, COSTS, "cost of an exchange")
        small, large = sorted((first, second), key=lambda scene: int(self.counts[scene]))
        column_of_row = cheapest_assignment(small, large, (self.codes, self.counts, self.sides), cost == "hard")
        pairs = list(enumerate(column_of_row.tolist()))
        return pairs if small == first else sorted((y, x) for x, y in pairs)

    def turned(self, first: int, second: int, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int, str]]:
        """The relations that an assignment turns round: (x, y, "right" or "front") where y lies so from x in `first`,
        and the counterpart of x so from that of y in `second`."""
        found = []
        for at, relation in enumerate(("right", "front")):
            for x, a in pairs:
                for y, b in pairs:
                    one, other = (
                        (int(self.sides[scene, p, q]) // 3 ** (1 - at)) % 3 - 1
                        for scene, p, q in ((first, x, y), (second, a, b))
                    )
                    if one == 1 and other == -1:
                        found.append((x, y, relation))
        return found

    def shuffled(self, seed: int) -> "Scenes":
        """The same scenes with their objects in another order: what a distance should not notice."""
        rng, most = np.random.default_rng(seed), self.codes.shape[1]
        order = np.tile(np.arange(most), (len(self.codes), 1))
        for row, count in zip(order, self.counts, strict=True):
            row[:count] = rng.permutation(count)
        rows = np.arange(len(self.codes))[:, None]
        return Scenes(
            self.codes[rows, order], self.counts, self.sides[rows[..., None], order[:, :, None], order[:, None]]
        )


class How(TypedDict, total=False):
    """How distances are computed. threads: default, as many as this process may use cores."""

    cache: Path | str | None
    threads: int | None
    verbose: bool


def ground_truth(
    split: Split,
    pictures: Integer[np.ndarray, " pictures"],
    queries: Integer[np.ndarray, " queries"],
    variant: str = "canonical",
    cost: str = "soft",
    **how: Unpack[How],
) -> Float[np.ndarray, "queries pictures"]:
    """Distances from the scene of each query to that of every picture; queries count within `pictures`.

    Computed once and kept in the cache (see `rnlib.clevr.cache`) under a fingerprint of scenes, pictures, queries,
    variant and cost. Raises DataError for a split without scenes, ConfigError for an unknown variant or cost.
    """
    source = {
        "version": VERSION,
        "scenes": split.fingerprint,
        "pictures": _digest(pictures),
        "queries": _digest(queries),
        "variant": variant,
        "cost": cost,
    }
    scenes = Scenes.of(split, pictures)
    require_one_of(variant, VARIANTS, "variant of the ground truth")
    require_one_of(cost, COSTS, "cost of an exchange")
    name = f"truth-{variant}-{cost}-{hashlib.blake2b(repr(source).encode(), digest_size=6).hexdigest()}"
    folder = cache_folder(split.directory, split.name, how.get("cache")) / name

    def make() -> None:
        rows = _all_distances(scenes, queries, variant, cost, how)
        with new_folder(folder, "the ground truth") as made:
            np.save(made / "distances.npy", rows, allow_pickle=False)
            seal(made, ["distances"], source, {})

    return open_or_make(folder, source, make)[0]["distances"]


def _all_distances(
    scenes: Scenes,
    queries: Integer[np.ndarray, " queries"],
    variant: str,
    cost: str,
    how: How,
) -> Float[np.ndarray, "queries pictures"]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = np.zeros((len(queries), len(scenes.codes)), np.float32)
    with ThreadPoolExecutor(how.get("threads") or cores) as pool:  # the compiled function leaves Python's lock alone
        found = pool.map(lambda query: scenes.distances(query, variant, cost), queries.tolist())
        what = f"ground truth ({variant}, {cost}) over {len(scenes.codes):,} scenes"
        for row, values in enumerate(progress(found, len(queries), what, how.get("verbose", True), "queries")):
            rows[row] = values
    return rows


def _digest(rows: Integer[np.ndarray, " rows"]) -> str:
    return hashlib.blake2b(rows.astype(np.int64).tobytes(), digest_size=16).hexdigest()
