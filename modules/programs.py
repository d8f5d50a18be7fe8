"""All programs by name: what the registry versions, what optimizers improve, what flows build."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

import dspy
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from contracts.program_states import checked_state, fingerprint_of
from contracts.programs import FieldShape, ProgramKind, Signature, State
from modules.analysis import FindInPart, MergeNotes, WriteReport
from modules.chat import CarefulChat, DirectChat, Utterance, history_of
from modules.program import Program
from modules.support import SortMessage
from runtime.errors import BadInput, NotFound


@dataclass(frozen=True, slots=True)
class Kind:
    """One program that can be built.

    Args:
        name: stable; versions are stored under it.
        role: which model it speaks to, as in `config/providers.yaml`.
        title: what it does, in a few words.
        build: makes a new one, without demos and with the instructions of its source.
        expects: the parts of its prediction that an example may tell.
        kind: what becomes of its answers; the gate weighs a change by it.
    """

    name: str
    role: str
    title: str
    build: Callable[[], Program]
    expects: tuple[str, ...]
    kind: ProgramKind = ProgramKind.WRITER

    def inputs(self) -> dict[str, bool]:
        """Return what the program takes, and whether it is needed."""
        asked = list(inspect.signature(self.build().think).parameters.values())
        return {one.name: one.default is inspect.Parameter.empty for one in asked}


PROGRAMS = {
    kind.name: kind
    for kind in (
        Kind(
            *("chat.direct", "chat", "Answer a message at once", DirectChat, ("answer",)),
            ProgramKind.CHAT,
        ),
        Kind(
            *("chat.careful", "chat", "Read, draft, check and revise an answer", CarefulChat, ("answer",)),
            ProgramKind.CHAT,
        ),
        Kind("analysis.find", "analyst", "Find what a part says about a question", FindInPart, ("findings",)),
        Kind("analysis.merge", "analyst", "Condense notes", MergeNotes, ("notes",)),
        Kind("analysis.report", "analyst", "Write the report", WriteReport, ("report",)),
        Kind(
            *("support.sort", "analyst", "Sort a support message", SortMessage, ("label",)),
            ProgramKind.CLASSIFIER,
        ),
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


def state_of(program: Program) -> State:
    """Return what optimization changed or may change, as JSON: instructions, field texts and demos.

    Models, traces and training data are no part of it: equal programs give equal states.
    """
    state = program.dump_state()
    for predictor in state.values():
        for noise in ("lm", "traces", "train"):
            predictor.pop(noise, None)
    plain: State = json.loads(json.dumps(state, default=as_json))
    return plain


def signature_of(program: Program) -> Signature:
    """Return what a saved state must fit, by predictor: fields, types and meanings."""
    return {name: _shape(predictor.signature) for name, predictor in program.named_predictors()}


def signature_fingerprint(program: Program) -> str:
    """Return the SHA-256, in hex, of a program's signature, see `contracts.program_states.fingerprint_of`."""
    return fingerprint_of(signature_of(program))


def with_state(program: Program, state: State) -> Program:
    """Load a state into a program that was just built, and return it.

    Raises:
        BadInput: `bad_program_state`; nothing that the program does not know is loaded.
    """
    # Values were held against their fields when the version was stored: here a run waits for it.
    checked = checked_state(state, signature_of(program), values=False)
    program.load_state(
        {name: {**one, "lm": None, "traces": [], "train": []} for name, one in checked.items()}
    )
    return program


def call_inputs(kind: Kind, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return an example's inputs as a program takes them: typed as in its `think`, a history as DSPy's.

    Raises:
        BadInput: `bad_examples`, an input is of another type.
    """
    types = _types(kind)
    return {name: _taken(kind.name, name, value, types.get(name)) for name, value in inputs.items()}


def answered(kind: Kind, prediction: dspy.Prediction) -> dict[str, Any]:
    """Return of a prediction what examples tell, as JSON."""
    plain: dict[str, Any] = json.loads(
        json.dumps({name: prediction[name] for name in kind.expects}, default=as_json)
    )
    return plain


@cache
def _types(kind: Kind) -> dict[str, Any]:
    """Return the types of what a program takes; a conversation is stored as what was said by whom."""
    types = get_type_hints(type(kind.build()).think)
    return {**types, "history": list[Utterance] | None} if "history" in types else types


def _taken(program: str, name: str, value: Any, annotation: Any) -> Any:
    if annotation is None or value is None:
        return value
    try:
        typed = _adapter(annotation).validate_python(value)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return value
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        why = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise BadInput(f"The input {name} is none that {program} takes: {why}.", "bad_examples") from None
    return history_of(typed) if name == "history" else typed


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def _shape(signature: type[dspy.Signature]) -> list[FieldShape]:
    inputs = [
        FieldShape(name=name, side="input", type=_type(field.annotation))
        for name, field in signature.input_fields.items()
    ]
    outputs = [
        FieldShape(
            name=name,
            side="output",
            type=_type(field.annotation),
            description=field.json_schema_extra["desc"],
        )
        for name, field in signature.output_fields.items()
    ]
    return inputs + outputs


def _type(annotation: Any) -> Any:
    """Return a type as JSON Schema, which tells more than its name: the fields of a model, their bounds."""
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        return repr(annotation)


def as_json(value: Any) -> Any:
    """Return what JSON does not know as it should stand there: the `default` of `json.dumps`."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
