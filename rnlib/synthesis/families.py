"""The 90 question families of CLEVR v1.0: what each asks, and how the objects of its terms are reached.

A term is reached by a tuple of operations:

    ()                     the red cube
    ("relate",)            the red cube left of the ball; up to three of them, each from the object before
    ("relate", "relate")   the red cube left of the ball behind the sphere
    ("both",)              the red cube that is both left of the ball and behind the sphere
    ("same",)              the red cube that is the same size as the ball

Source: numbers and groups of the release; terms and types as the public generator's questions have them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnlib.clevr.constants import ATTRIBUTES, FAMILY_GROUPS, family_numbers
from rnlib.errors import ConfigError

ORDER = ("size", "color", "material", "shape")  # of adjectives, of filters in a program, and of most families
COMPARISONS = ("equal_integer", "less_than", "greater_than")

Operations = tuple[str, ...]
Terms = tuple[Operations, ...]

# Of two terms, which are related to something.
NEITHER: Terms = ((), ())
FIRST: Terms = (("relate",), ())
SECOND: Terms = ((), ("relate",))
BOTH: Terms = (("relate",), ("relate",))
HOPS = (  # group, relations, order of the attributes asked for
    ("zero_hop", 0, ("shape", "material", "color", "size")),
    ("one_hop", 1, ORDER),
    ("two_hop", 2, ORDER),
    ("three_hop", 3, ("size", "shape", "color", "material")),
)
EITHER = (  # terms of an "or", and the attribute that describes both
    *((NEITHER, ""), (NEITHER, "size"), (NEITHER, "color"), (BOTH, "")),
    *((NEITHER, "material"), (NEITHER, "shape"), (FIRST, ""), (SECOND, "")),
)


@dataclass(frozen=True)
class Family:
    """One of the 90 question families.

    index: global, as in the release. group: of catalogue.FAMILY_GROUPS. kind: the question type.
    terms: how the objects of each term are reached. attribute: that of "same", or the one that describes both
    terms of an "or" ("how many small things are ..."). bare: whether the last step names nothing ("any other thing").
    """

    index: int
    group: str
    kind: str
    terms: Terms
    attribute: str = ""
    bare: bool = False

    @property
    def asked(self) -> str:
        """The attribute that the question is about: of query_color and equal_color, "color"; else ""."""
        name = self.kind.partition("_")[2]
        return name if name in ATTRIBUTES else ""


Row = tuple[str, str, Terms, str, bool]  # a Family without its index


def _rows() -> Iterator[Row]:
    """All families, those of a group in the order of their numbers."""
    for terms in (NEITHER, FIRST, BOTH):
        for kind in COMPARISONS:
            yield "compare_integer", kind, terms, "", False
    for name in ORDER:
        yield "comparison", f"equal_{name}", NEITHER, "", False
    for name in ORDER:
        for terms in (FIRST, SECOND, BOTH):
            yield "comparison", f"equal_{name}", terms, "", False
    for group, hops, order in HOPS:
        for kind in ("count", "exist", *(f"query_{name}" for name in order)):
            yield group, kind, (("relate",) * hops,), "", False
    for kind in ("count", *(f"query_{name}" for name in ORDER)):
        yield "single_and", kind, (("both",),), "", False
    for bare in (True, False):
        for kind in ("exist", "count"):
            for name in ORDER:
                yield "same_relate", kind, (("same",),), name, bare
    for name in ORDER:
        for asked in ORDER:
            if asked != name:
                yield "same_relate", f"query_{asked}", (("same",),), name, False
    for terms, name in EITHER:
        yield "single_or", "count", terms, name, False


def _families() -> Iterator[Family]:
    numbers = {group: iter(indices) for group, indices in FAMILY_GROUPS.items()}
    for group, kind, terms, attribute, bare in _rows():
        yield Family(next(numbers[group]), group, kind, terms, attribute, bare)


FAMILIES = tuple(sorted(_families(), key=lambda family: family.index))
SUPPORTED = tuple(FAMILY_GROUPS)


def select_families(names: Sequence[str | int] | None) -> tuple[Family, ...]:
    """Families by their groups or numbers (None: all), by index. ConfigError on an unknown one, or none."""
    if names is not None and not names:
        raise ConfigError(f"expected question families out of {', '.join(SUPPORTED)}, found none.")
    wanted = family_numbers(SUPPORTED if names is None else names)
    return tuple(family for family in FAMILIES if family.index in wanted)
