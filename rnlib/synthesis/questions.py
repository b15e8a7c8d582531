"""Questions about a scene, by CLEVR's question families, balanced so that words alone say little.

A family fixes the type of its questions and the shape of their one or two terms. For a
question, the attributes that its phrases will name are drawn first (its form); then all
questions of that form that the scene offers are sorted by their answers, an answer is
drawn, and then one of its questions. A form with a single answer on the scene is not
asked. So a "yes" is as likely as a "no" whatever the form, and a model that reads only the
question gains next to nothing. All of it uses the scene and its random numbers only.

Source: the families, their numbers and the degenerate-question rule of Johnson et al. 2017, section 3.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from random import Random
from typing import Any

from rnlib.clevr.catalogue import ATTRIBUTES, CLASS_OF_ANSWER, FAMILY_GROUPS, RELATIONS
from rnlib.errors import ConfigError
from rnlib.synthesis.programs import Program
from rnlib.synthesis.scenes import Scene
from rnlib.synthesis.wording import Step, Term, sentence

ORDER = ("size", "color", "material", "shape")  # the order of adjectives, and of filters in a program
NUMBER_ATTRIBUTES_WEIGHTS = (0.1, 0.25, 0.4, 0.2, 0.05)  # how many attributes a phrase names: 0..4
COUNT_WEIGHTS = (
    3,
    2,
    4,
    8,
    *[16] * 7,
)  # of the answers 0..10: high counts are rare, so taken where they offer themselves
FORMS_TRIED = 12  # per family, before the scene is held to offer none of its questions
CHAINS_KEPT = 3  # beginnings of a term ("the red ball left of the cube ...") that are followed further

Pattern = tuple[str, ...]  # the attributes that a phrase names, in ORDER
Row = tuple[str, tuple[tuple[str, ...], ...], str, bool]  # a Family without its index
Option = tuple[Term, int]  # a term and the objects it means, as a bit mask
PATTERNS = {n: tuple(combinations(ORDER, n)) for n in range(len(ORDER) + 1)}


@dataclass(frozen=True)
class Family:
    """One of the 90 question families.

    index: global, as in the release. kind: the question type. terms: the operations of each term,
    e.g. (("scene", "relate"),). attribute: of the operation "same". bare: whether the last step of
    "same" names no attribute ("any other thing of the same size").
    """

    index: int
    kind: str
    terms: tuple[tuple[str, ...], ...]
    attribute: str = ""
    bare: bool = False


def _families() -> Iterator[tuple[str, Family]]:
    plain, related, same = ("scene",), ("scene", "relate"), ("scene", "same")
    queries = [f"query_{name}" for name in ORDER]

    def row(kind: str, *terms: tuple[str, ...], attribute: str = "", bare: bool = False) -> Row:
        return kind, terms, attribute, bare

    by_group = {
        "compare_integer": [
            row(kind, *terms)
            for terms in ((plain, plain), (related, plain), (related, related))
            for kind in ("equal_integer", "less_than", "greater_than")
        ],
        "comparison": [row(f"equal_{name}", plain, plain) for name in ORDER]
        + [
            row(f"equal_{name}", *terms)
            for name in ORDER
            for terms in ((related, plain), (plain, related), (related, related))
        ],
        "same_relate": [
            row(kind, same, attribute=name, bare=bare)
            for bare in (True, False)
            for kind in ("exist", "count")
            for name in ORDER
        ]
        + [row(query, same, attribute=name) for name in ORDER for query in queries if not query.endswith(name)],
    }
    hops = {
        "zero_hop": (0, ("shape", "material", "color", "size")),
        "one_hop": (1, ORDER),
        "two_hop": (2, ORDER),
        "three_hop": (3, ("size", "shape", "color", "material")),
    }
    for group, (number, order) in hops.items():
        kinds = ("count", "exist", *(f"query_{name}" for name in order))
        by_group[group] = [row(kind, plain + ("relate",) * number) for kind in kinds]
    for group, rows in by_group.items():
        for index, (kind, terms, attribute, bare) in zip(FAMILY_GROUPS[group], rows, strict=True):
            yield group, Family(index, kind, terms, attribute, bare)


_ALL = tuple(_families())
SUPPORTED = tuple(group for group in FAMILY_GROUPS if any(group == name for name, _ in _ALL))


def select_families(groups: Sequence[str] | None) -> tuple[Family, ...]:
    """The families of the named groups (None: all that are supported), by index. ConfigError on an unknown name."""
    wanted = SUPPORTED if groups is None else groups
    unknown = [name for name in wanted if name not in SUPPORTED]
    if unknown or not wanted:
        raise ConfigError(
            f"families: expected names among {', '.join(SUPPORTED)}; "
            f"found {', '.join(map(repr, unknown)) or 'none'}. Name one or more of them."
        )
    return tuple(sorted((family for group, family in _ALL if group in wanted), key=lambda family: family.index))


def ask(rng: Random, scene: Scene, families: Sequence[Family], number: int) -> list[dict[str, Any]]:
    """Up to `number` questions on `scene`, no text twice: {question, answer, program, question_family_index}.

    The families take turns in a random order; those that the scene offers no question for are passed
    over. Fewer come back only where three rounds through all families gave none.
    """
    offer = _Offer(rng, scene)
    turns = list(families)
    rng.shuffle(turns)
    questions: dict[str, dict[str, Any]] = {}
    barren = turn = 0
    while len(questions) < number and barren < 3 * len(turns):
        family = turns[turn % len(turns)]
        turn += 1
        barren += 1
        found = _draw(rng, offer, family)
        if found is None:
            continue
        answer, terms = found
        text = sentence(rng, family.kind, terms)
        if text not in questions:
            barren = 0
            questions[text] = {
                "question": text,
                "answer": answer,
                "program": make_program(family.kind, terms),
                "question_family_index": family.index,
            }
    return list(questions.values())


def make_program(kind: str, terms: tuple[Term, ...]) -> Program:
    """The program of a question of type `kind` about its terms, in CLEVR v1.0's keys."""
    nodes: Program = []

    def add(function: str, inputs: Iterable[int] = (), *values: str) -> int:
        nodes.append({"function": function, "inputs": list(inputs), "value_inputs": list(values)})
        return len(nodes) - 1

    ends = []
    for term in terms:
        at = -1
        for step in term:
            if step.operation == "scene":
                at = add("scene")
            else:
                at = add("unique", [at])
                at = (
                    add("relate", [at], step.argument)
                    if step.operation == "relate"
                    else add(f"same_{step.argument}", [at])
                )
            for value in step.description:
                at = add(f"filter_{CLASS_OF_ANSWER[value]}", [at], value)
        if kind.startswith("query"):
            at = add("unique", [at])
        elif kind in ("equal_integer", "less_than", "greater_than"):
            at = add("count", [at])
        elif kind.startswith("equal"):
            at = add(kind.replace("equal", "query"), [add("unique", [at])])
        ends.append(at)
    add(kind, ends)
    return nodes


