"""The audit counts requests against the tries that the ledger names, and excuses nothing else."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.audit import Ledger, paid_again
from tests.fixtures.model_server import ModelServer, print_of

MARK = "mark-0123456789ab"
PROMPT = f"Repeat {MARK}"
REQUEST = json.dumps({"messages": [{"role": "user", "parts": [{"type": "text", "text": PROMPT}]}]})
DONE = {"status": "succeeded", "tries": 1, "lost": 0}
LOST = {"status": "succeeded", "tries": 2, "lost": 1}
FAILED = {"status": "succeeded", "tries": 2, "lost": 0}
STARTED = {"status": "started", "tries": 1, "lost": 0}


def found(rows: list[dict[str, Any]], requests: int, answers: int, **more: int) -> list[str]:
    """Return which promises are broken by a ledger and what the server counted of one question."""
    model = ModelServer()
    served = model.questions[print_of(MARK, PROMPT)]
    served.requests, served.answers = requests, answers
    served.faults, served.abandoned = more.get("faults", 0), more.get("abandoned", 0)
    stack: Any = SimpleNamespace(model=model, rows=lambda _sql: [])
    runs = [{"id": 1, "params": MARK}]
    calls = [
        {"run_id": 1, "step": "s#1", "fingerprint": "f", "n": 0, "request": REQUEST, **row} for row in rows
    ]
    return [name for name, _ in paid_again(stack, Ledger(stack, runs, calls))]


@pytest.mark.parametrize(
    ("rows", "served"),
    [
        ([DONE], {"requests": 1, "answers": 1}),
        ([LOST], {"requests": 2, "answers": 2}),
        ([LOST], {"requests": 1, "answers": 1}),
        ([FAILED], {"requests": 2, "answers": 1, "faults": 1}),
        ([FAILED], {"requests": 2, "answers": 1, "abandoned": 1}),
        ([STARTED], {"requests": 1, "answers": 1}),
        ([DONE, {**DONE, "n": 1}], {"requests": 2, "answers": 2}),
    ],
)
def test_what_the_ledger_names_may_have_been_asked(
    rows: list[dict[str, Any]], served: dict[str, int]
) -> None:
    assert found(rows, **served) == []


@pytest.mark.parametrize(
    ("rows", "served"),
    [
        ([DONE], {"requests": 2, "answers": 2}),
        ([LOST], {"requests": 3, "answers": 3}),
        # The failed try is the fault; it does not excuse a second answer.
        ([FAILED], {"requests": 3, "answers": 2, "faults": 1}),
        # Nor a second row of one call.
        ([DONE, DONE], {"requests": 2, "answers": 2}),
        # Nor a call that is in no ledger at all.
        ([], {"requests": 1, "answers": 1}),
    ],
)
def test_whatever_else_was_asked_waspaid_again(rows: list[dict[str, Any]], served: dict[str, int]) -> None:
    assert found(rows, **served) == ["paid again"]


def test_an_answer_that_nobody_served_is_a_wrong_ledger() -> None:
    assert found([DONE], requests=0, answers=0) == ["wrong ledger"]
