"""The described sets that a scene offers: which objects each description fits, and what can be said of them.

Sets are bit masks over the objects. "Left of the ball, red" is a mask of red objects and a mask of
the objects left of the ball, and the relation says something only where it takes objects away.
"""

from dataclasses import dataclass
from itertools import combinations
from random import Random

from rnlib.clevr.constants import ATTRIBUTES, RELATIONS
from rnlib.clevr.schema import Scene
from rnlib.synthesis.families import ORDER, Operations
from rnlib.synthesis.logical_form import Description, Link, Term

DRAWN = 40  # descriptions drawn at random that are at hand for a question

Option = tuple[Description, int]  # a description, and the objects it means where it is
Pattern = tuple[str, ...]  # the attributes that a description names, in ORDER
PATTERNS: tuple[Pattern, ...] = tuple(pattern for n in range(5) for pattern in combinations(ORDER, n))
_VALUES = [(name, (None, *ATTRIBUTES[name])) for name in ORDER]


@dataclass(frozen=True, slots=True)
class Choice:
    """Links that a term may have, and every description that may go with them.

    options: those that mean fewer objects than without any one of the links. named: mask of the objects that the links
    have named already. members: descriptions to count, or to ask the existence of, as the public generator has them.
    """

    links: tuple[Link, ...]
    options: list[Option]
    named: int
    members: list[Option]


def meaning_one(options: list[Option], named: int = 0) -> list[Option]:
    """The options that mean exactly one object, and none of the objects `named`."""
    return [option for option in options if option[1] and not option[1] & (option[1] - 1 | named)]


