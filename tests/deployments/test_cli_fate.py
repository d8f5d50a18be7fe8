"""What `millrace optimize` says in the end about the version that it found."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from contracts.runs import Event, EventKind, Origin, Run, RunError, RunStatus, Waiting, WaitKind
from deployments.cli.fate import fate_of
from runtime.clock import utcnow
from runtime.ids import new_id

GATE, RECOMMENDATION = new_id(), new_id()
FOUND: dict[str, Any] = {
    "program": "support.sort",
    "version": 2,
    "base_version": 1,
    "gate_run_id": str(GATE),
    "recommendation_id": str(RECOMMENDATION),
}


class RecordedApi:
    """Answers as the API did: the gate's run, and what answers for the program."""

    def __init__(self, status: RunStatus, canary: int | None = None, **run: Any) -> None:
        self.ended = Run(
            id=GATE,
            pipeline="gate",
            status=status,
            origin=Origin.RUN,
            attempt=1,
            max_attempts=3,
            cost_usd=0,
            created_at=utcnow(),
            params={},
            **run,
        )
        self.canary = canary

    async def run(self, run_id: UUID) -> Run:
        assert run_id == GATE
        return self.ended

    async def events(self, run_id: UUID) -> AsyncIterator[Event]:
        for seq, status in enumerate((RunStatus.RUNNING, self.ended.status), 1):
            data = {"status": status, "attempt": 1}
            yield Event(run_id=run_id, seq=seq, kind=EventKind.STATE, data=data, at=utcnow())
        # The log of a run that waits for a person has no end yet.
        assert self.ended.status.terminal

    async def get(self, path: str) -> dict[str, Any]:
        if path.endswith("/versions/2"):
            return {"status": "candidate"}
        return {"canary": self.canary, "canary_percent": 10.0}


async def told(api: RecordedApi, **changes: Any) -> str:
    return "\n".join(await fate_of(api, {**FOUND, **changes}))


async def test_a_candidate_that_became_a_canary_is_said_to_answer():
    result = {"outcome": "applied", "reason": "Low risk.", "recommendation_id": str(RECOMMENDATION)}
    said = await told(RecordedApi(RunStatus.SUCCEEDED, canary=2, result=result))
    assert "Version 2 is the canary and answers 10 %: `millrace programs canary support.sort`" in said
    assert f"millrace recommendations show {RECOMMENDATION}" in said


async def test_a_candidate_that_waits_for_a_person_names_the_command_that_decides():
    waiting = Waiting(kind=WaitKind.APPROVAL, reason="Use version 2?")
    said = await told(RecordedApi(RunStatus.WAITING, waiting=waiting))
    assert f"`millrace recommendations approve {RECOMMENDATION}`" in said


@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (
            RecordedApi(
                RunStatus.SUCCEEDED,
                result={"outcome": "refused", "reason": "It is no better.", "recommendation_id": None},
            ),
            "Version 2: refused. It is no better.",
        ),
        (
            RecordedApi(RunStatus.FAILED, error=RunError(code="cap_reached", message="Too dear.")),
            "The gate ended as failed: Too dear. (cap_reached); version 2 stays a candidate.",
        ),
        (
            RecordedApi(RunStatus.WAITING, waiting=Waiting(kind=WaitKind.BUDGET, reason="No money left")),
            "The gate waits: No money left",
        ),
    ],
)
async def test_whatever_the_gate_came_to_is_said(api: RecordedApi, expected: str):
    said = await told(api)
    assert expected in said
    assert "millrace programs diff support.sort 1 2" in said


async def test_without_a_gate_the_candidate_is_there_to_be_promoted():
    said = await told(RecordedApi(RunStatus.SUCCEEDED), gate_run_id=None)
    assert "Version 2 is stored as candidate. `millrace programs promote support.sort 2`" in said


async def test_nothing_better_is_said_in_one_line():
    assert await told(RecordedApi(RunStatus.SUCCEEDED), version=None) == "Nothing was better than version 1."
