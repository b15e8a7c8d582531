"""Questions about a scene, by CLEVR's question families, balanced so that words alone say little.

What is drawn first is a family together with the answer that its question shall have (answers.py:
how likely each is). Then random terms of the family are tried until some question has that answer.
So the share of an answer is that of its draws, whatever the words; and all of it depends on the
scene and its random numbers only.

Source: the families, their numbers and the degenerate-question rule of Johnson et al. 2017, section 3.
"""

from collections.abc import Sequence
from operator import eq, gt, lt
from random import Random

from rnlib.clevr.schema import QuestionRecord, Scene
from rnlib.synthesis.answer_balance import ANY, WEIGHTS
from rnlib.synthesis.candidates import Choice, Option, SceneSets, meaning_one
from rnlib.synthesis.contrast import from_another
from rnlib.synthesis.families import COMPARISONS, SUPPORTED, Family, Operations, select_families
from rnlib.synthesis.logical_form import Description, Question, Term, make_program
from rnlib.synthesis.realization import sentence

__all__ = ["SUPPORTED", "ask", "select_families"]

TRIES = 12  # random terms for a family and an answer, before the scene is held to offer no such question
ROUNDS = 3  # through all families, before fewer questions than asked for are given
LONGEST = 45  # tokens of a question
CONTRASTS = 6  # questions of a family and an answer that are tried for one that has a contrast
NOTHING = 0.35  # how often one of two sets may be of nothing in the scene

Found = tuple[Question, str] | None  # a question and its answer


def ask(
    rng: Random, scene: Scene, families: Sequence[Family], number: int, contrast: bool = False
) -> list[QuestionRecord]:
    """Up to `number` questions on `scene`, no text twice.

    No family is asked again before all others have had their turn. Fewer questions come back only
    where ROUNDS rounds through all families and answers gave no more. With `contrast` they come in pairs that differ in
    the object they start from and in the answer (rnlib.synthesis.contrast); the second one may be degenerate. Of two
    such objects each is changed as often as the other: which one is drawn before the question, and kept to.
    """
    sets = SceneSets(rng, scene)
    questions: dict[str, QuestionRecord] = {}
    which: dict[int, float] = {}  # of each family, until it is asked
    for _ in range(ROUNDS):
        asked: set[int] = set()
        # Sorted, these are a weighted draw without replacement (Efraimidis and Spirakis 2006).
        turns = [
            (rng.expovariate(weight), family, answer)
            for family in families
            for answer, weight in WEIGHTS[family.index].items()
        ]
        for _, family, answer in sorted(turns, key=lambda turn: turn[0]):
            if len(questions) + contrast >= number:  # there is no room for one more, or two
                return list(questions.values())
            if family.index in asked:
                continue
            reference = which.setdefault(family.index, rng.random()) if contrast else None
            records = _turn(sets, scene, family, answer, reference)
            if records and not any(record.question in questions for record in records):
                asked.add(family.index)
                which.pop(family.index, None)
                questions |= {record.question: record for record in records}
    return list(questions.values())


def _turn(sets: SceneSets, scene: Scene, family: Family, answer: str, reference: float | None) -> list[QuestionRecord]:
    """A question of a family with an answer, and its contrast if `reference` says which; none where none is found."""
    for _ in range(1 if reference is None else CONTRASTS):
        found = _find(sets, family, answer)
        if found is None:
            return []
        if records := _records(sets, scene, found, reference):
            return records
    return []


def _records(
    sets: SceneSets, scene: Scene, found: tuple[Question, str], reference: float | None
) -> list[QuestionRecord]:
    """A question in words, and its contrast if `reference` says which one; none where one is too long or missing."""
    rng, wanted = sets.rng, [found]
    if reference is not None:
        other = from_another(sets, scene, *found, reference)
        if other is None:
            return []
        wanted.append(other)
    state = rng.getstate()  # the same random numbers word both alike
    records: list[QuestionRecord] = []
    for question, answer in wanted:
        if records:
            rng.setstate(state)
        text = sentence(rng, question)
        if _tokens(text) > LONGEST:
            return []
        records.append(
            QuestionRecord(
                split=scene.split,
                image_index=scene.image_index,
                image_filename=scene.image_filename,
                question=text,
                answer=answer,
                program=make_program(question),
                question_family_index=question.family.index,
            )
        )
    return records


def _tokens(text: str) -> int:
    """The number of words, ";" and "?" of a question."""
    return text.count(" ") + 1 + text.count(";") + text.count("?")


def _find(sets: SceneSets, family: Family, answer: str) -> Found:
    """A question of `family` with this answer; None where TRIES random terms gave none."""
    if family.asked:
        find = _value if len(family.terms) == 1 else _same_value
    elif len(family.terms) == 1:
        find = _set
    else:
        find = _numbers if family.kind in COMPARISONS else _either
    return next(filter(None, (find(sets, family, answer) for _ in range(TRIES))), None)


