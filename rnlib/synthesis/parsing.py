"""A question in words back to its logical form: the sentences of `templates` read instead of written.

What the 90 families can ask is read, in any of their wordings, also of sets that the public generator made. Case, "an"
for "a" and a missing question mark do not matter. Anything else is not in the grammar, and is not guessed at.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from rnlib.clevr.constants import ATTRIBUTES, RELATIONS, SHAPES, SYNONYMS
from rnlib.clevr.vocabulary import tokenize
from rnlib.synthesis.families import FAMILIES, ORDER, Family, Operations
from rnlib.synthesis.logical_form import Description, Link, Question, Term
from rnlib.synthesis.realization import NOUNS
from rnlib.synthesis.templates import sentences

Form = tuple[str, ...]  # words, and blanks as "{s}"
Found = dict[str, Any]  # what the blanks of a form hold

_ADJECTIVES = {
    word: (name, value)
    for name in ORDER[:-1]
    for value in ATTRIBUTES[name]
    for word in SYNONYMS.get(value, (value,))
}  # fmt: skip
_NOUNS = {word + s: value for value in SHAPES for word in SYNONYMS[value] for s in ("", "s")} | {
    word + s: "" for word in NOUNS for s in ("", "s")
}
_RELATIONS = [(words.split(), relation) for relation in RELATIONS for words in SYNONYMS[relation]]


def parse_question(text: str) -> Question | None:
    """The logical form of a question, of which `make_program` makes its program; None: not in the grammar."""
    tokens = _words(" ".join(tokenize(text)))
    if tokens and tokens[-1] != "?":
        tokens = [*tokens[: len(tokens) - (tokens[-1] in ".!")], "?"]
    for family, form in _forms().get(" ".join(tokens[:2]), ()):
        for found in _Reader(tokens, family).read(form, 0, {}):
            return _question(family, found)
    return None


def _words(text: str) -> list[str]:
    """Words, ";", "?" and blanks, with one article for all."""
    words = re.findall(r"\{\w+\}|[^\w\s]|\w+", text.replace("another ", "a other "))
    return ["a" if word == "an" else word for word in words]


@cache
def _forms() -> dict[str, list[tuple[Family, Form]]]:
    """All forms of all families by their first two words."""
    forms: dict[str, list[tuple[Family, Form]]] = {}
    for family in FAMILIES:
        for variants in sentences(family):
            for text in variants:
                form = tuple(_words(text.lower()))
                for start in _starts(form):
                    forms.setdefault(start, []).append((family, form))
    return forms


def _starts(form: Form) -> list[str]:
    """How a sentence of this form can begin: its first two words."""
    if not form[1].startswith("{"):
        return [" ".join(form[:2])]
    return [f"{form[0]} {word}" for word in ("other", *_ADJECTIVES, *_NOUNS)]


def _question(family: Family, found: Found) -> Question:
    first: Term | None = found.get("s") or found.get("p")
    if first is None:
        links: tuple[Link, ...] = found.get("links", ())
        if "anchor" in found:
            operation, argument = ("relate", found["to"]) if "to" in found else ("same", family.attribute)
            links = (Link(operation, argument, found["anchor"]),)
        description: Description = found.get("n") or found.get("ns") or ()
        first = Term(description, links)
    second: Term | None = found.get("t") or found.get("q")
    return Question(family, (first, second) if second else (first,), found.get("outer", ()))


class _Reader:
    """Reads the words of a question as a form of a family; every method yields each way to read on from a word."""

    def __init__(self, tokens: list[str], family: Family) -> None:
        self.tokens, self.family = tokens, family

    def read(self, form: Form, at: int, found: Found) -> Iterator[Found]:
        """What the blanks of `form` can hold where it spans all words from number `at`."""
        if not form:
            if at == len(self.tokens):
                yield found
        elif form[0].startswith("{"):
            name = form[0].strip("{}")
            for end, value in self._blank(name, at):
                yield from self.read(form[1:], end, {**found, name: value})
        elif self._is(at, form[0]):
            yield from self.read(form[1:], at + 1, found)

    def _is(self, at: int, *words: str) -> bool:
        return self.tokens[at : at + len(words)] == list(words)

    def _blank(self, name: str, at: int) -> Iterator[tuple[int, Any]]:
        terms = self.family.terms
        match name:
            case "s" | "p":
                yield from self._term(at, terms[0])
            case "t" | "q":
                yield from self._term(at, terms[-1])
            case "n" | "ns" | "outer":
                yield from self._noun(at)
            case "links":
                yield from self._links(at, terms[0])
            case "to":
                yield from self._relation(at)
            case "anchor":
                yield from self._term(at, terms[0][:-1])

    def _noun(self, at: int) -> Iterator[tuple[int, Description]]:
        """ "small red balls": adjectives in any order, each attribute once, and a noun."""
        if self.family.group == "same_relate" and self._is(at, "other"):
            at += 1
        named: dict[str, str] = {}
        while at < len(self.tokens) and self.tokens[at] in _ADJECTIVES:
            name, value = _ADJECTIVES[self.tokens[at]]
            if name in named:
                return
            named[name] = value
            at += 1
        if at < len(self.tokens) and self.tokens[at] in _NOUNS:
            named["shape"] = _NOUNS[self.tokens[at]]
            yield at + 1, tuple(named[name] for name in ORDER if named.get(name))

    def _term(self, at: int, operations: Operations) -> Iterator[tuple[int, Term]]:
        """A noun, and what leads to it: one link after another as `operations` say."""
        for end, description in self._noun(at):
            if not operations:
                yield end, Term(description)
                continue
            that = end + 2 * any(self._is(end, "that", be) for be in ("is", "are"))
            for start in dict.fromkeys((that, end)):
                for stop, links in self._links(start, operations):
                    yield stop, Term(description, links)

    def _links(self, at: int, operations: Operations) -> Iterator[tuple[int, tuple[Link, ...]]]:
        if operations[-1] == "same":
            yield from self._same(at)
        elif operations[-1] == "both":
            for end, first in self._link(at + self._is(at, "both"), ()):
                if self._is(end, "and"):
                    for stop, second in self._link(end + 1, ()):
                        yield stop, (first, second)
        else:
            for end, link in self._link(at, operations[:-1]):
                yield end, (link,)

    def _link(self, at: int, operations: Operations) -> Iterator[tuple[int, Link]]:
        """ "left of the cube", whose own links are `operations`."""
        for end, relation in self._relation(at):
            if self._is(end, "the"):
                for stop, anchor in self._term(end + 1, operations):
                    yield stop, Link("relate", relation, anchor)

    def _relation(self, at: int) -> Iterator[tuple[int, str]]:
        for words, relation in _RELATIONS:
            if self._is(at, *words):
                yield at + len(words), relation

    def _same(self, at: int) -> Iterator[tuple[int, tuple[Link, ...]]]:
        """ "made of the same material as the cube"."""
        start = at + 2 * self._is(at, "made", "of")
        for name in ATTRIBUTES:
            if self.family.attribute == name and self._is(start, "the", "same", name, "as", "the"):
                for end, anchor in self._term(start + 5, ()):
                    yield end, (Link("same", name, anchor),)
