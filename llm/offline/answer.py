"""Answers: from the demos, the given material and the conversation, or a plain word that these do not say."""

import re
from collections.abc import Sequence

from llm.offline.classify import current, learned
from llm.offline.extract import moment_near, number_near, proper_name
from llm.offline.fields import Found
from llm.offline.length import Length
from llm.offline.reading import Reading
from llm.offline.sentences import Ranked, distinct
from llm.offline.similarity import cosine, vectors
from llm.offline.words import listed, spoken, stems, word_count

SELF = "I am Millrace's offline model: a deterministic learner without weights, not a language model"
ABILITY = (
    f"{SELF}. I sort messages by examples, quote the most telling sentences of a text, "
    "answer from the material and the conversation in the prompt, and fill typed fields."
)
NOT_SAID = "The material does not say"
_SAME = 0.95  # likeness from which on a demo's answer is taken as it is
LEAST_OVERLAP = 0.15  # of the question's words; below it a sentence has nothing to do with the question
REMEMBERED = 0.34  # of the question's words; from there on something said earlier answers it
_KEPT = 0.7  # of the best sentence's score; a further one must reach it
_NEW_PART = 0.2  # of the question's words, not spoken of yet, are worth a further sentence
_CONSIDERED = 40  # sentences
_MOST_SENTENCES = 6
_NAMED_TERMS = 4
_GREETING = re.compile(
    r"^\s*(?:hi|hello|hey|hallo|moin|bonjour|good (?:morning|day|evening))\b", re.IGNORECASE
)
_THANKS = re.compile(r"^\s*(?:thanks|thank you|thx|danke|merci)\b", re.IGNORECASE)
_ABOUT_ME = re.compile(
    r"\b(?:who|what) are you\b|\bwhat can you do\b|\b(?:which|what) (?:\w+ )?model\b|\bare you (?:an?|the) \w+"
    r"|^\s*help\W*$|\bhow can you help\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b(?:my|i|i'm|we|our)\b", re.IGNORECASE)
_SMALL_TALK_WORDS = 8
_NOTED_CHARS = 300
_SWAPPED = {
    "i": "you", "i'm": "you're", "i've": "you've", "i'll": "you'll", "i'd": "you'd", "me": "you", "my": "your",
    "mine": "yours", "myself": "yourself", "am": "are", "we": "you", "our": "your", "ours": "yours", "us": "you",
}  # fmt: skip


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
    if not reading.question:
        only = {source.origin for source in reading.material} == {"message"} and _OWN.search(
            reading.everything
        )
        return _noted(reading.everything) if only else summary(reading, length, about)
    if reading.is_about_all and reading.material and stems(reading.question):
        return summary(reading, length, about)
    best = reading.ranked(reading.question, about)
    known, said = (ranked[0].overlap if ranked else 0.0 for ranked in (best, reading.remembered))
    if said >= REMEMBERED and said >= known:
        fact = _to_you(reading.remembered[0].sentence.prose)
        return Found(_span(fact, reading, length), "Took it from what was said earlier in the conversation.")
    if known < LEAST_OVERLAP:
        return _without_material(reading)
    chosen = _fitting(best, min(length.sentences, _MOST_SENTENCES))
    reading.used += chosen
    text = " ".join(_ended(one.sentence.prose) for one in chosen)
    return Found(_span(text, reading, length), because(chosen, reading))


def summary(reading: Reading, length: Length, about: str = "") -> Found:
    """Return the most telling sentences of the material, in the order of the text."""
    best = reading.ranked("", f"{about} {reading.prompt.instructions}")
    chosen = distinct(best, length.sentences)
    if not chosen:
        return Found("There is no text to read.", "The input is empty.")
    reading.used += chosen
    places = {id(sentence): i for i, sentence in enumerate(reading.sentences)}
    chosen.sort(key=lambda one: places[id(one.sentence)])
    text = " ".join(_ended(one.sentence.prose) for one in chosen)
    return Found(_shortened(text, length.words), because(chosen, reading))


def because(chosen: Sequence[Ranked], reading: Reading) -> str:
    """Say which sentences were taken, and for which words."""
    shared = list(dict.fromkeys(word for one in chosen for word in one.shared))[:_NAMED_TERMS]
    origins = listed(dict.fromkeys(spoken(one.sentence.source.origin) for one in chosen))
    reason = f"shares {listed(shared)} with the question" if shared else "stands for the most of the text"
    return f"Took {len(chosen)} of {len(reading.sentences)} sentences of the {origins}: what {reason}."


def not_said(reading: Reading) -> str:
    """Say plainly that the material does not hold the answer, naming what was looked for."""
    terms = list(dict.fromkeys(word for word in _asked_words(reading.question)))[:_NAMED_TERMS]
    return f"{NOT_SAID}{f': nothing in it speaks of {listed(terms)}' if terms else ''}."


