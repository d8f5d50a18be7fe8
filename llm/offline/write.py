"""From a request to the text of its answer."""

import json
import re
from typing import TYPE_CHECKING, Any

from llm.offline import answer as answers
from llm.offline.classify import choose
from llm.offline.fields import Field
from llm.offline.filling import fill
from llm.offline.length import wished
from llm.offline.lessons import named_options
from llm.offline.notation import Notation, read_outputs, write_outputs
from llm.offline.prompt import Prompt, read_prompt
from llm.offline.propose import write as propose
from llm.offline.reading import Reading
from llm.offline.slots import Slot

if TYPE_CHECKING:
    from dspy.lm15 import Request

_SORTS = re.compile(r"\b(?:classif|categori|label)", re.IGNORECASE)
_TYPES = {"integer": int, "number": float, "array": list, "object": dict}
_VERBATIM = "extract the fields from the text verbatim"
_NEW_INSTRUCTION = "Provide the new instructions within ``` blocks"
_LONGEST_REASON = 900
_USUAL_SENTENCES = 3


def write(request: "Request") -> str:
    """Answer a request in the notation that it asks for.

    Deterministic: the same request gets the same text in every process. Takes time linear in the request.
    """
    prompt = read_prompt(request)
    reading = Reading(prompt)
    if prompt.notation is Notation.PLAIN:
        return _plain(prompt, reading)
    stated = _already_stated(prompt)
    values: dict[str, Any] = {}
    decides = [field for field in prompt.outputs if not _explains(field)] or prompt.outputs
    for field in decides:
        values[field.name] = stated[field.name] if field.name in stated else fill(field, reading)
    reason = " ".join(dict.fromkeys(reading.reasons))[:_LONGEST_REASON] or "There was nothing to decide."
    ordered = {field.name: values.get(field.name, reason) for field in prompt.outputs}
    if prompt.notation is Notation.MARKED:
        # A missing field is read as none; the word "None" would be read as a text.
        ordered = {name: value for name, value in ordered.items() if value is not None}
    parsed = [field.name for field in prompt.outputs if _is_parsed(field)]
    return write_outputs(prompt.notation, ordered, parsed)


def _plain(prompt: Prompt, reading: Reading) -> str:
    message = prompt.inputs["message"]
    if _NEW_INSTRUCTION in message:
        current, _, rest = message.partition("```\n")[2].partition("\n```")
        inputs = {"current_instruction": current, "examples": rest}
        asked = Reading(Prompt(Notation.PLAIN, "", inputs, []))
        return f"```\n{propose('new_instruction', asked).value}\n```"
    options = named_options(prompt.instructions) if _SORTS.search(prompt.instructions) else []
    if options:
        return str(choose("label", options, reading, ("answer",)).option)
    length = wished(reading, ("answer",), "", _USUAL_SENTENCES)
    return str(answers.reply(reading, ("answer",), length).value)


def _explains(field: Field) -> bool:
    """Whether a field is for the reasons of the others, so that it is written when they are known."""
    return "reason" in Slot(field.name, {}).kinds and field.schema == {"type": "string"}


def _is_parsed(field: Field) -> bool:
    """Whether DSPy parses a field's text as JSON before it looks at the type (adapters/utils.parse_value)."""
    schema = field.schema
    if not field.type_name:  # not a field of DSPy
        return False
    branches = schema.get("anyOf", ())
    if {"type": "null"} in branches and {"type": "string"} in branches:
        return False
    scalar = schema.get("type") in {"boolean", "integer", "number", "string"}
    simple = scalar and "format" not in schema and "pattern" not in schema
    return field.as_json or not (simple or "enum" in schema or "const" in schema)


def _already_stated(prompt: Prompt) -> dict[str, Any]:
    """Return values that stand in the input as `name: value`, when only copying them out is asked for."""
    if _VERBATIM not in " ".join(prompt.instructions.split()):
        return {}
    names = [field.name for field in prompt.outputs]
    found = read_outputs(Notation.LABELLED, prompt.inputs.get("text", ""), names)
    stated: dict[str, Any] = {}
    for field in prompt.outputs:
        text = str(found.get(field.name, ""))
        options = {str(option): option for option in field.schema.get("enum", ())}
        if not text:
            continue
        if field.schema == {"type": "string"}:
            stated[field.name] = text
        elif text in options:
            stated[field.name] = options[text]
        elif not options:
            try:
                value = json.loads(text)
            except ValueError:
                continue
            if type(value) is _TYPES.get(field.schema.get("type", "")):
                stated[field.name] = value
    return stated
