"""What a question speaks of, as data: described sets of objects, and the program that they make.

Both the words (wording.py) and the program of a question are made from its terms, so they
cannot disagree.
"""

from dataclasses import dataclass

from rnlib.clevr.constants import CLASS_OF_ANSWER
from rnlib.clevr.schema import Program, ProgramNode
from rnlib.synthesis.families import Family

Description = tuple[str, ...]  # attribute values in the order size, color, material, shape, each at most once


@dataclass(frozen=True, slots=True)
class Link:
    """What leads from one object to others: a relation to it, or having an attribute in common with it.

    operation: "relate" (argument: the relation) or "same" (argument: the attribute). anchor: means one object.
    """

    operation: str
    argument: str
    anchor: "Term"


@dataclass(frozen=True, slots=True)
class Term:
    """A described set: the objects that all links lead to (no link: any), those kept that fit the description."""

    description: Description
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a family about its one or two terms.

    outer: describes what both terms of an "or" are. other: whether the anchor of "same" fits the
    description itself, so that one may say "other".
    """

    family: Family
    terms: tuple[Term, ...]
    outer: Description = ()
    other: bool = False


def make_program(question: Question) -> Program:
    """The program of a question, in CLEVR v1.0's keys and in its order of nodes."""
    nodes: Program = []
    kind, asked = question.family.kind, question.family.asked
    ends = []
    for term in question.terms:
        at = _members(nodes, term)
        if asked:
            at = _node(nodes, "unique", [at])
        if len(question.terms) == 2 and kind != "count":
            at = _node(nodes, f"query_{asked}" if asked else "count", [at])
        ends.append(at)
    if len(ends) == 2 and kind == "count":
        ends = [_filters(nodes, _node(nodes, "union", ends), question.outer)]
    _node(nodes, kind, ends)
    return nodes


def _members(nodes: Program, term: Term) -> int:
    """Append the nodes of a term; the position of the last."""
    if not term.links:
        return _filters(nodes, _node(nodes, "scene", []), term.description)
    ends = []
    for link in reversed(term.links):  # of "both ... and ...", the release has the second first
        anchor = _node(nodes, "unique", [_members(nodes, link.anchor)])
        if link.operation == "relate":
            ends.append(_node(nodes, "relate", [anchor], link.argument))
        else:
            ends.append(_node(nodes, f"same_{link.argument}", [anchor]))
    return _filters(nodes, ends[0] if len(ends) == 1 else _node(nodes, "intersect", ends), term.description)


def _filters(nodes: Program, at: int, description: Description) -> int:
    for value in description:
        at = _node(nodes, f"filter_{CLASS_OF_ANSWER[value]}", [at], value)
    return at


def _node(nodes: Program, function: str, inputs: list[int], *values: str) -> int:
    nodes.append(ProgramNode(function=function, inputs=inputs, value_inputs=list(values)))
    return len(nodes) - 1