def _without_material(reading: Reading) -> Found:
    asked = reading.question
    small_talk = word_count(asked) <= _SMALL_TALK_WORDS
    if small_talk and _THANKS.search(asked):
        return Found("You are welcome.", "The message says thanks.")
    if small_talk and _GREETING.search(asked) and not stems(_GREETING.sub("", asked, count=1)):
        return Found(f"Hello. {ABILITY}", "The message is a greeting.")
    if _ABOUT_ME.search(asked) and not reading.material:
        return Found(ABILITY, "The message asks about the model itself.")
    if reading.observed:
        return Found(reading.observed[-1].text, "Took what the last tool returned.")
    if reading.material:
        return Found(not_said(reading), "No sentence of the material shares enough words with the question.")
    if "?" not in asked and _OWN.search(asked):
        return _noted(asked)
    terms = listed(list(dict.fromkeys(_asked_words(asked)))[:_NAMED_TERMS])
    about = f" that speaks of {terms}" if terms else ""
    said = f"{SELF}. I can only answer from what is in the prompt, and there is nothing in it{about}."
    return Found(said, "The prompt holds neither material nor anything said earlier that fits the question.")


def _fitting(ranked: Sequence[Ranked], most: int) -> list[Ranked]:
    """Return the sentences that answer: the best, its equals, and those on a part that is not covered yet."""
    chosen: list[Ranked] = []
    spoken_of: set[str] = set()
    for one in distinct(ranked[:_CONSIDERED], _CONSIDERED):
        new = one.overlap * sum(word not in spoken_of for word in one.shared) / max(1, len(one.shared))
        equal = bool(chosen) and one.score >= _KEPT * chosen[0].score
        further = bool(chosen) and one.score >= _KEPT / 2 * chosen[0].score and new >= _NEW_PART
        if not chosen or equal or further:
            chosen.append(one)
            spoken_of.update(one.shared)
        if len(chosen) >= most:
            break
    return chosen


def _noted(said: str) -> Found:
    turned = _to_you(said[:_NOTED_CHARS])
    return Found(f"Noted: {turned[:1].lower()}{turned[1:]}", "The message states something and asks nothing.")


def _same_as_a_demo(reading: Reading, path: tuple[str, ...]) -> Found | None:
    shown = [(said, value) for said, value in learned(reading, path) if isinstance(value, str) and value]
    if not shown:
        return None
    *others, asked = vectors([*(said for said, _ in shown), current(reading)])
    likeness = [cosine(one, asked) for one in others]
    best = max(range(len(shown)), key=lambda i: (likeness[i], -i))
    if likeness[best] < _SAME:
        return None
    return Found(
        shown[best][1], f"An example with nearly the same input is answered so ({likeness[best]:.2f} alike)."
    )


def _span(text: str, reading: Reading, length: Length) -> str:
    """Cut an answer down to the name, number or date that is asked for, when only a few words are wanted."""
    if not length.is_span:
        return _shortened(text, length.words)
    asked, found = reading.question.lower(), None
    if re.search(r"\bhow (?:many|much|old|long|far|tall)\b", asked):
        number = number_near(asked, text, None, None)
        found = None if number is None else f"{number:g}"
    elif re.search(r"\b(?:when|what year|which year|what date)\b", asked):
        year = re.search(r"\b(?:1\d|20)\d\d\b", text)
        moment = moment_near(asked, text)
        found = (
            year[0] if year and "year" in asked else moment.date().isoformat() if moment else year and year[0]
        )
    return found or proper_name(text, without=stems(reading.question)) or _shortened(text, length.words)


def _shortened(text: str, words: int | None) -> str:
    parts = text.split()
    return text if words is None or len(parts) <= words else " ".join(parts[:words]).rstrip(",;:")


def _asked_words(question: str) -> list[str]:
    wanted = set(stems(question))
    return [word for word in re.findall(r"[^\W_][\w'-]*", question) if wanted.intersection(stems(word))]


def _to_you(text: str) -> str:
    """Turn what the person said about themselves round: `my name is Ada` becomes `Your name is Ada.`"""
    turned = re.sub(
        r"[A-Za-z]+(?:['\u2019][a-z]+)?",
        lambda match: _SWAPPED.get(match[0].lower().replace("\u2019", "'"), match[0]),
        " ".join(text.split()),
    )
    turned = re.sub(r"\byou was\b", "you were", turned)
    return _ended(turned[:1].upper() + turned[1:])


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "\u3002", "\u201d", '"')) else f"{text.rstrip(':;,')}."
