"""The forms of sentence in which each question family can be put, each as likely as another.

A form has blanks, which wording.py fills:

    {s} {p}     the first term, singular or plural: "red ball that is left of the cube"
    {t} {q}     the second term, likewise
    {n} {ns}    the first term's objects alone: "red ball", "red balls"
    {links}     what they are linked to: "left of the cube", "behind the ball and left of the cube"
    {to}        the last relation alone, before "it": "left of"
    {anchor}    what the last link starts from: "cube"
    {outer}     what both terms of an "or" are: "small things"
    {x} {y}     the attribute asked about; the attribute in common
    {a|b}       a or b, each as likely; a side may be empty

Source: how the public generator's 1,000 questions are worded.
"""

import re
from collections.abc import Iterator
from itertools import product

from rnlib.synthesis.families import Family

_HOW_MANY = "{How many|What number of}"
_WHAT = ("What is the {x} of the {s}?", "What {x} is the {s}?")
_THERE = ("There is a {s}; what is its {x}?", "There is a {s}; what {x} is it?")
_IS_WHAT, _HAS_WHAT = "The {s} is what {x}?", "The {s} has what {x}?"
_HOW_BIG = ("How big is the {s}?", "There is a {s}; how big is it?")
_MADE_OF = ("What is the {s} made of?", "There is a {s}; what is it made of?")

_QUERIES: dict[str, dict[str, tuple[str, ...]]] = {
    "zero_hop": {
        "size": (*_WHAT, _IS_WHAT, _HAS_WHAT, _HOW_BIG[0]),
        "color": (*_WHAT, _IS_WHAT, _HAS_WHAT),
        "material": (*_WHAT, _MADE_OF[0]),
        "shape": (*_WHAT, _IS_WHAT, _HAS_WHAT, _THERE[1]),
    },
    "same_relate": {
        "size": (*_WHAT, *_THERE, _IS_WHAT),
        "color": (*_WHAT, *_THERE, _IS_WHAT),
        "material": (*_WHAT, *_THERE, _MADE_OF[1]),
        "shape": (*_WHAT, *_THERE, _IS_WHAT),
    },
    "related": {
        "size": (*_WHAT, *_THERE, *_HOW_BIG),
        "color": (*_WHAT, *_THERE, _IS_WHAT),
        "material": (
            *(_WHAT[0], "What material is the {s}{| made of}?", "The {s} is made of what material?"),
            *(_THERE[0], "There is a {s}; what material is it{| made of}?"),
            *_MADE_OF,
        ),
        "shape": (*_WHAT, *_THERE, _IS_WHAT, _HAS_WHAT),
    },
}
_COUNTS = {
    "zero_hop": (_HOW_MANY + " {p} are there?",),
    "single_and": (_HOW_MANY + " {ns} are {|both }{links}?",),
    "single_or": (_HOW_MANY + " {outer} are {|either }{p} or {q}?",),
    "related": (_HOW_MANY + " {ns} are {links}?", "There is a {anchor}; {how many|what number of} {ns} are {to} it?"),
}
_EXISTS = {
    "zero_hop": ("Are there any {p}?", "Is there a {s}?", "Are any {p} visible?"),
    "related": (
        "Are there any {p}?",
        "Is there a {s}?",
        "There is a {anchor}; are there any {ns} {|that are }{to} it?",
        "There is a {anchor}; is there a {n} {|that is }{to} it?",
    ),
}
_NUMBERS = {
    "equal_integer": (
        "Are there an equal number of {p} and {q}?",
        "Are there the same number of {p} and {q}?",
        "Is the number of {p} the same as the number of {q}?",
    ),
    "less_than": ("Are there fewer {p} than {q}?", "Is the number of {p} less than the number of {q}?"),
    "greater_than": ("Are there more {p} than {q}?", "Is the number of {p} greater than the number of {q}?"),
}
_COMPARED = (
    "Is the {x} of the {s} the same as the {t}?",
    "Do the {s} and the {t} have the same {x}?",
    "Does the {s} have the same {x} as the {t}?",
)
_COMPARED_MADE_OF = (
    "Is the {s} made of the same {x} as the {t}?",
    "Are the {s} and the {t} made of the same {x}?",
)
_COMPARED_THERE = (
    "There is a {s}; is its {x} the same as the {t}?",
    "There is a {s}; does it have the same {x} as the {t}?",
    "There is a {s}; is it the same {x} as the {t}?",
)

# How something is said to be the same, by attribute: in the singular of "is there any other thing ..." and of "is there
# a red thing ...", and in the plural of "how many red things ..." and of "how many other things ...".
_AS = " the same {y} as the {anchor}?"
_SAME_ANY = {
    "size": "that {is|has}",
    "color": "{that is|that has|of}",
    "material": "that {is|has|is made of}",
    "shape": "that {is|has}",
}
_SAME_EXIST = {
    "size": "{that has|of}",
    "color": "{that has|of}",
    "material": "{that has|made of}",
    "shape": "{that has|of}",
}
_SAME_COUNT = dict.fromkeys(_SAME_ANY, "{are|have}") | {"material": "{are|have|are made of}"}
_SAME_COUNT_ALL = dict.fromkeys(_SAME_ANY, "are {there of|}") | {"material": "are {there of|made of|}"}


def sentences(family: Family) -> tuple[tuple[str, ...], ...]:
    """The forms of a family, and of each form its variants: choose one, then the other."""
    named = (form.replace("{x}", family.asked).replace("{y}", family.attribute) for form in _forms(family))
    return tuple(tuple(_variants(form)) for form in named)


def _forms(family: Family) -> tuple[str, ...]:
    group, kind, asked = family.group, family.kind, family.asked
    if group == "compare_integer":
        return _NUMBERS[kind]
    if group == "comparison":
        if asked == "material":
            return _COMPARED + _COMPARED_MADE_OF
        return _COMPARED + (_COMPARED_THERE if any(family.terms) else ("Is the {s} the same {x} as the {t}?",))
    if asked:
        return _QUERIES.get(group, _QUERIES["related"])[asked]
    if group == "same_relate":
        return _same(family)
    table = _COUNTS if kind == "count" else _EXISTS
    return table.get(group, table["related"])


def _same(family: Family) -> tuple[str, ...]:
    """The forms of a count or an exist with "the same"."""
    name, bare = family.attribute, family.bare
    if family.kind == "count":
        objects = " other {ns} " + _SAME_COUNT_ALL[name] if bare else " {ns} " + _SAME_COUNT[name]
        return (_HOW_MANY + objects + _AS,)
    link = (_SAME_ANY if bare else _SAME_EXIST)[name]
    one, many = link + _AS, _plural(link) + _AS
    if bare:
        return (
            "Is there any other thing " + one,
            "Are there any other things " + many,
            "Is there anything else " + one,
        )
    return "Is there a {n} " + one, "Are there any {ns} " + many


def _plural(link: str) -> str:
    return re.sub(r"\bis\b", "are", re.sub(r"\bhas\b", "have", link))


def _variants(form: str) -> Iterator[str]:
    """The form with each of its choices {a|b} made."""
    parts = re.split(r"\{([^{}]*\|[^{}]*)\}", form)
    for words in product(*(part.split("|") if i % 2 else [part] for i, part in enumerate(parts))):
        yield re.sub(" +", " ", "".join(words))
