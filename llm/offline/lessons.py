"""What examples inside a prompt teach: which words go with which label, and how short answers are.

Optimizers show examples to a model in several forms and ask for a better instruction. Whatever the form,
here it becomes pairs of what was given and what is right, and pairs become lessons: `- label: telling words.`
Such lines are what `classify.definitions` reads, so a proposed instruction really helps.
"""

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any

from llm.offline.words import STOP_WORDS, WORD, plain, stem, word_count

Pair = tuple[str, str]

LESSON = re.compile(r"(?:^|(?<=\s))- ([^\n:]{1,40}): ([^\n.:]{1,400})\.", re.MULTILINE)
_OPTIONS = re.compile(
    r"\b(?:one of|either|labels?|categor(?:y|ies)|class(?:es)?|options?|into|as)\b[^:.,\n]{0,30}?:?\s+"
    r"((?:[\w-]+(?: [\w-]+)?, ){1,20}(?:(?:or|and) )?[\w-]+|[\w-]+ or [\w-]+)"
)
_LABEL_WORDS, _LABEL_CHARS = 4, 40
_EXAMPLE = re.compile(r"Example\((\{.*?\})\) \(input_keys=(?:\{([^{}]*)\}|None)\)", re.DOTALL)
_LINE = re.compile(r"^([A-Z][\w ]{0,40}|[a-z]\w{0,40}): ?(.*)$")
# How InferRules parts what is given from what is right.
_RULES_FORM = ("\n\n=========\nOutput Fields:\n", "Input Fields:\n")
_ASIDE_KEYS = frozenset({"reasoning", "rationale", "augmented"})
_RIGHT = re.compile(r"\b(?:correct|right|well done|matches)\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:wrong|incorrect|not correct|instead|should|expected|but|mistake|false)\b", re.IGNORECASE
)
_CALLED = re.compile(
    r"(?:expected|should (?:be|have been)|correct (?:answer|label|output|one)?\s*(?:is|was)?|right (?:answer|label)\s*(?:is|was)?)"
    r"\s*:?\s*[`'\"\u201c]?([\w][\w &/-]{0,38}\w)[`'\"\u201d]?",
    re.IGNORECASE,
)


def pairs(texts: Mapping[str, str]) -> list[Pair]:
    """Return what was given and what is right for every example in the inputs of a prompt."""
    found: list[Pair] = []
    for text in texts.values():
        found += _from_reprs(text)
        found += _from_records(text)
        found += _from_lines(text)
    found += _from_trajectories(texts)
    return [(given, right) for given, right in dict.fromkeys(found) if given.strip() and right.strip()]


def label_words(found: Iterable[Pair], most: int) -> dict[str, list[str]]:
    """Return the most telling words of each label, when what is right are labels at all.

    A word tells more the more examples of the label have it and the fewer others.
    """
    shown = [(given, right) for given, right in found if is_label(right)]
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    spelled: dict[str, str] = {}
    for given, right in shown:
        words = {
            stem(w): w
            for w in reversed(WORD.findall(plain(given)))
            if w not in STOP_WORDS and not w.isdigit()
        }
        spelled = {**words, **spelled}
        by_label[right].update(sorted(words))
    everywhere = sum(by_label.values(), Counter())
    told: dict[str, list[str]] = {}
    for label in sorted(by_label):
        counts = by_label[label]
        weight = {word: n * log(1 + len(by_label) * n / everywhere[word]) for word, n in counts.items()}
        best = sorted(weight, key=lambda word: (-weight[word], word))
        told[label] = [spelled[word] for word in best if 2 * counts[word] >= everywhere[word]][:most]
    return told if len(shown) > len(by_label) or len(by_label) > 1 else {}


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
    return [part.strip() for part in re.split(r", (?:or |and )?| or ", listed[1]) if part.strip()]


