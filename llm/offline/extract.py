"""Values found in texts by their surroundings: labelled ones, numbers, dates, names, addresses."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from itertools import islice

from llm.offline.words import bag, spoken, stems

READ_CHARS = 200_000  # of a text searched for single values
# Not the parts of dates, times, versions and names.
_NUMBER = re.compile(r"(?<![\w.:/-])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w|[.:/-]\d)")
_MOST_NUMBERS = 500
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_AROUND = 60  # characters before and after a value that tell what it is
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?:[T ](?P<t>\d{2}:\d{2}(?::\d{2})?))?"),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m>{_MONTH}),?\s+(?P<y>\d{{4}})\b", re.IGNORECASE
    ),
    re.compile(rf"\b(?P<m>{_MONTH})\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>\d{{4}})\b", re.IGNORECASE),
    re.compile(r"\b(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})\b"),
)
_TIME = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\b")
_PATTERNS = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    "uri": re.compile(r"https?://[^\s<>\"')\]]{1,500}"),
    "uuid": re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
    "ipv4": re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
}
_NAME = re.compile(
    r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]+(?:\s+(?:[A-Z][\w'-]+|of|de|van|von)){0,3}\b|[A-Z][\w'-]+(?:\s[A-Z][\w'-]+)+"
)
_NAMED = bag(
    "name person author customer company city country place location product team who"
    " organisation organization"
)


def labelled(name: str, text: str) -> str | None:
    """Return what stands behind a field's name and a colon at the start of a line (`Invoice number: 12`)."""
    words = r"[\s_-]+".join(re.escape(word) for word in spoken(name).split())
    found = re.search(
        rf"(?im)^[ \t>*#\-]{{0,8}}{words}[ \t]*\**[ \t]*[:=][ \t]*\**[ \t]*(\S[^\n]*)", text[:READ_CHARS]
    )
    return found[1].strip() if found else None


def number_near(about: str, text: str, low: float | None, high: float | None) -> float | None:
    """Return the number within bounds whose surroundings speak most of `about`; the first among equals."""
    numbers = islice(_NUMBER.finditer(text[:READ_CHARS]), _MOST_NUMBERS)
    found = [(float(match[0].replace(",", "")), match.start(), match.end()) for match in numbers]
    fitting = [
        (value, start, end)
        for value, start, end in found
        if (low is None or value >= low) and (high is None or value <= high)
    ]
    if not fitting:
        return None
    return max(fitting, key=lambda one: _closeness(about, text, one[1], one[2]))[0]


def moment_near(about: str, text: str) -> datetime | None:
    """Return the date, with its time if it has one, whose surroundings speak most of `about`."""
    found = []
    for pattern in _DATES:
        for match in pattern.finditer(text[:READ_CHARS]):
            month = match["m"].lower()[:3]
            number = _MONTHS.index(month) + 1 if month in _MONTHS else int(match["m"])
            try:
                day = date(int(match["y"]), number, int(match["d"]))
            except ValueError:
                continue
            clock = match.groupdict().get("t") or "00:00"
            found.append((datetime.fromisoformat(f"{day.isoformat()}T{clock}"), match.start(), match.end()))
    found.sort(key=lambda one: one[1])
    return max(found, key=lambda one: _closeness(about, text, one[1], one[2]))[0] if found else None


def clock_in(text: str) -> str | None:
    """Return the first time of day in a text, as `hh:mm:ss`."""
    found = _TIME.search(text[:READ_CHARS])
    return f"{int(found[1]):02}:{found[2]}:{found[3] or '00'}" if found else None


def shaped(kind: str, text: str) -> str | None:
    """Return the first email, uri, uuid or ipv4 address in a text."""
    pattern = _PATTERNS.get(kind)
    found = pattern.search(text[:READ_CHARS]) if pattern else None
    return found[0] if found else None


def proper_name(text: str, without: Iterable[str] = ()) -> str | None:
    """Return the first name-like run of capitalised words that says something new beside the given stems."""
    known = set(without)
    for match in _NAME.finditer(text[:READ_CHARS]):
        words = stems(match[0])
        if words and not known.issuperset(words):
            return match[0]
    return None


def asks_for_name(name: str) -> bool:
    """Whether a field's name asks for a person, a place or the like."""
    return not _NAMED.isdisjoint(spoken(name).split())


def _closeness(about: str, text: str, start: int, end: int) -> float:
    """How much of `about` stands around a place, the nearer the better, and earlier places first."""
    wanted = set(stems(about))
    before = stems(_SENTENCE_END.split(text[max(0, start - _AROUND) : start])[-1])
    after = stems(_SENTENCE_END.split(text[end : end + _AROUND], maxsplit=1)[0])
    near = sum(1 / (1 + i) for i, word in enumerate(reversed(before)) if word in wanted)
    near += sum(0.8 / (1 + i) for i, word in enumerate(after) if word in wanted)
    return near - start * 1e-9
