"""Examples inside of a prompt, in the forms in which optimizers show them: what is given, what is right."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm.offline.words import bag

Pair = tuple[str, str]

_LINE = re.compile(r"^([A-Z][\w ]{0,40}|[a-z]\w{0,40}): ?(.*)$")
# How InferRules parts what is given from what is right.
_RULES_FORM = ("\n\n=========\nOutput Fields:\n", "Input Fields:\n")
_ASIDE_KEYS = bag("reasoning rationale augmented")
_RIGHT = re.compile(r"\b(?:correct|right|well done|matches)\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:wrong|incorrect|not correct|instead|should|expected|but|mistake|false)\b", re.IGNORECASE
)
_CALLED = re.compile(
    r"(?:expected|should (?:be|have been)|(?:correct|right) (?:answer|label|output|one)?\s*(?:is|was)?)"
    r"\s*:?\s*[`'\"\u201c]?((?:(?!\b(?:but|got|and|instead|not|rather|was|is)\b)[\w &/-]){1,40})",
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


def _from_reprs(text: str) -> Iterator[Pair]:
    """Read the `repr` of DSPy examples, as MIPROv2 shows its training set."""
    for part in text.split("Example(")[1:]:
        values_text, found, rest = part.partition(") (input_keys=")
        try:
            values = ast.literal_eval(values_text) if found else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(values, dict) and values:
            keys = re.findall(r"'(\w+)'", rest.partition("}")[0])
            yield from _split(values, keys or list(values)[:-1])


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
    """Read the one example that SIMBA shows: the program's inputs and the metadata of its oracle."""
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
    named = [match[1].strip() for match in _CALLED.finditer(feedback) if match[1].strip()]
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