def merged(old: Mapping[str, list[str]], new: Mapping[str, list[str]], most: int) -> dict[str, list[str]]:
    """Return the lessons of both, new words first, at most so many words per label."""
    labels = dict.fromkeys([*old, *new])
    return {label: list(dict.fromkeys([*new.get(label, []), *old.get(label, [])]))[:most] for label in labels}


def lines(told: Mapping[str, list[str]]) -> str:
    """Return lessons as the lines that `classify` reads."""
    return "\n".join(f"- {label}: {', '.join(words)}." for label, words in told.items() if words)


def is_label(text: str) -> bool:
    """Whether a text is short enough to be the name of a class."""
    return len(text) <= _LABEL_CHARS and "\n" not in text and 0 < word_count(text) <= _LABEL_WORDS


def _from_reprs(text: str) -> Iterator[Pair]:
    """Read the `repr` of DSPy examples, as MIPROv2 shows its training set."""
    for match in _EXAMPLE.finditer(text):
        try:
            values = ast.literal_eval(match[1])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        keys = re.findall(r"'(\w+)'", match[2] or "") or list(values)[:-1]
        yield from _split(values, keys)


def _from_records(text: str) -> Iterator[Pair]:
    """Read a JSON list of inputs, outputs and feedback, as GEPA shows its trajectories."""
    if not text.lstrip().startswith("["):
        return
    try:
        records = json.loads(text)
    except (ValueError, RecursionError):
        return
    records = [record for record in records if isinstance(record, dict)]
    answers = [_last(record.get("Generated Outputs")) for record in records]
    for record, answer in zip(records, answers, strict=True):
        feedback = str(record.get("Feedback", record.get("feedback", "")))
        right = _right_answer(feedback, answer, [other for other in answers if other])
        if right:
            yield _joined(record.get("Inputs", record.get("inputs", ""))), right


def _from_lines(text: str) -> Iterator[Pair]:
    """Read blocks of `Field: value` lines; the last field is what is right."""
    text = text.replace(_RULES_FORM[0], "\n").replace(_RULES_FORM[1], "")
    for block in re.split(r"\n\s*\n", text) if "\n" in text else ():
        values: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            match = _LINE.match(line.strip())
            if match:
                key = match[1]
                values[key] = match[2]
            elif key:
                values[key] += f"\n{line}"
        if len(values) > 1:
            yield from _split(values, list(values)[:-1])


def _from_trajectories(texts: Mapping[str, str]) -> Iterator[Pair]:
    """Read one example from the inputs that SIMBA shows: the program's inputs and the metadata of its oracle."""
    right = _last(_json(texts.get("oracle_metadata", "")))
    if right:
        yield _joined(_json(texts.get("program_inputs", ""))), right


def _split(values: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Pair]:
    given_keys = [key for key in keys if key.lower() not in _ASIDE_KEYS]
    rest = [key for key in values if key not in given_keys and key.lower() not in _ASIDE_KEYS]
    if rest and given_keys:
        yield (
            "\n".join(str(values[key]) for key in given_keys if key in values),
            str(values[rest[-1]]).strip(),
        )


def _right_answer(feedback: str, answer: str, labels: Iterable[str]) -> str:
    """Return what feedback calls right: the answer itself, a name that it gives, or another known label."""
    named = [match[1] for match in _CALLED.finditer(feedback)]
    known = [label for label in dict.fromkeys([*labels, *named]) if label != answer]
    for label in [*named, *known]:
        if label != answer and re.search(rf"(?<!\w){re.escape(label)}(?!\w)", feedback):
            return label
    if answer and (_RIGHT.search(feedback) or "score of 1" in feedback) and not _WRONG.search(feedback):
        return answer
    return ""


def _last(value: Any) -> str:
    if isinstance(value, dict):
        kept = [item for key, item in value.items() if str(key).lower() not in _ASIDE_KEYS]
        return str(kept[-1]).strip() if kept else ""
    return str(value).strip() if value else ""


def _joined(value: Any) -> str:
    return "\n".join(map(str, value.values())) if isinstance(value, dict) else str(value or "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
