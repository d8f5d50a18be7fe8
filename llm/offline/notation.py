"""The notations in which field values stand in a message: marked, JSON, labelled lines, or plain."""

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

_HEADER = re.compile(r"^\[\[ ## (\w+) ## \]\]", re.MULTILINE)
_ANY_HEADER = re.compile(r"\[\[ ## \w+ ## \]\]")
# `str.splitlines`, which DSPy's parser uses, breaks lines at these too.
_RARE_BREAKS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


class Notation(Enum):
    """How a message holds several named values."""

    MARKED = "marked"  # ChatAdapter: [[ ## name ## ]] above each value
    JSON = "json"  # JSONAdapter: inputs marked, outputs one JSON object
    LABELLED = "labelled"  # TwoStepAdapter: name: value
    PLAIN = "plain"  # a person's own words


def read_inputs(notation: Notation, text: str, names: list[str]) -> dict[str, str]:
    """Return the values of a message by name, as they stand there.

    Names are looked for in their order, so that a marker inside a value that names anything else is text.
    """
    if notation is Notation.LABELLED:
        return _sections(text, names, re.compile(r"^(\w+): ?", re.MULTILINE))
    return _sections(text, names, _HEADER)


def read_outputs(notation: Notation, text: str, names: list[str]) -> dict[str, Any]:
    """Return the values of an answer by name: parsed when the notation is JSON, else texts."""
    if notation is Notation.JSON:
        try:
            read = json.loads(text)
        except ValueError:
            read = None
        if isinstance(read, dict):
            return {name: read[name] for name in names if name in read}
    if notation is Notation.LABELLED:
        return dict(_sections(text, names, re.compile(r"^(\w+): ?", re.MULTILINE)))
    return dict(_sections(text.rpartition("[[ ## completed ## ]]")[0] or text, names, _HEADER))


def write_outputs(notation: Notation, values: Mapping[str, Any], as_json: Iterable[str]) -> str:
    """Return an answer that holds these values, so that DSPy reads each back as it is.

    Args:
        notation: how the prompt asked for them.
        values: by field name, JSON-ready.
        as_json: the fields that the reader parses, whose texts must be quoted.
    """
    parsed = set(as_json)
    if notation is Notation.JSON:
        # JSONAdapter parses the texts of these once more: unquoted, `[a` would come out as a list.
        twice = {name for name, value in values.items() if name in parsed and isinstance(value, str)}
        texts = {name: json_text(value) if name in twice else value for name, value in values.items()}
        return json_text(texts, indent=2)
    if notation is Notation.PLAIN:
        return "\n\n".join(value if isinstance(value, str) else json_text(value) for value in values.values())
    texts = {name: json_text(value) if name in parsed else _bare(value) for name, value in values.items()}
    if notation is Notation.LABELLED:
        return "\n\n".join(f"{name}: {text}" for name, text in texts.items())
    marked = [f"[[ ## {name} ## ]]\n{text}" for name, text in texts.items()]
    return "\n\n".join([*marked, "[[ ## completed ## ]]\n"])


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON on lines that only JSON's own layout breaks."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _RARE_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _sections(text: str, names: list[str], header: re.Pattern[str]) -> dict[str, str]:
    found: list[tuple[str, int, int]] = []
    waiting = list(names)
    for match in header.finditer(text):
        if match[1] in waiting:
            found.append((match[1], match.start(), match.end()))
            waiting = waiting[waiting.index(match[1]) + 1 :]
    ends = [start for _, start, _ in found[1:]] + [len(text)] * bool(found)
    # Only the layout's own breaks go: offsets into a value must be those of the value that was given.
    return {
        name: text[start:end].removeprefix("\n").rstrip()
        for (name, _, start), end in zip(found, ends, strict=True)
    }


def _bare(value: Any) -> str:
    """Return a value as it stands below its marker; text that looks like a marker is set off."""
    if not isinstance(value, str):
        return json_text(value) if isinstance(value, dict | list | float) else str(value)
    if not _ANY_HEADER.search(value):
        return value
    return "\n".join(f"> {line}" if _ANY_HEADER.match(line.strip()) else line for line in value.splitlines())
