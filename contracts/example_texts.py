"""Examples as text and as data: read from JSONL and CSV, checked against a program, hashed into a split."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from contracts.examples import MAX_EXAMPLES_PER_IMPORT, ExampleImport, NewExample, Split
from contracts.programs import ProgramDetail
from runtime.errors import BadInput

# Of a hundred examples, 60 are learned from, 20 choose between candidates, 20 measure at the end.
_TRAIN, _VALIDATION = 0.6, 0.8
_TOLD = 20


def input_hash(inputs: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of inputs as canonical JSON."""
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def split_of(input_hash: str) -> Split:
    """Return the split of an example by the hash of its inputs: 60 % train, 20 % validation, 20 % test."""
    place = int(input_hash[:8], 16) / 16**8
    return Split.TRAIN if place < _TRAIN else Split.VALIDATION if place < _VALIDATION else Split.TEST


def read_examples(sent: ExampleImport, program: ProgramDetail) -> list[NewExample]:
    """Return the examples of an import, all of them checked.

    Raises:
        BadInput: `bad_examples`, naming each bad line (the first 20 of them).
    """
    problems: list[tuple[int, str]] = []
    found: list[NewExample] = []
    lines = _from_csv(sent.content, program) if sent.format == "csv" else _from_jsonl(sent.content)
    for number, read in lines:
        if isinstance(read, str):
            problems.append((number, read))
        elif problem := misfit(read, program):
            problems.append((number, problem))
        else:
            found.append(read)
    if not found and not problems:
        problems.append((1, "there is no example"))
    if len(found) > MAX_EXAMPLES_PER_IMPORT:
        problems.append(
            (MAX_EXAMPLES_PER_IMPORT, f"more than {MAX_EXAMPLES_PER_IMPORT} examples; send parts")
        )
    if problems:
        raise _bad(problems)
    return found


def checked_example(example: NewExample, program: ProgramDetail) -> NewExample:
    """Return an example that the program can learn from.

    Raises:
        BadInput: `bad_examples`.
    """
    if problem := misfit(example, program):
        raise BadInput(f"{program.name} cannot learn from this: {problem}.", "bad_examples")
    return example


def misfit(example: NewExample, program: ProgramDetail) -> str | None:
    """Return why a program cannot learn from an example, none when it can."""
    return _misfit_inputs(example, program) or _misfit_expected(example, program)


def _misfit_inputs(example: NewExample, program: ProgramDetail) -> str | None:
    needed = [name for name, needed in program.inputs.items() if needed]
    if missing := [name for name in needed if name not in example.inputs]:
        return f"the input {', '.join(missing)} is missing"
    if empty := [name for name in needed if _nothing(example.inputs[name])]:
        return f"the input {', '.join(empty)} is empty"
    if strange := sorted(set(example.inputs) - set(program.inputs)):
        return f"{program.name} has no input {', '.join(strange)}; it has {', '.join(program.inputs)}"
    return None


def _misfit_expected(example: NewExample, program: ProgramDetail) -> str | None:
    if strange := sorted(set(example.expected) - set(program.expects)):
        return f"{program.name} gives no {', '.join(strange)}; it gives {', '.join(program.expects)}"
    if not example.expected:
        return f"what is expected is missing: {', '.join(program.expects)}"
    for name, value in example.expected.items():
        allowed = _allowed(program, name)
        if _nothing(value) or (allowed and value not in allowed):
            told = f"one of {', '.join(map(str, allowed))}" if allowed else "a value"
            return f"{name} must be {told}, not {json.dumps(value, ensure_ascii=False)[:60]}"
    return None


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _allowed(program: ProgramDetail, name: str) -> list[Any]:
    for fields in program.signature.values():
        for field in fields:
            if field.name == name and field.side == "output" and isinstance(field.type, dict):
                return list(field.type.get("enum", []))
    return []


def _from_jsonl(content: str) -> Iterator[tuple[int, NewExample | str]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, NewExample.model_validate(json.loads(line, parse_constant=_refused))
        except ValidationError as error:
            told = (f"{'.'.join(map(str, each['loc'])) or 'line'}: {each['msg']}" for each in error.errors())
            yield number, "; ".join(told)
        except (ValueError, RecursionError):
            yield number, "is not JSON"


def _from_csv(content: str, program: ProgramDetail) -> Iterator[tuple[int, NewExample | str]]:
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = [name.strip().removeprefix("\ufeff") for name in next(rows, [])]
        known = {*program.inputs, *program.expects}
        if strange := [name for name in header if name not in known]:
            yield 1, f"the header names {', '.join(strange)}; {program.name} knows {', '.join(sorted(known))}"
            return
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                yield rows.line_num, f"has {len(row)} columns, the header {len(header)}"
                continue
            values = dict(zip(header, row, strict=True))
            yield (
                rows.line_num,
                NewExample(
                    inputs={name: value for name, value in values.items() if name in program.inputs},
                    expected={name: value for name, value in values.items() if name in program.expects},
                ),
            )
    except csv.Error as error:
        yield rows.line_num, f"is not CSV: {error}"


def _refused(name: str) -> Any:
    raise ValueError(name)


def _bad(problems: list[tuple[int, str]]) -> BadInput:
    more = f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
    told = "; ".join(f"line {number} {problem}" for number, problem in problems[:_TOLD])
    return BadInput(
        f"Nothing was stored: {told}{more}.",
        "bad_examples",
        None,
        {"errors": [{"field": f"line {number}", "message": problem} for number, problem in problems[:200]]},
    )
