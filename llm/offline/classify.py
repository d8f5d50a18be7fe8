"""Choosing one of several options: by likeness to the demos, and by what the prompt says of each."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from llm.offline.reading import Reading
from llm.offline.similarity import cosine, vectors
from llm.offline.turns import Turn
from llm.offline.words import listed, spoken, stems

_READ_CHARS = 50_000  # of the text that is put into a class
_TOLD_WEIGHT = 0.35  # of the instructions against one demo with the same words as the input
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several options, with its reason.

    Args:
        option: as it was given.
        because: a true sentence on how it was found.
        shares: what each option got of the whole evidence; they sum to 1.
    """

    option: Any
    because: str
    shares: dict[str, float]

    @property
    def confidence(self) -> float:
        """The share of the chosen option."""
        return self.shares.get(str(self.option), 0.0)


def choose(
    name: str, options: Sequence[Any], reading: Reading, path: tuple[str, ...], about: str = ""
) -> Choice:
    """Return the option that the demos and the instructions speak most for; the first when nothing does.

    Args:
        name: the field's name, for the reason.
        options: what may be chosen; compared by their texts.
        reading: the prompt.
        path: where in a demo's answer the right option stands.
        about: the field's description, read like an instruction.
    """
    text = current(reading)
    names = [str(option) for option in options]
    shown = [(said, str(value)) for said, value in learned(reading, path) if str(value) in set(names)]
    alike = _votes([said for said, _ in shown], [value for _, value in shown], text)
    told = _told(f"{reading.prompt.instructions}\n{about}", names, text)
    evidence = {option: alike.get(option, 0.0) + _TOLD_WEIGHT * told.get(option, 0.0) for option in names}
    whole = sum(evidence.values())
    best = max(range(len(names)), key=lambda i: (evidence[names[i]], -i))
    if whole < _LEAST:
        shares = {option: 1 / len(names) for option in evidence}
        return Choice(
            options[best], f"Nothing in the input speaks for one {spoken(name)}; took the first.", shares
        )
    shares = {option: round(value / whole, 4) for option, value in evidence.items()}
    return Choice(options[best], _because(names[best], shown, alike, told), shares)


def learned(reading: Reading, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return what the demos teach about a value: pairs of what was given and the value at `path`."""
    found = []
    for demo in reading.prompt.demos:
        value: Any = demo.answered
        for key in path:
            if isinstance(value, str) and value.lstrip().startswith("{"):
                value = _parsed(value)
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            found.append((_given(demo, reading), value))
    return found


def current(reading: Reading) -> str:
    """Return all that is given now, in the form in which demos are compared with it."""
    return _given(Turn(reading.prompt.inputs, {}), reading)[:_READ_CHARS]


def definitions(text: str, names: Sequence[str]) -> dict[str, Counter[str]]:
    """Return the words that an instruction puts beside each option.

    A line that names one option speaks of it as a whole; in others each option owns what follows it.
    """
    told: dict[str, Counter[str]] = {name: Counter() for name in names}
    by_form = {spoken(name): name for name in reversed(names) if spoken(name)}
    if not by_form:
        return told
    forms = "|".join(
        re.escape(form).replace(r"\ ", r"[\s_-]+") for form in sorted(by_form, key=len, reverse=True)
    )
    option = re.compile(rf"(?<![\w])(?:{forms})(?![\w])", re.IGNORECASE)
    for line in text.splitlines():
        marks = [
            (match, by_form.get(spoken(re.sub(r"[\s_-]+", " ", match[0])))) for match in option.finditer(line)
        ]
        owners = {owner for _, owner in marks if owner}
        for i, (match, owner) in enumerate(marks):
            if owner is None:
                continue
            end = marks[i + 1][0].start() if i + 1 < len(marks) else len(line)
            own = line if len(owners) == 1 else line[match.end() : end]
            told[owner].update(dict.fromkeys(stems(own), 1))
    return told


def _votes(texts: list[str], values: list[str], text: str) -> dict[str, float]:
    """Let each demo vote with the square of its likeness, so that near ones outweigh many far ones."""
    if not texts:
        return {}
    *shown, asked = vectors([*texts, text])
    votes: dict[str, float] = defaultdict(float)
    for vector, value in zip(shown, values, strict=True):
        votes[value] += cosine(vector, asked) ** 2
    return votes


def _told(instructions: str, names: Sequence[str], text: str) -> dict[str, float]:
    """Weigh the words that the input shares with each option's name and definition, 0 to 1."""
    told = definitions(instructions, names)
    for name in names:
        told[name].update(dict.fromkeys(stems(spoken(name)), 1))
    seen_in = Counter(word for words in told.values() for word in words)
    given = dict.fromkeys(stems(text))
    scores = {
        name: sum(log(1 + len(names) / seen_in[word]) - log(2) for word in given if word in words)
        for name, words in told.items()
    }
    most = max(max(scores.values(), default=0.0), 2.0)
    return {name: score / most for name, score in scores.items()}


def _because(
    option: str, shown: list[tuple[str, str]], alike: dict[str, float], told: dict[str, float]
) -> str:
    votes = sum(alike.values())
    if votes > _LEAST:
        share = round(100 * alike.get(option, 0.0) / votes)
        fits = ", and the instructions fit too" if told.get(option, 0.0) > 0 else ""
        return f"Of the likeness to {len(shown)} examples, {share} % is with {option}{fits}."
    return f"No example is alike; the words that the prompt uses for {listed([option])} occur in the input."


def _given(turn: Turn, reading: Reading) -> str:
    asides = {name for name, role in reading.roles.items() if role == "aside"}
    return "\n".join(text for name, text in turn.given.items() if name not in asides)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
