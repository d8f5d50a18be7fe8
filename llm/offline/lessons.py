"""Lessons from examples: which words go with which label.

`- label: telling words.` is how a lesson stands in an instruction. Such lines are what
`classify.definitions` reads, so that a proposed instruction really helps.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import log

from llm.offline.examples import Pair
from llm.offline.words import STOP_WORDS, WORD, plain, stem, word_count

LESSON = re.compile(r"(?:^|(?<=\s))- ([^\n:]{1,40}): ([^\n.:]{1,400})\.", re.MULTILINE)
_OPTIONS = re.compile(
    r"\b(?:one of|either|labels?|categor(?:y|ies)|class(?:es)?|options?|into|as)\b[^:.,\n]{0,30}?:?\s+"
    r"((?:[\w-]+(?: [\w-]+)?, ){0,20}[\w-]+,? (?:or|and) [\w-]+|(?:[\w-]+(?: [\w-]+)?, ){1,20}[\w-]+)"
)
_REPEATED = 0.6  # different labels among so many; answers to questions hardly repeat
_LABEL_WORDS, _LABEL_CHARS = 4, 40


def label_words(found: Iterable[Pair], most: int) -> dict[str, list[str]]:
    """Return the most telling words of each label.

    A word tells more the more examples of the label have it and the fewer others.
    """
    shown = [(given, right) for given, right in found if is_label(right)]
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    spelled: dict[str, str] = {}
    for given, right in shown:
        words = [w for w in WORD.findall(plain(given)) if w not in STOP_WORDS and not w.isdigit()]
        for word in words:
            spelled.setdefault(stem(word), word)
        by_label[right].update(sorted({stem(word) for word in words}))
    everywhere = sum(by_label.values(), Counter())
    told: dict[str, list[str]] = {}
    for label in sorted(by_label):
        counts = by_label[label]
        weight = {word: n * log(1 + len(by_label) * n / everywhere[word]) for word, n in counts.items()}
        best = sorted(weight, key=lambda word: (-weight[word], word))
        told[label] = [spelled[word] for word in best if 2 * counts[word] >= everywhere[word]][:most]
    return told


def told_before(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the lessons that stand in texts already, in their order."""
    told: dict[str, list[str]] = {}
    for text in texts:
        for match in LESSON.finditer(text):
            words = told.setdefault(match[1].strip(), [])
            words += [
                word for word in (part.strip() for part in match[2].split(",")) if word and word not in words
            ]
    return told


def named_options(instructions: str) -> list[str]:
    """Return the labels that instructions name: those with lessons, or a list of them in a sentence."""
    told = list(told_before([instructions]))
    listed = _OPTIONS.search(instructions)
    if told or not listed:
        return told
    return [part.strip() for part in re.split(r",? (?:or|and) |, ", listed[1]) if part.strip()]


def merged(old: Mapping[str, list[str]], new: Mapping[str, list[str]], most: int) -> dict[str, list[str]]:
    """Return the lessons of both, new words first, at most so many words per label."""
    labels = dict.fromkeys([*old, *new])
    return {label: list(dict.fromkeys([*new.get(label, []), *old.get(label, [])]))[:most] for label in labels}


def lines(told: Mapping[str, list[str]]) -> str:
    """Return lessons as the lines that `classify` reads."""
    return "\n".join(f"- {label}: {', '.join(words)}." for label, words in told.items() if words)


def are_labels(found: Iterable[Pair]) -> bool:
    """Whether what is right are labels: they come again and again, or are written like names in a program."""
    shown = [right for _, right in found]
    labels = [right for right in shown if is_label(right)]
    if 2 * len(labels) <= len(shown):
        return False
    written_so = all(label == label.lower() and not label[0].isdigit() for label in labels)
    return written_so or len(set(labels)) <= _REPEATED * len(labels)


def is_label(text: str) -> bool:
    """Whether a text is short enough to be the name of a class."""
    return len(text) <= _LABEL_CHARS and "\n" not in text and 0 < word_count(text) <= _LABEL_WORDS
