"""What to tell a person who is typing a question: which words a network knows, and how questions sound."""

import difflib
from collections.abc import Container, Sequence
from dataclasses import dataclass

from rnlib.clevr.vocabulary import Vocabulary, tokenize

KNOWN, UNTRAINED, UNFINISHED, UNKNOWN = "known", "untrained", "unfinished", "unknown"
MOST = 3  # suggestions
NEAR = 0.65  # of difflib's ratio, from which on a word may be meant


@dataclass(frozen=True)
class Word:
    """A word of a question, whether it is known, unknown, or may become a known one, and what may be meant by it.

    Untrained words are in the vocabulary, but no question that the network was trained on had them.
    """

    text: str
    state: str
    suggestions: tuple[str, ...] = ()


def check_words(text: str, vocabulary: Vocabulary, untrained: Container[str] = ()) -> list[Word]:
    """Each word of a question that is being typed. Its last word is unfinished while a known one begins so.

    untrained: words of the vocabulary that no training question had.
    """
    words = []
    tokens = tokenize(text)
    for position, token in enumerate(tokens):
        if token in vocabulary.number_of_word:
            words.append(Word(token, UNTRAINED if token in untrained else KNOWN))
            continue
        at_end = position == len(tokens) - 1 and not text[-1].isspace()
        begun = tuple(word for word in vocabulary.words if word.startswith(token))[:MOST] if at_end else ()
        if begun:
            words.append(Word(token, UNFINISHED, begun))
        else:
            near = difflib.get_close_matches(token, vocabulary.words, n=MOST, cutoff=NEAR)
            words.append(Word(token, UNKNOWN, tuple(near)))
    return words


def suggest_questions(text: str, questions: Sequence[str], most: int = MOST) -> list[str]:
    """Of well-formed questions those that share most words with the text, best first; of none typed, the shortest.

    Shared words count by how rare they are among the questions, so that "the" counts little.
    """
    typed = set(tokenize(text))
    sets = [set(tokenize(question)) for question in questions]
    rarity = {word: 1 / sum(word in other for other in sets) for word in set().union(*sets)}
    score = [sum(rarity[word] for word in words & typed) for words in sets]
    order = sorted(range(len(questions)), key=lambda number: (-score[number], len(questions[number]), number))
    return list(dict.fromkeys(questions[number] for number in order))[:most]
