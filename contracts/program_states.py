"""States of programs: what one may hold, its print, and whether it fits the code.

A state is what optimization changes: by predictor, the instructions, the texts of the fields and the demos.
DSPy loads any attribute that it finds in a file; so nothing reaches it that this file has not checked.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from contracts.demo_values import misfit
from contracts.programs import FieldShape, ProgramFile, Signature, State
from runtime.errors import BadInput, Conflict

MAX_STATE_CHARS = 2_000_000
# What DSPy itself adds to the fields of a demo: whether an optimizer made it, true or false.
DEMO_MARKS = frozenset({"augmented"})


class _FieldText(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    prefix: str = Field(max_length=2_000)
    description: str = Field(max_length=20_000)


class _Texts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    instructions: str = Field(min_length=1, max_length=200_000)
    fields: list[_FieldText] = Field(max_length=100)


class _PredictorState(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    signature: _Texts
    demos: list[dict[str, Any]] = Field(max_length=1_000)


_STATE = TypeAdapter(dict[str, _PredictorState])
SIGNATURE = TypeAdapter(Signature)


def checked_state(state: Any, signature: Signature, *, values: bool = True) -> State:
    """Return a state as plain JSON in which nothing stands that the program does not know.

    Args:
        state: of a program.
        signature: what it must fit.
        values: whether the values in demos are held against their fields as well.

    Raises:
        BadInput: `bad_program_state`, naming each place and what is wrong there.
    """
    try:
        size = len(json.dumps(state, allow_nan=False))
        parsed = _STATE.validate_python(state)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise _bad(
            [f"{'.'.join(map(str, each['loc'])) or 'state'}: {each['msg']}" for each in found]
        ) from None
    except (TypeError, ValueError, RecursionError):
        raise _bad(["state: it is not plain JSON"]) from None
    problems = [f"state: {size} characters, at most {MAX_STATE_CHARS}"] if size > MAX_STATE_CHARS else []
    problems += [f"{name}: the program has no such predictor" for name in parsed if name not in signature]
    problems += [f"{name}: is missing" for name in signature if name not in parsed]
    for name, predictor in parsed.items():
        problems += _misfits(name, predictor, signature.get(name, []))
        problems += _misvalued(name, predictor, signature.get(name, [])) if values else []
    if problems:
        raise _bad(problems)
    return {name: predictor.model_dump() for name, predictor in parsed.items()}


def checked_file(file: ProgramFile) -> ProgramFile:
    """Return an exported version whose state is checked, see `checked_state`.

    Raises:
        BadInput: `bad_program_state`.
    """
    state = checked_state(file.state, file.signature)
    if file.content_hash not in {None, content_hash(state)}:
        raise _bad(["content_hash: the state was changed since; leave the hash out if that was meant"])
    return file.model_copy(update={"state": state})


def content_hash(state: State) -> str:
    """Return the SHA-256, in hex, of a state as canonical JSON: keys sorted, no spaces, UTF-8."""
    return hashlib.sha256(_canonical(state).encode()).hexdigest()


def fingerprint_of(signature: Signature) -> str:
    """Return the SHA-256, in hex, of what a saved state must fit: predictors, fields, types, meanings.

    A saved state holds the texts of its fields in order, without their names or types, and loads into any
    program; in another one than it was made for, the right texts come to stand at the wrong places.
    """
    return hashlib.sha256(_canonical(SIGNATURE.dump_python(signature, mode="json")).encode()).hexdigest()


def refuse_mismatch(program: str, made_for: Signature, now: Signature) -> None:
    """Do nothing when a state that was made for one signature fits another.

    Raises:
        Conflict: `signature_changed`, with what changed.
    """
    if changed := signature_changes(made_for, now):
        shown = "; ".join(changed[:5]) + (f"; and {len(changed) - 5} more" if len(changed) > 5 else "")  # noqa: PLR2004
        raise Conflict(
            f"This version of {program} was made for another signature: {shown}. Optimize the program again,"
            " or run the code that it was made for.",
            "signature_changed",
            None,
            {"changes": changed},
        )


def signature_changes(before: Signature, after: Signature) -> list[str]:
    """Return what differs between two signatures, in words; empty when a state of one fits the other."""
    changed = [f"the predictor `{name}` is gone" for name in before if name not in after]
    changed += [f"the predictor `{name}` is new" for name in after if name not in before]
    for name in before:
        if name in after:
            changed += _field_changes(name, before[name], after[name])
    return changed


def _field_changes(predictor: str, before: list[FieldShape], after: list[FieldShape]) -> list[str]:
    old, new = {field.name: field for field in before}, {field.name: field for field in after}
    changed = [f"{old[name].side} `{predictor}.{name}` is gone" for name in old if name not in new]
    changed += [f"{new[name].side} `{predictor}.{name}` is new" for name in new if name not in old]
    both = [(was, new[name]) for name, was in old.items() if name in new]
    for what, told in (("side", "side"), ("type", "type"), ("description", "meaning")):
        changed += [
            f"{now.side} `{predictor}.{now.name}` has another {told}"
            for was, now in both
            if getattr(was, what) != getattr(now, what)
        ]
    if not changed and list(old) != list(new):
        changed.append(f"the fields of `{predictor}` stand in another order")
    return changed


def _misfits(name: str, predictor: _PredictorState, fields: list[FieldShape]) -> list[str]:
    known = {field.name for field in fields}
    problems = []
    if fields and len(predictor.signature.fields) != len(fields):
        problems.append(
            f"{name}.signature.fields: {len(predictor.signature.fields)} texts for {len(fields)} fields"
        )
    for number, demo in enumerate(predictor.demos):
        if strange := sorted(set(demo) - known - DEMO_MARKS):
            problems.append(f"{name}.demos.{number}: the program has no field {', '.join(strange)}")
        if fields and not set(demo) & known:
            problems.append(f"{name}.demos.{number}: none of the program's fields is in it")
    return problems


def _misvalued(name: str, predictor: _PredictorState, fields: list[FieldShape]) -> list[str]:
    marks = DEMO_MARKS - {field.name for field in fields}
    problems = []
    for number, demo in enumerate(predictor.demos):
        at = f"{name}.demos.{number}"
        problems += [
            f"{at}.{mark}: must be true or false"
            for mark in sorted(marks & set(demo))
            if not isinstance(demo[mark], bool)
        ]
        found = (misfit(demo.get(field.name), field, f"{at}.{field.name}") for field in fields)
        problems += [problem for problem in found if problem]
    return problems


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _bad(problems: list[str]) -> BadInput:
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""  # noqa: PLR2004
    return BadInput(
        f"This is no state of the program: {'; '.join(problems[:5])}{more}.",
        "bad_program_state",
        None,
        {
            "errors": [
                {"field": one.partition(": ")[0], "message": one.partition(": ")[2]} for one in problems
            ]
        },
    )