class _Offer:
    """What a scene offers: its described sets, as bit masks over the objects."""

    def __init__(self, rng: Random, scene: Scene) -> None:
        self.rng = rng
        self.objects: list[dict[str, Any]] = scene["objects"]
        self.everything = (1 << len(self.objects)) - 1
        self.related = {name: [sum(1 << j for j in row) for row in scene["relationships"][name]] for name in RELATIONS}

    @cached_property
    def present(self) -> dict[Pattern, dict[tuple[str, ...], int]]:
        """For each pattern the descriptions that fit some object, with the objects they fit."""
        table: dict[Pattern, dict[tuple[str, ...], int]] = {}
        for pattern in (pattern for patterns in PATTERNS.values() for pattern in patterns):
            rows = table[pattern] = {}
            for i, row in enumerate(self.objects):
                description = tuple([row[name] for name in pattern])
                rows[description] = rows.get(description, 0) | 1 << i
        return table

    def pattern(self, least: int, banned: Sequence[str]) -> Pattern:
        """A random pattern of at least `least` attributes, none of them banned."""
        while True:
            number = self.rng.choices(range(5), NUMBER_ATTRIBUTES_WEIGHTS)[0]
            if least <= number <= len(ORDER) - len(banned):
                pattern = self.rng.choice(PATTERNS[number])
                if not any(name in banned for name in pattern):
                    return pattern

    def terms(self, operations: tuple[str, ...], attribute: str, patterns: Sequence[Pattern]) -> list[Option]:
        """Terms of this form with the objects they mean. Every step but the last means exactly one object.

        A related set must differ from the set that the same words name in the whole scene: else the
        relation would be idle, and the question degenerate.
        """
        present = self.present[patterns[0]]
        options: list[Option] = [((Step("scene", "", words),), mask) for words, mask in present.items()]
        if len(operations) == 1:
            absent = (tuple(self.rng.choice(ATTRIBUTES[name]) for name in patterns[0]) for _ in range(3))
            options += [((Step("scene", "", words),), 0) for words in dict.fromkeys(absent) if words not in present]
        for operation, pattern in zip(operations[1:], patterns[1:], strict=True):
            chains = [(term, mask.bit_length() - 1) for term, mask in options if mask.bit_count() == 1]
            options = []
            for term, i in self.rng.sample(chains, min(CHAINS_KEPT, len(chains))):
                for argument, reached, allowed in self._reach(operation, attribute, i):
                    for words, mask in self.present[pattern].items():
                        if mask & reached != mask & allowed:
                            options.append(((*term, Step(operation, argument, words)), mask & reached))
        return options

    def _reach(self, operation: str, attribute: str, i: int) -> list[tuple[str, int, int]]:
        """(argument, objects reached from object i, objects that could have been) for each argument."""
        if operation == "relate":
            return [(name, self.related[name][i], self.everything) for name in RELATIONS]
        others = self.everything & ~(1 << i)
        return [(attribute, self.present[(attribute,)][(self.objects[i][attribute],)] & others, others)]


