"""A request, read: what is asked for, in which notation, with which demos, history and inputs.

DSPy's adapters lay a prompt out in fixed words (dspy/adapters/{base,chat,json,two_step}_adapter.py, 3.4.1):
a system message with the fields, their types and the instructions, then demos as pairs of messages,
then the conversation so far, then the current inputs. Everything else is read as a plain conversation.
XMLAdapter's prompts are answered in the marked form, which its own fallback to JSON heals by a second call.
"""

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llm.offline.fields import Field, field_list, noted
from llm.offline.notation import Notation, read_inputs
from llm.offline.turns import Earlier, Spoken, Turn, conversation, spoken, structured, without_reminder

if TYPE_CHECKING:
    from dspy.lm15 import Request

_FIELDS = ("Your input fields are:\n", "Your output fields are:\n")
_STRUCTURE = "All interactions will be structured in the following way"
_OBJECTIVE = "In adhering to this structure, your objective is:"
_JSON_OUTPUTS = "Outputs will be a JSON object with the following fields."
_JSON_REMINDER = "Respond with a JSON object in the following order of fields"
_TWO_STEP = ("As input, you will be provided with:\n", "Your outputs must contain:\n")
_TWO_STEP_END = "You should lay out your outputs in detail"
_INDENT = " " * 8
_PARSED_TEXT = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?` \(must be formatted as a valid Python str\)")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request, read. `demos` are examples to learn from; `history` was really said before."""

    notation: Notation
    instructions: str
    inputs: dict[str, str]
    outputs: list[Field]
    demos: list[Turn] = field(default_factory=list)
    history: list[Turn] = field(default_factory=list)


def read_prompt(request: "Request") -> Prompt:
    """Return what a request asks for. Never fails: what is not understood is read as plain text."""
    system, earlier, last = spoken(request)
    if system.startswith(_FIELDS[0]) and _FIELDS[1] in system:
        return _marked_or_json(system, earlier, last)
    if all(mark in system for mark in _TWO_STEP):
        return _two_step(system, earlier, last)
    return _plain(system, earlier, last, request.config.response_format or {})


def _marked_or_json(system: str, earlier: list[Spoken], last: str) -> Prompt:
    head, _, tail = system.partition(_STRUCTURE)
    structure, _, objective = tail.partition(_OBJECTIVE)
    given, _, outputs = head.removeprefix(_FIELDS[0]).partition(_FIELDS[1])
    last, reminder = without_reminder(last)[0], last[len(without_reminder(last)[0]) :]
    in_json = _JSON_OUTPUTS in structure or _JSON_REMINDER in reminder
    notes = _json_notes(structure) if in_json else _marked_notes(structure)
    parsed = set(_PARSED_TEXT.findall(reminder))
    asked = [noted(one, notes.get(one.name, ""), in_json=in_json) for one in field_list(outputs)]
    asked = [replace(one, as_json=one.name in parsed) for one in asked]
    instructions = "\n".join(line.removeprefix(_INDENT) for line in objective.splitlines()).strip()
    notation = Notation.JSON if in_json else Notation.MARKED
    return _named(notation, instructions, field_list(given), asked, earlier, last)


def _two_step(system: str, earlier: list[Spoken], last: str) -> Prompt:
    given, _, tail = system.partition(_TWO_STEP[0])[2].partition(_TWO_STEP[1])
    outputs, _, rest = tail.partition(_TWO_STEP_END)
    instructions = rest.partition("Specific instructions: ")[2].strip()
    return _named(Notation.LABELLED, instructions, field_list(given), field_list(outputs), earlier, last)


def _named(
    notation: Notation,
    instructions: str,
    given: list[Field],
    outputs: list[Field],
    earlier: list[Spoken],
    last: str,
) -> Prompt:
    names = [one.name for one in given]
    before: Earlier = structured(earlier, notation, names, [one.name for one in outputs])
    inputs = read_inputs(notation, last, names)
    return Prompt(notation, instructions, inputs, outputs, before.demos, before.history)


def _plain(system: str, earlier: list[Spoken], last: str, wanted: dict[str, Any]) -> Prompt:
    schema = wanted.get("schema") or {}
    properties = schema.get("properties") if isinstance(schema, dict) else None
    outputs = [Field("answer")]
    if isinstance(properties, dict):
        defs = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        parts = {name: part for name, part in properties.items() if isinstance(part, dict)}
        outputs = [
            Field(name, part | defs, str(part.get("description", "")), type_name="")
            for name, part in parts.items()
        ]
    notation = Notation.JSON if wanted else Notation.PLAIN
    return Prompt(notation, system.strip(), {"message": last}, outputs, history=conversation(earlier))


def _json_notes(structure: str) -> dict[str, str]:
    start = structure.find("{", structure.find(_JSON_OUTPUTS))
    try:
        read = json.JSONDecoder().raw_decode(structure, max(start, 0))[0]
    except ValueError:
        return {}
    return {name: _note(text) for name, text in read.items() if isinstance(text, str)}


def _marked_notes(structure: str) -> dict[str, str]:
    parts = re.split(r"^\[\[ ## (\w+) ## \]\]$", structure, flags=re.MULTILINE)
    return {name: _note(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _note(text: str) -> str:
    return text.partition("# note: the value you produce ")[2].strip()
