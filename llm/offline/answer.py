"""Answers: from the demos, the given material and the conversation, or a word that these do not say."""

import re
from collections.abc import Sequence

from llm.offline import smalltalk
from llm.offline.classify import current, learned
from llm.offline.fields import Found
from llm.offline.length import Length
from llm.offline.ranking import Ranked, distinct
from llm.offline.reading import Reading
from llm.offline.roles import asks
from llm.offline.similarity import cosine, vectors
from llm.offline.smalltalk import ended
from llm.offline.spans import cut, shortened
from llm.offline.words import listed, spoken, stems

NOT_SAID = "The material does not say"
LEAST_OVERLAP = 0.2  # of the question's words; below it a sentence has nothing to do with the question
_ANSWERS = 0.3  # of the question's words; from there on a sentence is taken for an answer
REMEMBERED = 0.34  # of the question's words; from there on something said earlier answers it
_SAME = 0.95  # likeness from which on a demo's answer is taken as it is
_KEPT = 0.7  # of the best sentence's score; a further one must reach it,
_KEPT_IF_NEW = 0.25  # or this much when it covers
_NEW_PART = 0.15  # so much of the question that was not covered yet
_CONSIDERED = 40  # sentences
_MOST_SENTENCES = 6
_SEARCHED = 3  # sentences, for a name or a number
_NAMED_TERMS = 4


def reply(reading: Reading, path: tuple[str, ...], length: Length, about: str = "") -> Found:
    """Answer the question of a prompt, or sum its material up when it asks nothing.

    Args:
        reading: the prompt.
        path: where the demos' answers hold this field.
        length: how long the answer should be.
        about: the field's description.
    """
    shown = _same_as_a_demo(reading, path)
    if shown:
        return shown
    if not reading.question and reading.only_message and smalltalk.tells_of_oneself(reading.everything):
        return smalltalk.noted(reading.everything)
    if not reading.question or (reading.is_about_all and reading.material and stems(reading.question)):
        return summary(reading, length, about)
    best = reading.ranked(reading.question, about)
    known, said = (ranked[0].overlap if ranked else 0.0 for ranked in (best, reading.remembered))
    if said >= REMEMBERED and said >= known:
        fact = smalltalk.turned_round(reading.remembered[0].sentence.prose)
        reason = "Took it from what was said earlier in the conversation."
        return Found(cut(fact, reading.question, length), reason)
    if known < _ANSWERS:
        return _without_a_sentence(reading)
    chosen = _fitting(best, _SEARCHED if length.is_span else min(length.sentences, _MOST_SENTENCES))
    reading.used += chosen
    text = " ".join(ended(one.sentence.prose) for one in chosen)
    return Found(cut(text, reading.question, length), _because(chosen, reading))


def summary(reading: Reading, length: Length, about: str = "") -> Found:
    """Return the most telling sentences of the material, in the order of the text."""
    chosen = distinct(reading.ranked("", f"{about} {reading.prompt.instructions}"), length.sentences)
    if not chosen:
        return Found("There is no text to read.", "The input is empty.")
    reading.used += chosen
    places = {id(sentence): i for i, sentence in enumerate(reading.sentences)}
    chosen.sort(key=lambda one: places[id(one.sentence)])
    text = " ".join(ended(one.sentence.prose) for one in chosen)
    return Found(shortened(text, length.words), _because(chosen, reading))


def _without_a_sentence(reading: Reading) -> Found:
    """Answer a question that no sentence speaks of: with courtesy, a tool's result, or plainly."""
    asked = reading.question
    polite = smalltalk.courtesy(asked)
    if polite:
        return polite
    if reading.observed:
        return Found(reading.observed[-1].text, "Took what the last tool returned.")
    terms = listed(_terms(asked, " ".join(source.text for source in reading.material)))
    if reading.material:
        said = f"{NOT_SAID}{f': nothing in it speaks of {terms}' if terms else ''}."
        return Found(said, "No sentence of the material shares enough words with the question.")
    if smalltalk.asks_about_me(asked):
        return Found(smalltalk.ABILITY, "The message asks about the model itself.")
    if not asks(asked) and smalltalk.tells_of_oneself(asked):
        return smalltalk.noted(asked)
    about = f"nothing in it speaks of {terms}" if terms else "there is nothing in it"
    said = f"{smalltalk.SELF}. I can only answer from what is in the prompt, and {about}."
    return Found(said, "The prompt holds neither material nor anything said earlier that fits the question.")


def _fitting(ranked: Sequence[Ranked], most: int) -> list[Ranked]:
    """Return the sentences that answer: the best, its equals, and those on a part that is not covered yet."""
    chosen: list[Ranked] = []
    spoken_of: set[str] = set()
    for one in distinct(ranked[:_CONSIDERED], _CONSIDERED):
        new = one.overlap * sum(word not in spoken_of for word in one.shared) / max(1, len(one.shared))
        best = chosen[0].score if chosen else one.score
        if one.score >= _KEPT * best or (one.score >= _KEPT_IF_NEW * best and new >= _NEW_PART):
            chosen.append(one)
            spoken_of.update(one.shared)
        if len(chosen) >= most:
            break
    return chosen


def _same_as_a_demo(reading: Reading, path: tuple[str, ...]) -> Found | None:
    """Return the answer of an example with nearly the same input, if there is one."""
    shown = [(said, value) for said, value in learned(reading, path) if isinstance(value, str) and value]
    if not shown:
        return None
    *others, asked = vectors([*(said for said, _ in shown), current(reading)])
    likeness = [cosine(one, asked) for one in others]
    best = max(range(len(shown)), key=lambda i: (likeness[i], -i))
    if likeness[best] < _SAME:
        return None
    return Found(
        shown[best][1], f"An example with nearly the same input ({likeness[best]:.2f} alike) says so."
    )


def _because(chosen: Sequence[Ranked], reading: Reading) -> str:
    shared = list(dict.fromkeys(word for one in chosen for word in one.shared))[:_NAMED_TERMS]
    origins = listed(dict.fromkeys(spoken(one.sentence.source.origin) for one in chosen))
    reason = f"shares {listed(shared)} with the question" if shared else "stands for the most of the text"
    return f"Took {len(chosen)} of {len(reading.sentences)} sentences of the {origins}: what {reason}."


def _terms(question: str, material: str) -> list[str]:
    """Return the words of a question that say what it is about and stand nowhere in the material."""
    known = set(stems(material))
    words = [word for word in re.findall(r"[^\W_][\w'-]*", question) if set(stems(word)) - known]
    return list(dict.fromkeys(words))[:_NAMED_TERMS]
