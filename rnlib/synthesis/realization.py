"""English for questions, in the 80 words of CLEVR v1.0 and no others.

`sentence` chooses a form of sentences.py for a question and fills its blanks; `phrase` words
a term. Like CLEVR it writes "a object", and a set without a shape is of things or of objects.
"""

from random import Random

from rnlib.clevr.constants import SHAPES, SYNONYMS
from rnlib.synthesis.families import FAMILIES
from rnlib.synthesis.logical_form import Description, Link, Question, Term
from rnlib.synthesis.templates import sentences

NOUNS = ("thing", "object")  # for a set without a shape
SENTENCES = {family.index: sentences(family) for family in FAMILIES}


def sentence(rng: Random, question: Question) -> str:
    """The question in words."""
    form = rng.choice(rng.choice(SENTENCES[question.family.index]))
    text = form.format_map(_Blanks(rng, question))
    return text.replace(" a other ", " another ")


class _Blanks(dict[str, str]):
    """The blanks of a form, worded when they are asked for."""

    def __init__(self, rng: Random, question: Question) -> None:
        self.rng = rng
        self.question = question
        self.other = "other " if question.other and rng.random() < 0.5 else ""

    def __missing__(self, blank: str) -> str:
        rng, first = self.rng, self.question.terms[0]
        match blank:
            case "s" | "p":
                return self.other + phrase(rng, first, plural=blank == "p")
            case "t" | "q":
                return phrase(rng, self.question.terms[-1], plural=blank == "q")
            case "n" | "ns":
                return self.other + noun_phrase(rng, first.description, plural=blank == "ns")
            case "outer":
                return noun_phrase(rng, self.question.outer, plural=True)
            case "links":
                return _linked(rng, first)
            case "to":
                return rng.choice(SYNONYMS[first.links[0].argument])
            case "anchor":
                return phrase(rng, first.links[0].anchor)
        raise KeyError(blank)


def phrase(rng: Random, term: Term, plural: bool = False) -> str:
    """A term without its article: "small red balls that are left of the cube"."""
    words = noun_phrase(rng, term.description, plural)
    if not term.links:
        return words
    be = "are" if plural else "is"
    link = term.links[0]
    if link.operation == "same":
        made = rng.choice(("", "made of ")) if link.argument == "material" else ""
        return f"{words} that {be} {made}the same {link.argument} as the {phrase(rng, link.anchor)}"
    if len(term.links) > 1:
        return f"{words} that {be} {rng.choice(('', 'both '))}{_linked(rng, term)}"
    return f"{words} {rng.choice(('', f'that {be} '))}{_linked(rng, term)}"


def noun_phrase(rng: Random, description: Description, plural: bool = False) -> str:
    """A description with its noun: "small red balls", "shiny things"."""
    words = [rng.choice(SYNONYMS.get(value, (value,))) for value in description]
    if not description or description[-1] not in SHAPES:
        words.append(rng.choice(NOUNS))
    return " ".join(words) + ("s" if plural else "")


def _linked(rng: Random, term: Term) -> str:
    """What a term is related to: "left of the cube and behind the ball"."""
    return " and ".join(_relation(rng, link) for link in term.links)


def _relation(rng: Random, link: Link) -> str:
    return f"{rng.choice(SYNONYMS[link.argument])} the {phrase(rng, link.anchor)}"
