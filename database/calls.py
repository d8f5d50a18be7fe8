"""The call ledger: what was asked, what came back, what it cost.

A call is found again under `(run, step, fingerprint, n)`. Reserving and committing are one statement each
on MariaDB (two and three on SQLite), because each stands in the way of a model call.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import Call, CallStatus
from database.engine import ReadSession, WriteSession
from database.errors import Fenced
from database.ledger import CALLS, RECORDED, RUNS, SAME_ENDING, UNANSWERED, ending, given, reservation
from database.statements import is_sqlite
from runtime.clock import utcnow
from runtime.ids import new_id

_CALL_COLUMNS = [CALLS.c[name] for name in Call.model_fields]


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """The answer of a finished call, as it was when it was paid."""

    response: dict[str, Any]
    deployment: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: float


async def reserve_call(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    *,
    step: str,
    n: int,
    fingerprint: str,
    kind: str,
    role: str,
    request: dict[str, Any],
) -> RecordedCall | None:
    """Return the recorded answer of a finished call (a replay), or write that it is now started.

    A call that is still `started` was in flight when its process or its step ended: it counts as lost,
    and this is a further try.

    Raises:
        Fenced: the attempt is over; make no call.
    """
    values = {
        "id": new_id(),
        "run_id": run_id,
        "attempt": attempt,
        "step": step,
        "fingerprint": fingerprint,
        "n": n,
        "kind": kind,
        "role": role,
        "status": CallStatus.STARTED,
        "request": request,
        "tries": 1,
        "replays": 0,
        "lost": 0,
        "started_at": utcnow(),
    }
    row = (await session.execute(reservation(sqlite_=is_sqlite(session)), given(values))).one_or_none()
    if row is None:
        raise Fenced(f"attempt {attempt} of run {run_id} is over")
    if row.status != CallStatus.SUCCEEDED:
        return None
    return RecordedCall(**{name: getattr(row, name) for name in RECORDED})


async def commit_call(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    *,
    step: str,
    n: int,
    fingerprint: str,
    response: dict[str, Any],
    deployment: str,
    model: str,
    input_tokens: int | None,
    output_tokens: int | None,
    cost_usd: Decimal | None,
    latency_ms: float,
) -> None:
    """Write the answer of a started call, and add its cost to the run's. Saying it twice is saying it once.

    An attempt that has ended may still write what its last calls cost; one that lost its lease may not.

    Raises:
        Fenced: the attempt is over.
    """
    values = {
        "new_status": CallStatus.SUCCEEDED,
        "new_response": response,
        "new_deployment": deployment,
        "new_model": model,
        "new_input_tokens": input_tokens,
        "new_output_tokens": output_tokens,
        "new_cost_usd": cost_usd,
        "new_latency_ms": latency_ms,
        "paid": cost_usd or Decimal(0),
    }
    key = {"run_id": run_id, "attempt": attempt, "step": step, "n": n, "fingerprint": fingerprint}
    await _finish(session, {**UNANSWERED, **values, **given(key)})


async def fail_call(
    session: WriteSession,
    run_id: UUID,
    attempt: int,
    *,
    step: str,
    n: int,
    fingerprint: str,
    error: dict[str, Any],
    latency_ms: float,
) -> None:
    """Write that a started call ended without an answer; `error` is a `RunError` as JSON.

    Raises:
        Fenced: the attempt is over.
    """
    values = {"new_status": CallStatus.FAILED, "new_error": error, "new_latency_ms": latency_ms}
    key = {"run_id": run_id, "attempt": attempt, "step": step, "n": n, "fingerprint": fingerprint}
    await _finish(session, {**UNANSWERED, **values, **given(key)})


async def list_calls(session: ReadSession, owner: str, run_id: UUID) -> list[Call]:
    """Return the calls of the owner's run in the order of their start; none when it is not the owner's."""
    query = (
        sa.select(*_CALL_COLUMNS)
        .join(RUNS, RUNS.c.id == CALLS.c.run_id)
        .where(CALLS.c.run_id == run_id, RUNS.c.owner == owner)
        .order_by(CALLS.c.started_at, CALLS.c.id)
    )
    return [Call.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def spent(session: ReadSession, run_id: UUID) -> Decimal:
    """Return what the run's calls have cost by the ledger alone, in US dollars."""
    query = sa.select(
        sa.func.coalesce(sa.func.sum(CALLS.c.cost_usd), sa.literal(Decimal(0), CALLS.c.cost_usd.type))
    )
    total: Decimal = (await session.execute(query.where(CALLS.c.run_id == run_id))).scalar_one()
    return total


async def _finish(session: WriteSession, values: dict[str, Any]) -> None:
    values = {**values, "new_finished_at": utcnow()}
    changed = 0
    for statement in ending(sqlite_=is_sqlite(session)):
        result = await session.execute(statement, values)
        changed = cast("sa.CursorResult[*tuple[Any, ...]]", result).rowcount
        if not changed:
            break
    if not changed and (await session.execute(SAME_ENDING, values)).first() is None:
        raise Fenced(f"attempt {values['given_attempt']} of run {values['given_run_id']} is over")
