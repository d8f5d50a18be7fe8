"""Pieces of material in the inputs of a prompt: whole texts, the leaves of JSON, numbered items."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from llm.offline.roles import orders, role_of
from llm.offline.sentences import Source, least_length, sentences
from llm.offline.words import spoken, word_count

SHORT_STATEMENT = 8  # words; what is longer and asks nothing is material
_ASKED = re.compile(r"^(?:question|query|task|q)\s*:\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"^\[\d+\] (?=\u00ab)", re.MULTILINE)  # how DSPy writes a list for a field of text
_NAMES = ("document", "source", "title", "name", "file", "id")
_LABELS = frozenset({*_NAMES, "section"})
_TEXTS = frozenset({"text", "content", "body", "value"})  # material even when it is a single word
_SHORTEST_LEAF = 3  # words; other values inside JSON that are shorter are labels, not sentences


def sources(origin: str, text: str, name: str = "") -> Iterator[Source]:
    """Yield the pieces of material in an input: itself, the leaves of its JSON, or its numbered items."""
    stripped = text.strip()
    if not stripped or stripped == "N/A":
        return
    if stripped[0] in "[{":
        try:
            yield from _leaves(origin, json.loads(stripped), name or spoken(origin), "")
        except (ValueError, RecursionError):
            pass
        else:
            return
    if "\u00ab" in stripped and (stripped[0] == "\u00ab" or _NUMBERED.match(stripped)):
        for i, item in enumerate(_NUMBERED.split(stripped)):
            if item.strip():
                yield Source(origin, f"{spoken(origin)} {i}", item.strip().strip("\u00ab\u00bb").strip())
        return
    yield Source(origin, name or spoken(origin), text)


def parted(message: str) -> tuple[str, str]:
    """Part a message into its question and the material that it brings along.

    The question is the last sentence that asks, or the first that orders; without more than a few words
    beside it the whole message is the question.
    """
    found = sentences(Source("message", "", message), least_length(len(message)))
    parts = [sentence.text for sentence in found]
    asking = [part for part in parts if part.endswith("?")][-1:] or [part for part in parts if orders(part)]
    question = asking[0] if asking else ""
    rest = message.replace(question, "", 1) if question else message
    question = _ASKED.sub("", question)
    return (question, rest) if word_count(rest) > SHORT_STATEMENT else (message, "")


def _leaves(origin: str, value: Any, name: str, section: str) -> Iterator[Source]:
    if isinstance(value, str):
        if word_count(value) >= _SHORTEST_LEAF:
            yield Source(origin, name, value, section)
    elif isinstance(value, dict):
        yield from _members(origin, value, _name(value) or name, str(value.get("section") or section))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(origin, item, name, section)


def _members(origin: str, record: dict[str, Any], name: str, section: str) -> Iterator[Source]:
    """Yield the texts of a JSON object, each once; its name and what it asks are not material."""
    seen: set[str] = set()
    for key, item in record.items():
        if (key in _LABELS and isinstance(item, str)) or role_of(key) in {"question", "aside"}:
            continue
        leaves = _leaves(origin, item, name, section)
        if key in _TEXTS and isinstance(item, str | int | float):
            leaves = iter([Source(origin, name, str(item), section)])
        for leaf in leaves:
            if leaf.text.strip() and leaf.text not in seen:
                seen.add(leaf.text)
                yield leaf if leaf.record else replace(leaf, record=record)


def _name(value: Any) -> str:
    """Return what a JSON object calls itself, or what its first part calls itself."""
    if isinstance(value, dict):
        own = next((str(value[key]) for key in _NAMES if isinstance(value.get(key), str)), "")
        return own or next((name for name in map(_name, value.values()) if name), "")
    return _name(value[0]) if isinstance(value, list) and value else ""


def records(text: str) -> list[dict[str, Any]]:
    """Return the turns of a conversation that is given as JSON."""
    try:
        read = json.loads(text) if text.lstrip()[:1] in {"[", "{"} else []
    except (ValueError, RecursionError):
        return []
    read = read.get("messages", []) if isinstance(read, dict) else read
    return [turn for turn in read if isinstance(turn, dict)] if isinstance(read, list) else []
