"""Metrics without a model: how good what was given is, against what was expected."""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]
Metric = Callable[[Fields, Fields], float]

_WORD = re.compile(r"\w+")


def exact(expected: Fields, given: Fields) -> float:
    """Return 1 when every expected field is given exactly, apart from case and spaces in texts, else 0."""
    return float(all(_plain(value) == _plain(given.get(name)) for name, value in expected.items()))


def f1(expected: Fields, given: Fields) -> float:
    """Return the mean over the expected fields of the F1 of their words (as in SQuAD, Rajpurkar 2016)."""
    scores = [_word_f1(_text(value), _text(given.get(name))) for name, value in expected.items()]
    return sum(scores) / len(scores) if scores else 0.0


def _word_f1(expected: str, given: str) -> float:
    wanted, got = Counter(_WORD.findall(expected.lower())), Counter(_WORD.findall(given.lower()))
    common = (wanted & got).total()
    if not wanted or not got:
        return float(wanted == got)
    return 2 * common / (wanted.total() + got.total())


def _plain(value: Any) -> Any:
    return " ".join(value.lower().split()) if isinstance(value, str) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
