"""English for questions, in the 80 words of CLEVR v1.0 and no others.

A term of a question is a chain of steps: a described set of the scene, then what stands
in a relation to its only member, and so on ("the red ball", "the cubes left of the red
ball"). `phrase` words a term; `sentence` words a question about one or two terms.
"""

from dataclasses import dataclass
from random import Random

from rnlib.clevr.catalogue import CLASS_OF_ANSWER


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a term: the objects that `operation` gives, those kept that fit `description`.

    operation: "scene" (all objects), "relate" (argument: the relation) or "same" (argument: the
    attribute); the last two start from the only object of the step before.
    description: values in the order size, color, material, shape, each at most once.
    """

    operation: str
    argument: str
    description: tuple[str, ...]


Term = tuple[Step, ...]

SYNONYMS = {
    "large": ("large", "big"),
    "small": ("small", "tiny"),
    "metal": ("metal", "metallic", "shiny"),
    "rubber": ("rubber", "matte"),
    "sphere": ("sphere", "ball"),
    "cube": ("cube", "block"),
    "cylinder": ("cylinder",),
    "left": ("left of", "to the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right side of"),
    "front": ("in front of",),
    "behind": ("behind",),
}

# {s}, {p}: the first term in singular and plural; {as}: the same with its article; {t}, {q}: the second term.
_COUNT = (
    "How many {p} are there?",
    "How many {p} are visible?",
    "What number of {p} are there?",
    "What is the number of {p}?",
)
_EXIST = ("Are there any {p}?", "Is there {as}?", "Is {as} visible?", "Are any {p} visible?")
_QUERY = (
    "What is the {x} of the {s}?",
    "What {x} is the {s}?",
    "The {s} is what {x}?",
    "The {s} has what {x}?",
    "There is {as}; what is its {x}?",
    "There is {as}; what {x} is it?",
)
_EQUAL = (
    "Is the {x} of the {s} the same as the {x} of the {t}?",
    "Do the {s} and the {t} have the same {x}?",
    "Does the {s} have the same {x} as the {t}?",
    "Is the {s} the same {x} as the {t}?",
    "There is {as}; does it have the same {x} as the {t}?",
    "There is {as}; is its {x} the same as the {x} of the {t}?",
)
SENTENCES: dict[str, tuple[str, ...]] = {
    "count": _COUNT,
    "exist": _EXIST,
    "equal_integer": (
        "Is the number of {p} equal to the number of {q}?",
        "Is the number of {p} the same as the number of {q}?",
        "Are there an equal number of {p} and {q}?",
        "Are there the same number of {p} and {q}?",
    ),
    "less_than": (
        "Are there fewer {p} than {q}?",
        "Is the number of {p} less than the number of {q}?",
    ),
    "greater_than": (
        "Are there more {p} than {q}?",
        "Is the number of {p} greater than the number of {q}?",
    ),
    "query_size": (*_QUERY, "How big is the {s}?", "How large is the {s}?"),
    "query_material": (*_QUERY, "What is the {s} made of?", "The {s} is made of what material?"),
    "query_color": _QUERY,
    "query_shape": _QUERY,
    "equal_size": _EQUAL,
    "equal_material": (*_EQUAL, "Are the {s} and the {t} made of the same material?"),
    "equal_color": _EQUAL,
    "equal_shape": _EQUAL,
}


def sentence(rng: Random, kind: str, terms: tuple[Term, ...]) -> str:
    """A question of type `kind` (a member of catalogue.QUESTION_TYPES) about one or two terms."""
    form = rng.choice(SENTENCES[kind])
    first, second = terms[0], terms[-1]
    blanks = {"x": kind.partition("_")[2]}
    if "{p}" in form:
        blanks["p"] = phrase(rng, first, plural=True)
    else:
        blanks["s"] = phrase(rng, first)
        blanks["as"] = _with_article(blanks["s"])
    if "{q}" in form:
        blanks["q"] = phrase(rng, second, plural=True)
    elif "{t}" in form:
        blanks["t"] = phrase(rng, second)
    return form.format_map(blanks)


def phrase(rng: Random, term: Term, plural: bool = False) -> str:
    """The noun phrase of a term, without article: "small red balls that are left of the cube"."""
    step = term[-1]
    words = [rng.choice(SYNONYMS.get(value, (value,))) for value in step.description]
    if not step.description or CLASS_OF_ANSWER[step.description[-1]] != "shape":
        words.append(rng.choice(("thing", "object")))
    if plural:
        words[-1] += "s"
    if step.operation == "scene":
        return " ".join(words)
    be, have = ("are", "have") if plural else ("is", "has")
    if step.operation == "relate":
        link = rng.choice(("", f"that {be} ")) + rng.choice(SYNONYMS[step.argument])
    else:
        same = f"the same {step.argument}"
        links = [f"that {have} {same} as", f"that {be} {same} as", f"of {same} as"]
        if step.argument == "material":
            links.append(f"made of {same} as")
        link = rng.choice(links)
        if not step.description or rng.random() < 0.5:
            words.insert(0, "other")
    return f"{' '.join(words)} {link} the {phrase(rng, term[:-1])}"


def _with_article(noun_phrase: str) -> str:
    if noun_phrase.startswith("other "):
        return "an" + noun_phrase
    return ("an " if noun_phrase[0] in "aeiou" else "a ") + noun_phrase
