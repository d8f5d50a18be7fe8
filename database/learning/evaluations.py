"""Evaluations of an owner: begun once, their results kept, read page by page."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from contracts.evaluation import Evaluation, EvaluationParams, EvaluationResult, ExampleResult
from contracts.examples import Split
from contracts.runs import CallStatus
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, cursor_id, decode_cursor, encode_cursor
from database.statements import insert_or_existing
from database.tables import CallRow, EvaluationResultRow, EvaluationRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound

_EVALUATIONS = core(EvaluationRow)
_RESULTS = core(EvaluationResultRow)
_CALLS = core(CallRow)
_COLUMNS = [_EVALUATIONS.c[name] for name in Evaluation.model_fields]
_RESULT_COLUMNS = [_RESULTS.c[name] for name in ExampleResult.model_fields]


async def begin_evaluation(
    session: WriteSession,
    owner: str,
    *,
    evaluation_id: UUID,
    run_id: UUID,
    params: EvaluationParams,
    versions: Sequence[UUID],
) -> None:
    """Write that an evaluation is under way; saying it twice is saying it once."""
    values = {
        "id": evaluation_id,
        "owner": owner,
        "run_id": run_id,
        "program": params.program,
        "version_id": versions[0],
        "against_id": versions[1] if len(versions) > 1 else None,
        "split": params.split,
        "metric": params.metric,
        "deployment": params.deployment or "",
        "created_at": utcnow(),
    }
    await insert_or_existing(session, _EVALUATIONS, values, [_EVALUATIONS.c.id])


async def keep_results(session: WriteSession, evaluation_id: UUID, results: Sequence[ExampleResult]) -> None:
    """Write the results of one version, in place of those that an earlier try wrote."""
    if not results:
        return
    mine = (_RESULTS.c.evaluation_id == evaluation_id, _RESULTS.c.version_id == results[0].version_id)
    await session.execute(sa.delete(_RESULTS).where(*mine))
    rows = [
        {
            **one.model_dump(),
            "evaluation_id": evaluation_id,
            "error": one.error.model_dump(mode="json") if one.error else None,
        }
        for one in results
    ]
    await session.execute(sa.insert(_RESULTS), rows)


async def end_evaluation(session: WriteSession, evaluation_id: UUID, result: EvaluationResult) -> None:
    """Write what came out."""
    change = sa.update(_EVALUATIONS).where(_EVALUATIONS.c.id == evaluation_id)
    await session.execute(change.values(result=result.model_dump(mode="json"), finished_at=utcnow()))


async def get_evaluation(session: ReadSession, owner: str, evaluation_id: UUID) -> Evaluation:
    """Return one evaluation of the owner.

    Raises:
        NotFound: `evaluation_not_found`.
    """
    query = sa.select(*_COLUMNS).where(_EVALUATIONS.c.id == evaluation_id, _EVALUATIONS.c.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.", "evaluation_not_found")
    return Evaluation.model_validate(row, from_attributes=True)


async def list_evaluations(
    session: ReadSession,
    owner: str,
    *,
    program: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Evaluation]:
    """Return the owner's evaluations, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    # Ids are derived from runs' and sort by nothing; runs' sort by time.
    query = sa.select(*_COLUMNS).where(_EVALUATIONS.c.owner == owner)
    if program is not None:
        query = query.where(_EVALUATIONS.c.program == program)
    if cursor is not None:
        query = query.where(_EVALUATIONS.c.run_id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_EVALUATIONS.c.run_id.desc()).limit(limit + 1))).all()
    items = [Evaluation.model_validate(row, from_attributes=True) for row in rows]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].run_id)) if len(items) > limit else None)


async def list_results(
    session: ReadSession,
    owner: str,
    evaluation_id: UUID,
    *,
    failed: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ExampleResult]:
    """Return an evaluation's results, the worst first; of failures only when asked.

    Raises:
        NotFound: `evaluation_not_found`.
        BadInput: `bad_cursor`.
    """
    await get_evaluation(session, owner, evaluation_id)
    limit = min(limit, MAX_PAGE)
    order = (_RESULTS.c.score, _RESULTS.c.example_id, _RESULTS.c.version_id)
    query = sa.select(*_RESULT_COLUMNS).where(_RESULTS.c.evaluation_id == evaluation_id)
    if failed:
        query = query.where(_RESULTS.c.error.is_not(None))
    if cursor is not None:
        query = query.where(sa.tuple_(*order) > sa.tuple_(*_place(cursor)))
    rows = (await session.execute(query.order_by(*order).limit(limit + 1))).all()
    items = [ExampleResult.model_validate(row, from_attributes=True) for row in rows]
    if len(items) <= limit:
        return Page(items, None)
    last = items[limit - 1]
    place = encode_cursor(repr(last.score), str(last.example_id), str(last.version_id))
    return Page(items[:limit], place)


async def results_of(
    session: ReadSession, evaluation_id: UUID, version_id: UUID
) -> dict[UUID, ExampleResult]:
    """Return what one version came to, by example."""
    query = sa.select(*_RESULT_COLUMNS).where(
        _RESULTS.c.evaluation_id == evaluation_id, _RESULTS.c.version_id == version_id
    )
    found = [ExampleResult.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    return {one.example_id: one for one in found}


async def compared_lately(
    session: ReadSession, owner: str, version_id: UUID, against_id: UUID, metric: str, since: datetime
) -> Evaluation | None:
    """Return the last finished comparison of two versions on the test split that began after a time."""
    query = (
        sa.select(*_COLUMNS)
        .where(_EVALUATIONS.c.owner == owner, _EVALUATIONS.c.version_id == version_id)
        .where(_EVALUATIONS.c.against_id == against_id, _EVALUATIONS.c.metric == metric)
        .where(_EVALUATIONS.c.split == Split.TEST, _EVALUATIONS.c.finished_at.is_not(None))
        # Each version at the model that it is for.
        .where(_EVALUATIONS.c.created_at >= since, _EVALUATIONS.c.deployment == "")
        .order_by(_EVALUATIONS.c.run_id.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Evaluation.model_validate(row, from_attributes=True)


async def step_costs(
    session: ReadSession, run_id: UUID, steps: Sequence[str] | None = None
) -> dict[str, tuple[Decimal | None, float]]:
    """Return what the finished calls of each step of a run did cost, and their time in milliseconds."""
    query = (
        sa.select(
            _CALLS.c.step,
            sa.func.sum(_CALLS.c.cost_usd, type_=_CALLS.c.cost_usd.type),
            sa.func.sum(_CALLS.c.latency_ms),
        )
        .where(_CALLS.c.run_id == run_id, _CALLS.c.status == CallStatus.SUCCEEDED)
        .group_by(_CALLS.c.step)
    )
    if steps is not None:
        query = query.where(_CALLS.c.step.in_(steps))
    return {step: (cost, float(latency or 0)) for step, cost, latency in await session.execute(query)}


async def taken_by(session: ReadSession, run_id: UUID, step: str) -> tuple[int, Decimal]:
    """Return how many calls a step of a run has made, and what they did cost in US dollars."""
    cost = sa.func.sum(_CALLS.c.cost_usd, type_=_CALLS.c.cost_usd.type)
    query = sa.select(sa.func.count(), cost).where(_CALLS.c.run_id == run_id, _CALLS.c.step == step)
    calls, usd = (await session.execute(query)).one()
    return calls, usd or Decimal(0)


def _place(cursor: str) -> tuple[float, UUID, UUID]:
    score, example, version = decode_cursor(cursor, parts=3)
    try:
        return float(score), UUID(example), UUID(version)
    except ValueError:
        raise bad_cursor() from None
