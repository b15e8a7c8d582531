"""Contrast questions: the same words, but starting from another object, and with another answer.

"How many balls are left of the red cube?" can often be answered without looking at the red cube. Of this question and
"How many balls are left of the tiny thing?", whose answer is another one, only one can. Source of the idea: contrast
sets, Gardner et al. 2020.
"""

from dataclasses import replace

from rnlib.clevr.schema import Scene
from rnlib.synthesis.candidates import SceneSets
from rnlib.synthesis.execution import answer_if_any
from rnlib.synthesis.logical_form import Description, Question, Term, make_program

TRIES = 8  # other objects looked at


def from_another(
    sets: SceneSets, scene: Scene, question: Question, answer: str, reference: float
) -> tuple[Question, str] | None:
    """`question` from another object of its scene, and the answer, which is not `answer`; None: none was found.

    `reference`, 0 <= reference < 1, says which of the objects that the question starts from is another one: with two
    of them the first below 0.5.
    """
    starts = [
        (number, place)
        for number, term in enumerate(question.terms)
        for place, link in enumerate(term.links)
        if link.operation == "relate"
    ]
    singles = sets.singles()
    if not starts:
        return None
    number, place = starts[int(reference * len(starts))]
    for words, _ in sets.rng.sample(singles, min(TRIES, len(singles))):
        terms = list(question.terms)
        terms[number] = _from(terms[number], place, words)
        changed = replace(question, terms=tuple(terms))
        found = answer_if_any(make_program(changed), scene)
        if found not in (None, answer):
            return changed, found
    return None


def _from(term: Term, place: int, words: Description) -> Term:
    """A term with another first object at the end of one of its links."""
    links = list(term.links)
    anchor = links[place].anchor
    links[place] = replace(links[place], anchor=_from(anchor, 0, words) if anchor.links else Term(words))
    return replace(term, links=tuple(links))