def _set(sets: SceneSets, family: Family, answer: str) -> Found:
    """Of one set: how many are in it, or whether any are."""
    choice = sets.choose(family.terms[0], family.attribute)
    if choice is None:
        return None
    options = choice.members if choice.links else choice.options
    if family.bare:
        options = [option for option in options if not option[0]]
    elif not choice.links:
        options = options[family.kind == "exist" :] + sets.absent()  # no "Are there any things?"
    if family.kind == "exist":
        options = [option for option in options if (option[1] > 0) == (answer == "yes")]
    else:
        number = int(answer)
        options = [option for option in options if option[1].bit_count() == number]
    if not options:
        return None
    return _about_one(sets, family, choice, sets.rng.choice(options)[0]), answer


def _value(sets: SceneSets, family: Family, answer: str) -> Found:
    """Of one object: its value of the attribute asked for."""
    choice = sets.choose(family.terms[0], family.attribute, family.asked)
    options = _objects(choice)
    if answer != ANY:
        options = [option for option in options if option[1] & sets.having.get(answer, 0)]
    if choice is None or not options:
        return None
    words, mask = sets.rng.choice(options)
    value = getattr(sets.objects[mask.bit_length() - 1], family.asked)
    return _about_one(sets, family, choice, words), value


def _same_value(sets: SceneSets, family: Family, answer: str) -> Found:
    """Of two objects: whether they have the same value of the attribute asked for."""
    first, second = (sets.choose(operations, "", family.asked) for operations in family.terms)
    some, others = _objects(first), _objects(second)
    if first is None or second is None or not some or not others:
        return None
    words, mask = sets.rng.choice(some)
    like = sets.having[getattr(sets.objects[mask.bit_length() - 1], family.asked)]
    others = [option for option in others if option[1] & (like & ~mask if answer == "yes" else ~like)]
    if not others:
        return None
    return Question(family, (Term(words, first.links), Term(sets.rng.choice(others)[0], second.links))), answer


def _numbers(sets: SceneSets, family: Family, answer: str) -> Found:
    """Of two sets: how their numbers of objects compare."""
    compare = {"equal_integer": eq, "less_than": lt, "greater_than": gt}[family.kind]
    first, second = (_any_set(sets, operations) for operations in family.terms)
    if first is None or second is None:
        return None
    words, mask = sets.rng.choice(first.options)
    number, true = mask.bit_count(), answer == "yes"
    others = [option for option in second.options if compare(number, option[1].bit_count()) == true]
    if not others:
        return None
    terms = Term(words, first.links), Term(sets.rng.choice(others)[0], second.links)
    return None if _nested(*terms) else (Question(family, terms), answer)


def _either(sets: SceneSets, family: Family, answer: str) -> Found:
    """Of what is in one set or in another: how many there are.

    As with the public generator, a set in a relation is never empty here, nor are both sets.
    """
    first, second = (_any_set(sets, operations, family.attribute) for operations in family.terms)
    some = [] if first is None else _mostly_there(sets.rng, first)
    if first is None or second is None or not some:
        return None
    outer, within = sets.rng.choice(sets.values(family.attribute)) if family.attribute else ((), sets.everything)
    words, mask = sets.rng.choice(some)
    number = int(answer)
    others = [
        option
        for option in _mostly_there(sets.rng, second)
        if (mask or option[1]) and ((mask | option[1]) & within).bit_count() == number
    ]
    if not others:
        return None
    other_words, other_mask = sets.rng.choice(others)
    terms = Term(words, first.links), Term(other_words, second.links)
    both = mask | other_mask
    idle = any(term.links and not sets.whole[term.description] & ~both for term in terms)
    return None if idle or _nested(*terms) else (Question(family, terms, outer), answer)


def _mostly_there(rng: Random, choice: Choice) -> list[Option]:
    """The options of something in the scene; of a term without links, now and then, all options."""
    if not choice.links and rng.random() < NOTHING:
        return choice.options
    return [option for option in choice.options if option[1]]


def _any_set(sets: SceneSets, operations: Operations, *banned: str) -> Choice | None:
    """As SceneSets.choose; without links also sets of nothing, but not the set of everything."""
    if operations:
        return sets.choose(operations, "", *banned)
    return Choice((), sets.present(*banned)[1:] + sets.absent(*banned), 0, [])


def _objects(choice: Choice | None) -> list[Option]:
    """The options that mean exactly one object, one not named before."""
    return [] if choice is None else meaning_one(choice.options, choice.named)


def _about_one(sets: SceneSets, family: Family, choice: Choice, words: Description) -> Question:
    other = family.terms[0] == ("same",) and not family.bare and bool(sets.whole.get(words, 0) & choice.named)
    return Question(family, (Term(words, choice.links),), other=other)


def _nested(a: Term, b: Term) -> bool:
    """Whether one set plainly lies in the other ("red things" and "red cubes"): words alone would say too much."""
    return _holds(a, b) or _holds(b, a)


def _holds(a: Term, b: Term) -> bool:
    return (not a.links or a.links == b.links) and set(a.description) <= set(b.description)
