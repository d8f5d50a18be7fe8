"""Earlier messages of a prompt: demos to learn from, and what was really said and done before."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm.offline.notation import Notation, read_inputs, read_outputs

if TYPE_CHECKING:
    from dspy.lm15 import Message, Request

RESULTS = "tool_call_results"
CALLS = "tool_calls"
_REMINDERS = (
    "Respond with the corresponding output fields, starting with the field `[[",
    "Respond with a JSON object in the following order of fields: ",
)
_PARTIAL = "This is an example of the task, though some input or output fields are not supplied."
_MISSING = (
    "Not supplied for this particular example.",
    "Not supplied for this conversation history message.",
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message: who speaks, the text, and the tool calls in it as JSON."""

    role: str
    text: str
    calls: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange: what was given, and what was answered."""

    given: dict[str, str]
    answered: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Earlier:
    """All earlier exchanges. `demos` are examples; `history` was really said before."""

    demos: list[Turn] = field(default_factory=list)
    history: list[Turn] = field(default_factory=list)


def spoken(request: "Request") -> tuple[str, list[Spoken], str]:
    """Return a request's instructions, its earlier messages, and the last message of the user."""
    system = request.system or ""
    instructions = [system] if isinstance(system, str) else [getattr(part, "text", "") for part in system]
    instructions += [_text(message) for message in request.messages if message.role == "developer"]
    said = [Spoken(m.role, _text(m), _calls(m)) for m in request.messages if m.role != "developer"]
    last = next((i for i in reversed(range(len(said))) if said[i].role == "user"), len(said))
    return "\n".join(filter(None, instructions)), said[:last], said[last].text if last < len(said) else ""


def structured(said: list[Spoken], notation: Notation, given: list[str], answered: list[str]) -> Earlier:
    """Tell demos from history among messages that hold named fields.

    Only what was really said before ends with the reminder of the form; what tools returned follows inside
    of a conversation.
    """
    earlier = Earlier()
    for one in said:
        if one.role == "assistant":
            values = {k: v for k, v in read_outputs(notation, one.text, answered).items() if _supplied(v)}
            _answer(earlier, {**values, **({CALLS: one.calls} if one.calls else {})})
            continue
        if one.role == "tool":
            earlier.history.append(Turn({RESULTS: one.text}, {}))
            continue
        text, reminded = without_reminder(one.text)
        names = [*given, RESULTS]
        known = read_inputs(notation, text.removeprefix(_PARTIAL).strip(), names) or {"said": text}
        is_history = reminded or earlier.history or not set(given) & set(known)
        (earlier.history if is_history else earlier.demos).append(Turn(known, {}))
    for turn in earlier.history:
        for name in [name for name, value in turn.answered.items() if value in (None, "None")]:
            del turn.answered[name]
    return Earlier([demo for demo in earlier.demos if demo.answered], earlier.history)


def conversation(said: list[Spoken]) -> list[Turn]:
    """Return the exchanges of a plain conversation."""
    earlier = Earlier()
    for one in said:
        if one.role == "assistant":
            _answer(earlier, {"answer": one.text})
        else:
            earlier.history.append(Turn({RESULTS if one.role == "tool" else "message": one.text}, {}))
    return earlier.history


def without_reminder(text: str) -> tuple[str, bool]:
    """Return a message without the line on the form of the answer, and whether it ended with one."""
    at = max(text.rfind(reminder) for reminder in _REMINDERS)
    if at < 0 or "\n" in text[at:]:
        return text, False
    return text[:at].rstrip(), True


def _answer(earlier: Earlier, values: dict[str, Any]) -> None:
    """Give values to the last exchange; an answer that nothing was asked for is an exchange of its own."""
    last = (earlier.history or earlier.demos)[-1:]
    if last and not last[0].answered:
        last[0].answered.update(values)
    else:
        earlier.history.append(Turn({}, values))


def _supplied(value: Any) -> bool:
    return not (isinstance(value, str) and value.strip() in _MISSING)


def _text(message: "Message") -> str:
    """Return the text of a message; images and the like are not read."""
    texts = []
    for part in message.parts:
        inner = getattr(part, "content", None) or (part,)
        texts += [text for text in (getattr(item, "text", None) for item in inner) if text]
    return "\n".join(texts)


def _calls(message: "Message") -> str:
    calls = [{"name": part.name, "args": part.input} for part in message.parts if part.type == "tool_call"]
    return json.dumps({CALLS: calls}) if calls else ""