class SceneSets:
    """The sets of one scene.

    whole: for each description that fits some object, the objects it fits. having: the same for single values.
    related: for each relation and object, what lies there from it.
    """

    def __init__(self, rng: Random, scene: Scene) -> None:
        self.rng = rng
        self.objects = scene.objects
        self.everything = (1 << len(self.objects)) - 1
        self.related = {name: [sum(1 << j for j in row) for row in scene.relationships[name]] for name in RELATIONS}
        self._fitting = [(pattern, self._fits(pattern)) for pattern in PATTERNS]
        self.whole = {words: mask for _, fits in self._fitting for words, mask in fits.items()}
        self.having = {words[0]: mask for words, mask in self.whole.items() if len(words) == 1}
        self._cache: dict[tuple[str, tuple[str, ...]], list[Option]] = {}

    def _fits(self, pattern: Pattern) -> dict[Description, int]:
        """The descriptions of this pattern that fit some object, with the objects they fit."""
        fitting: dict[Description, int] = {}
        for i, item in enumerate(self.objects):
            description = tuple([getattr(item, name) for name in pattern])
            fitting[description] = fitting.get(description, 0) | 1 << i
        return fitting

    def present(self, *banned: str) -> list[Option]:
        """Every description of something in the scene that names no banned attribute; that of all things is first."""
        key = ("present", banned)
        if key not in self._cache:
            rows = (fits for pattern, fits in self._fitting if not any(name in pattern for name in banned))
            self._cache[key] = [option for fits in rows for option in fits.items()]
        return self._cache[key]

    def drawn(self, *banned: str) -> list[Option]:
        """Descriptions drawn at random: of each attribute, no value is as likely as any of its values."""
        key = ("drawn", banned)
        if key not in self._cache:
            allowed = [values for name, values in _VALUES if name not in banned]
            choice = self.rng.choice
            drawn = (tuple([v for v in map(choice, allowed) if v is not None]) for _ in range(DRAWN))
            self._cache[key] = [(description, self.whole.get(description, 0)) for description in dict.fromkeys(drawn)]
        return self._cache[key]

    def absent(self, *banned: str) -> list[Option]:
        """Some descriptions of nothing in the scene."""
        return [option for option in self.drawn(*banned) if not option[1]]

    def singles(self, *banned: str) -> list[Option]:
        """The descriptions that fit exactly one object of the scene."""
        key = ("single", banned)
        if key not in self._cache:
            self._cache[key] = meaning_one(self.present(*banned)[1:])
        return self._cache[key]

    def values(self, attribute: str) -> list[Option]:
        """The descriptions by this attribute alone."""
        return [((value,), self.having[value]) for value in ATTRIBUTES[attribute] if value in self.having]

    def choose(self, operations: Operations, common: str, *banned: str) -> Choice | None:
        """Random links for a term that is reached so, and the descriptions that it may have; None: none were found.

        common: the attribute of "same". banned: attributes that the term's own description must not name.
        Where there are links, each description means fewer objects than without any one of them: what does
        not change the set says nothing, and the question would be degenerate.
        """
        if not operations:
            return Choice((), self.present(*banned), 0, [])
        if operations[-1] == "same":
            choice = self._same(common, *banned)
        elif operations[-1] == "both":
            choice = self._both(*banned)
        else:
            choice = self._related(len(operations) - 1, *banned)
        return choice if choice and (choice.options or choice.members) else None

    def _related(self, steps: int, *banned: str) -> Choice | None:
        found = self._anchor(steps)
        if found is None:
            return None
        anchor, i, named = found
        relation = self.rng.choice(RELATIONS)
        reached = self.related[relation][i]
        options = [(words, mask & reached) for words, mask in self.present(*banned) if mask & ~reached]
        # Of nothing there: something that is elsewhere (and not the anchor alone), such as random words mean.
        members = [(words, mask & reached) for words, mask in self.present(*banned) if mask & reached]
        members += [(words, 0) for words, mask in self.drawn(*banned) if mask & ~named and not mask & reached]
        return Choice((Link("relate", relation, anchor),), options, named, members)

    def _anchor(self, steps: int, *banned: str) -> tuple[Term, int, int] | None:
        """A term of exactly one object, `steps` relations long; that object; all objects named on the way."""
        singles = self.singles(*banned)
        if not singles:
            return None
        words, named = self.rng.choice(singles)
        term, i = Term(words), named.bit_length() - 1
        for _ in range(steps):
            relation = self.rng.choice(RELATIONS)
            reached = self.related[relation][i]
            options = meaning_one([(words, mask & reached) for words, mask in self.present() if mask & ~reached], named)
            if not options:
                return None
            words, mask = self.rng.choice(options)
            named |= mask
            term, i = Term(words, (Link("relate", relation, term),)), mask.bit_length() - 1
        return term, i, named

    def _same(self, common: str, *banned: str) -> Choice | None:
        found = self._anchor(0, common)
        if found is None:
            return None
        anchor, i, named = found
        reached = self.having[getattr(self.objects[i], common)] & ~named
        unlike = self.everything & ~named & ~reached
        options = [(words, mask & reached) for words, mask in self.present(common, *banned) if mask & unlike]
        # Of nothing there: whatever random words mean, which need not be in the scene.
        members: list[Option] = [((), reached)]
        members += [(words, mask & reached) for words, mask in self.present(common, *banned)[1:] if mask & reached]
        members += [(words, 0) for words, mask in self.drawn(common, *banned) if words and not mask & reached]
        return Choice((Link("same", common, anchor),), options, named, members)

    def _both(self, *banned: str) -> Choice | None:
        first, second = self._anchor(0), self._anchor(0)
        if first is None or second is None or first[1] == second[1]:
            return None
        relations = self.rng.sample(RELATIONS, 2)
        a, b = (self.related[name][end[1]] for name, end in zip(relations, (first, second), strict=True))
        options = [(words, mask & a & b) for words, mask in self.present(*banned) if mask & a & ~b and mask & b & ~a]
        links = tuple(Link("relate", name, end[0]) for name, end in zip(relations, (first, second), strict=True))
        return Choice(links, options, first[2] | second[2], options)
