"""How often each family is to be asked, and with which answer.

SHARES says what is wanted. Not every scene offers every question (where all objects have one size, nothing
is of another), so what a family gets is not what it is drawn for: `answers.json` holds, for each family
and answer, the weight of its draws with which scenes of 3 to 10 objects come to these shares. It is made
by `python benchmarks/fit_answers.py`.
"""

from importlib.resources import files

import msgspec

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.synthesis.families import FAMILIES, Family

ANY = "any"  # for a question for a colour: few of the eight are there, and none is likelier than another

# Shares of the answers 0, 1, 2, ... of counts, by group: those of the public generator, smoothed. What is in one set or
# in another is never nothing there, unless an attribute is asked for on top ("How many cubes are red things or ...").
_COUNTS = {
    "zero_hop": (0.265, 0.34, 0.20, 0.08, 0.035, 0.02, 0.015, 0.01, 0.01, 0.0125, 0.0125),
    "one_hop": (0.42, 0.40, 0.10, 0.05, 0.02, 0.007, 0.003),
    "two_hop": (0.42, 0.40, 0.10, 0.05, 0.02, 0.007, 0.003),
    "three_hop": (0.42, 0.40, 0.10, 0.05, 0.02, 0.007, 0.003),
    "single_and": (0.36, 0.35, 0.20, 0.07, 0.02),
    "same_relate": (0.35, 0.325, 0.19, 0.075, 0.03, 0.02, 0.008, 0.004, 0.001, 0.001),
    "single_or": (0.0, 0.43, 0.33, 0.15, 0.05, 0.025, 0.01, 0.003, 0.001, 0.0005, 0.0005),
    "single_or of one value": (0.34, 0.29, 0.21, 0.10, 0.035, 0.015, 0.007, 0.002, 0.001),
}
# CLEVR's val questions that compare numbers are 8 families' worth, not 9, and the public generator has next to none
# of family 0. The train questions have "an", which only "an equal number" has, 1.01 times as often as the other
# two families that say it come to: hence the figure.
RARE = {0: 0.02}


def shares(family: Family) -> dict[str, float]:
    """The share of each answer among the family's questions; they sum to 1, or to less for a RARE family."""
    if family.kind == "count":
        group = "single_or of one value" if family.group == "single_or" and family.attribute else family.group
        found = {str(number): share for number, share in enumerate(_COUNTS[group]) if share}
    elif family.kind == "query_color":
        found = {ANY: 1.0}
    elif family.kind.startswith("query"):
        found = dict.fromkeys(ATTRIBUTES[family.asked], 1.0)
    else:
        found = {"yes": 0.5, "no": 0.5}
    often = RARE.get(family.index, 1.0) / sum(found.values())
    return {answer: often * share for answer, share in found.items()}


SHARES = {family.index: shares(family) for family in FAMILIES}


def _weights() -> dict[int, dict[str, float]]:
    text = files("rnlib.synthesis").joinpath("answers.json").read_bytes()
    return msgspec.json.decode(text, type=dict[int, dict[str, float]])


WEIGHTS = _weights()
