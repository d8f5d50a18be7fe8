"""All programs by name: what the registry versions, what optimizers improve, what flows build."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from modules.analysis import FindInPart, MergeNotes, WriteReport
from modules.chat import CarefulChat, DirectChat
from modules.program import Program
from runtime.errors import NotFound


@dataclass(frozen=True, slots=True)
class Kind:
    """One program that can be built.

    Args:
        name: stable; versions are stored under it.
        role: which model it speaks to, as in `config/providers.yaml`.
        title: what it does, in a few words.
        build: makes a new one, without demos and with the instructions of its source.
    """

    name: str
    role: str
    title: str
    build: Callable[[], Program]


PROGRAMS = {
    kind.name: kind
    for kind in (
        Kind("chat.direct", "chat", "Answer a message at once", DirectChat),
        Kind("chat.careful", "chat", "Read, draft, check and revise an answer", CarefulChat),
        Kind("analysis.find", "analyst", "Find what a part says about a question", FindInPart),
        Kind("analysis.merge", "analyst", "Condense notes", MergeNotes),
        Kind("analysis.report", "analyst", "Write the report", WriteReport),
    )
}


def build(name: str) -> Program:
    """Return a new program of this name.

    Raises:
        NotFound: `unknown_program`.
    """
    if name not in PROGRAMS:
        raise NotFound(
            f"There is no program {name!r}; there are {', '.join(PROGRAMS)}.",
            code="unknown_program",
            detail={"program": name},
        )
    return PROGRAMS[name].build()


def state_of(program: Program) -> dict[str, Any]:
    """Return what optimization changed or may change, as JSON: instructions, field texts and demos.

    Models, traces and training data are no part of it: equal programs give equal states.
    """
    state = program.dump_state()
    for predictor in state.values():
        for noise in ("lm", "traces", "train"):
            predictor.pop(noise, None)
    plain: dict[str, Any] = json.loads(json.dumps(state, default=_as_json))
    return plain


def signature_fingerprint(program: Program) -> str:
    """Return the SHA-256, in hex, of what a saved state must fit: predictors, fields, types, meanings.

    A saved state holds the texts of its fields in order, without their names or types, and loads into any
    program; in another one than it was made for, the right texts come to stand at the wrong places.
    """
    shape = {name: _shape(predictor.signature) for name, predictor in program.named_predictors()}
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def _shape(signature: type[dspy.Signature]) -> list[dict[str, Any]]:
    fields = [
        {"name": name, "side": "input", "type": _type(field.annotation)}
        for name, field in signature.input_fields.items()
    ]
    fields += [
        {
            "name": name,
            "side": "output",
            "type": _type(field.annotation),
            "description": field.json_schema_extra["desc"],
        }
        for name, field in signature.output_fields.items()
    ]
    return fields


def _type(annotation: Any) -> Any:
    """Return a type as JSON Schema, which tells more than its name: the fields of a model, their bounds."""
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        return repr(annotation)


def _as_json(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
