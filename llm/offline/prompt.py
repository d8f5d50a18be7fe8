"""A request, read: what is asked for, in which notation, with which demos, history and inputs.

DSPy's adapters lay a prompt out in fixed words (dspy/adapters/{base,chat,json,two_step}_adapter.py, 3.4.1):
a system message with the fields, their types and the instructions, then demos as pairs of messages,
then the conversation so far, then the current inputs. Everything else is read as a plain conversation.
"""

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm.offline.fields import Field, field_list, noted
from llm.offline.notation import Notation, read_inputs, read_outputs

if TYPE_CHECKING:
    from dspy.lm15 import Message, Request

_STRUCTURE = "All interactions will be structured in the following way"
_OBJECTIVE = "In adhering to this structure, your objective is:"
_JSON_OUTPUTS = "Outputs will be a JSON object with the following fields."
_TWO_STEP = ("As input, you will be provided with:\n", "Your outputs must contain:\n")
_TWO_STEP_END = "You should lay out your outputs in detail"
_REMINDERS = (
    "Respond with the corresponding output fields, starting with the field `[[",
    "Respond with a JSON object in the following order of fields: ",
)
_PARSED_TEXT = re.compile(r"`(?:\[\[ ## )?(\w+)(?: ## \]\])?` \(must be formatted as a valid Python str\)")
_PARTIAL = "This is an example of the task, though some input or output fields are not supplied."
_MISSING = (
    "Not supplied for this particular example.",
    "Not supplied for this conversation history message.",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange: what was given, and what was answered."""

    given: dict[str, str]
    answered: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request, read. `demos` are examples to learn from; `history` was really said before."""

    notation: Notation
    instructions: str
    inputs: dict[str, str]
    outputs: list[Field]
    descriptions: dict[str, str] = field(default_factory=dict)
    demos: list[Turn] = field(default_factory=list)
    history: list[Turn] = field(default_factory=list)


def read_prompt(request: "Request") -> Prompt:
    """Return what a request asks for. Never fails: what is not understood is read as plain text."""
    said = [("system", _system(request))] if request.system else []
    said += [(message.role, _text(message)) for message in request.messages]
    system = "\n".join(text for role, text in said if role in {"system", "developer"})
    turns = [(role, text) for role, text in said if role not in {"system", "developer"}]
    if system.startswith("Your input fields are:") and "Your output fields are:" in system:
        return _structured(system, turns)
    if all(mark in system for mark in _TWO_STEP):
        return _two_step(system, turns)
    return _plain(system, turns, request)


def _structured(system: str, turns: list[tuple[str, str]]) -> Prompt:
    head, _, tail = system.partition(_STRUCTURE)
    structure, _, objective = tail.partition(_OBJECTIVE)
    inputs_part, _, outputs_part = head.partition("Your output fields are:")
    given = field_list(inputs_part.partition("\n")[2])
    last = turns[-1][1] if turns else ""
    is_json = _JSON_OUTPUTS in structure or "Respond with a JSON object in the following order" in last
    notation = Notation.JSON if is_json else Notation.MARKED
    notes = _json_notes(structure) if is_json else _marked_notes(structure)
    parsed = set(_PARSED_TEXT.findall(last[-20_000:]))
    outputs = [noted(field, notes.get(field.name, ""), in_json=is_json) for field in field_list(outputs_part)]
    outputs = [Field(f.name, f.schema, f.description, f.type_name, as_json=f.name in parsed) for f in outputs]
    instructions = "\n".join(line.removeprefix(" " * 8) for line in objective.splitlines()).strip()
    return _with_turns(notation, instructions, given, outputs, turns)


def _two_step(system: str, turns: list[tuple[str, str]]) -> Prompt:
    inputs_part, _, tail = system.partition(_TWO_STEP[0])[2].partition(_TWO_STEP[1])
    outputs_part, _, rest = tail.partition(_TWO_STEP_END)
    instructions = rest.partition("Specific instructions: ")[2].strip()
    return _with_turns(
        Notation.LABELLED, instructions, field_list(inputs_part), field_list(outputs_part), turns
    )


def _with_turns(
    notation: Notation,
    instructions: str,
    given: list[Field],
    outputs: list[Field],
    turns: list[tuple[str, str]],
) -> Prompt:
    names, answers = [field.name for field in given], [field.name for field in outputs]
    last = next((i for i in reversed(range(len(turns))) if turns[i][0] == "user"), len(turns))
    inputs = read_inputs(notation, _without_reminder(turns[last][1])[0], names) if last < len(turns) else {}
    demos: list[Turn] = []
    history: list[Turn] = []
    for role, text in turns[:last]:
        if role == "assistant":
            earlier = (history or demos)[-1:]
            values = {k: v for k, v in read_outputs(notation, text, answers).items() if _supplied(v)}
            if earlier and not earlier[0].answered:
                earlier[0].answered.update(values)
            else:
                history.append(Turn({}, values))
            continue
        text, reminded = _without_reminder(text)
        known = read_inputs(notation, text.removeprefix(_PARTIAL).strip(), names)
        # Only what was really said before carries the reminder; tool results follow inside a conversation.
        (history if reminded or history or not known else demos).append(Turn(known or {"said": text}, {}))
    for turn in history:
        for name in [name for name, value in turn.answered.items() if value in (None, "None")]:
            del turn.answered[name]
    descriptions = {field.name: field.description for field in given}
    return Prompt(
        notation, instructions, inputs, outputs, descriptions, [d for d in demos if d.answered], history
    )


def _plain(system: str, turns: list[tuple[str, str]], request: "Request") -> Prompt:
    last = next((i for i in reversed(range(len(turns))) if turns[i][0] == "user"), len(turns))
    history: list[Turn] = []
    for role, text in turns[:last]:
        if role == "assistant" and history and not history[-1].answered:
            history[-1].answered["answer"] = text
        else:
            history.append(Turn({}, {"answer": text}) if role == "assistant" else Turn({"message": text}, {}))
    message = turns[last][1] if turns and last < len(turns) else ""
    asked = request.config.response_format or {}
    schema = asked.get("schema")
    outputs, notation = [Field("answer")], Notation.PLAIN
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        outputs = [
            Field(name, {**part, **defs}, str(part.get("description", "")))
            for name, part in schema["properties"].items()
            if isinstance(part, dict)
        ]
        notation = Notation.JSON
    elif asked:
        notation = Notation.JSON
    return Prompt(notation, system.strip(), {"message": message}, outputs, history=history)


def _without_reminder(text: str) -> tuple[str, bool]:
    """Return a message without the line on the form of the answer, and whether it ended with one."""
    at = max(text.rfind(reminder) for reminder in _REMINDERS)
    if at < 0 or "\n" in text[at:]:
        return text, False
    return text[:at].rstrip(), True


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


def _supplied(value: Any) -> bool:
    return not (isinstance(value, str) and value.strip() in _MISSING)


def _system(request: "Request") -> str:
    parts = request.system or ""
    return parts if isinstance(parts, str) else "\n".join(getattr(part, "text", "") or "" for part in parts)


def _text(message: "Message") -> str:
    """Return the text of a message; images and the like are not read."""
    texts = []
    for part in message.parts:
        inner = getattr(part, "content", None) or (part,)
        texts += [text for text in (getattr(item, "text", None) for item in inner) if text]
    return "\n".join(texts)
