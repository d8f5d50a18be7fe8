"""The guard: may two questions share an answer?

Embeddings put "Is it allowed?" beside "Is it not allowed?", and Paris beside London. So both texts are
brought into a plain form, in which politeness, spelling and the usual ways to say the same thing are gone,
and every word that is left must be the same in both: each negation, number, name, unit, date, question
word, comparison, quotation, line of code, and the order, which says who does what to whom. The guard errs
to one side: what it does not know to be the same is different, which costs a call.

Pure functions of the texts; nothing is learned, configured or looked up.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from llm.language import language_of
from llm.semantic import lexicon, phrases
from llm.semantic.plain import plain
from llm.semantic.words import sentences

# Beyond this a text is a document, and words say less about what is asked of it.
LONGEST = 1_000

_KINDS = (
    ("negation", lexicon.NEGATIONS),
    ("question", lexicon.QUESTIONS),
    ("comparison", lexicon.COMPARISONS),
    ("quantity", lexicon.QUANTITIES),
    ("modality", lexicon.MODALS),
    ("tense", lexicon.TENSES),
    ("person", lexicon.PERSONS),
    ("date", lexicon.DATES),
    ("number", lexicon.OTHER_NUMBERS),
    ("unit", frozenset(lexicon.UNITS.values())),
)
_ENGLISH = lexicon.ENGLISH | phrases.REQUESTS
_SIGNS = {"#": "number", "@": "date", "~": "unit", '"': "quotation", "^": "name"}
_DENIAL = re.compile(r"(?:un|in|im|il|ir|dis|non-?|mis|anti-?|de)(?=\w{3})")


def same(one: str, other: str) -> bool:
    """Return whether two questions may share an answer."""
    return not differences(one, other)


def differences(one: str, other: str) -> tuple[str, ...]:
    """Return in what two questions differ, such as `number`; nothing when they may share an answer.

    It says the same whichever comes first, and nothing of a text and itself.
    """
    if max(len(one), len(other)) > LONGEST:
        return ("length",) if one != other else ()
    if form(one) == form(other):
        return ()
    return tuple(dict.fromkeys(_kinds(one, other)))


@lru_cache(maxsize=4_096)
def form(text: str) -> str:
    """Return the plain form of a question: texts with the same one may share an answer, others may not."""
    language = language_of(text)
    words = sentences(text)
    said = {word for one in words for word in one} if text.isascii() else set()
    surely = language == "en" or said & lexicon.SURELY_ENGLISH
    english = surely or (language is None and said & _ENGLISH)
    if not english:
        # What may be left out is known for English only.
        return f"{language or '?'}: " + " | ".join(" ".join(one) for one in words)
    return "en: " + " | ".join(told for one in words if (told := plain(one)))


def _kinds(one: str, other: str) -> Iterator[str]:
    here, there = form(one), form(other)
    if here[:3] != there[:3]:
        yield "language"
    left, right = Counter(_split(here)), Counter(_split(there))
    lost, found = left - right, right - left
    changed = set(lost) | set(found)
    if not changed:
        yield "order"
        return
    for word in sorted(changed):
        yield _kind(word, one, other)
    # An opposite made by a prefix: possible and impossible.
    for word in changed:
        if (denied := _DENIAL.match(word)) and word[denied.end() :] in changed:
            yield "negation"


def _split(told: str) -> list[str]:
    return re.findall(r'"[^"]*"|\S+', told[3:])


def _kind(word: str, one: str, other: str) -> str:
    if word[0] in _SIGNS:
        return _SIGNS[word[0]]
    for kind, known in _KINDS:
        if word in known:
            return kind
    if _is_name(word, f"{one}\n{other}"):
        return "name"
    return "words"


def _is_name(word: str, text: str) -> bool:
    """Return whether a word stands with a capital inside of a sentence."""
    places = re.finditer(rf"(?<=[\w,] ){re.escape(word)}", text, re.IGNORECASE)
    return any(found[0][0].isupper() for found in places)