def _draw(rng: Random, offer: _Offer, family: Family) -> tuple[str, tuple[Term, ...]] | None:
    """A question of the family: its answer and its terms; None where the scene offers none."""
    asked = family.kind.partition("_")[2]
    banned_last = [name for name in dict.fromkeys((asked, family.attribute)) if name in ORDER]
    banned_before = [family.attribute] if family.attribute else []
    for _ in range(FORMS_TRIED):
        options = []
        for operations in family.terms:
            last = len(operations) - 1
            patterns = [
                ()
                if family.bare and k == last
                else offer.pattern(
                    0 if operations[k] == "relate" else 1,
                    banned_last if k == last else banned_before,
                )
                for k in range(last + 1)
            ]
            options.append(offer.terms(operations, family.attribute, patterns))
        by_answer: dict[str, list[tuple[Term, ...]]] = {}
        for answer, terms in _answered(rng, offer, family.kind, asked, options):
            by_answer.setdefault(answer, []).append(terms)
        if len(by_answer) > 1:
            answers = list(by_answer)
            weights = [COUNT_WEIGHTS[int(answer)] if answer.isdigit() else 1 for answer in answers]
            answer = rng.choices(answers, weights)[0]
            return answer, rng.choice(by_answer[answer])
    return None


def _answered(
    rng: Random, offer: _Offer, kind: str, asked: str, options: list[list[Option]]
) -> Iterator[tuple[str, tuple[Term, ...]]]:
    """Every question that the options allow, as (answer, terms)."""
    first, second = options[0], options[-1]
    if kind == "count":
        yield from ((str(mask.bit_count()), (term,)) for term, mask in first)
    elif kind == "exist":
        yield from (("yes" if mask else "no", (term,)) for term, mask in first)
    elif kind.startswith("query"):
        yield from ((value, (term,)) for term, _, value in _unique(offer, asked, first))
    elif kind in ("equal_integer", "less_than", "greater_than"):
        for (a, mask_a), (b, mask_b) in product(_spread(rng, first), _spread(rng, second)):
            m, n = mask_a.bit_count(), mask_b.bit_count()
            if m + n > 0 and not _nested(a, b):
                truth = m == n if kind == "equal_integer" else m < n if kind == "less_than" else m > n
                yield "yes" if truth else "no", (a, b)
    else:
        for (a, i, x), (b, j, y) in product(_unique(offer, asked, first), _unique(offer, asked, second)):
            if i != j:
                yield "yes" if x == y else "no", (a, b)


def _unique(offer: _Offer, attribute: str, options: list[Option]) -> list[tuple[Term, int, str]]:
    """The terms that mean exactly one object, with that object and its value of `attribute`; a dozen at most."""
    single = [(term, mask.bit_length() - 1) for term, mask in options if mask.bit_count() == 1]
    offer.rng.shuffle(single)
    return [(term, i, offer.objects[i][attribute]) for term, i in single[:12]]


def _spread(rng: Random, options: list[Option]) -> list[Option]:
    """At most three options of each count, so that pairs of them stay few."""
    by_count: dict[int, list[Option]] = {}
    for option in options:
        by_count.setdefault(option[1].bit_count(), []).append(option)
    return [option for group in by_count.values() for option in rng.sample(group, min(3, len(group)))]


def _nested(a: Term, b: Term) -> bool:
    """Whether one term plainly contains the other ("red things" and "red cubes"): the answer would be in the words."""
    x, y = set(a[-1].description), set(b[-1].description)
    return a[:-1] == b[:-1] and a[-1].argument == b[-1].argument and (x <= y or y <= x)
