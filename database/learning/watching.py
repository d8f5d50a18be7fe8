"""What became of the runs that a canary and the active version answered, and the decision that follows."""

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa

from contracts.canaries import CanaryStatus, Decision, Look
from contracts.canary_judgement import Answer, Opinion
from contracts.program_states import signature_changes
from contracts.runs import CallStatus, RunStatus
from database.engine import ReadSession, WriteSession
from database.learning.canaries import Due, write_look
from database.learning.programs import get_program, lock_program, version_by_id
from database.learning.serving import OURSELVES, promote, rollback
from database.people.audit import Doer, record
from database.statements import AnyRow, AnySelect
from database.tables import CallRow, FeedbackRow, RunProgramRow, RunRow, core

# The first of each version count; by then the bounds have long been as narrow as anybody needs them.
MOST_RESULTS = 5_000
_RUNS = core(RunRow)
_PINS = core(RunProgramRow)
_CALLS = core(CallRow)
_FEEDBACK = core(FeedbackRow)
# Somebody's own decision to stop a run says nothing about its answer.
_ENDED = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.DEAD]


async def answers_of(session: ReadSession, due: Due) -> list[Answer]:
    """Return what became of the runs that both versions have answered since the canary began, by their ends.

    A run counts for the version that it is bound to (`run_programs`): nothing is written for it while it
    runs. Forks are left out, their calls were paid elsewhere; children count, they are answers too.
    """
    found: list[AnyRow] = []
    for version_id in (due.version_id, due.against_id):
        calls = [
            sa.func.sum(_CALLS.c.cost_usd).label("usd"),
            sa.func.sum(_CALLS.c.latency_ms).label("milliseconds"),
            sa.func.count(_CALLS.c.id).label("calls"),
            # A kept answer is as cheap and as quick for any version; an unknown price is no price.
            sa.func.sum(sa.case((_CALLS.c.cached, 1), else_=0)).label("kept"),
            sa.func.count(_CALLS.c.cost_usd).label("priced"),
        ]
        answered = (_CALLS.c.run_id == _RUNS.c.id) & (_CALLS.c.status == CallStatus.SUCCEEDED)
        query = (
            sa.select(_RUNS.c.id, _RUNS.c.chat_id, _RUNS.c.status, _RUNS.c.finished_at, *calls)
            .add_columns(sa.literal(version_id == due.version_id).label("canary"))
            .join_from(_PINS, _RUNS, _RUNS.c.id == _PINS.c.run_id)
            .outerjoin(_CALLS, answered)
            .where(*_counted(due, [version_id]), _RUNS.c.status.in_(_ENDED))
            .group_by(_RUNS.c.id, _RUNS.c.chat_id, _RUNS.c.status, _RUNS.c.finished_at)
            .order_by(_RUNS.c.finished_at, _RUNS.c.id)
            .limit(MOST_RESULTS)
        )
        found += (await session.execute(query)).all()
    found.sort(key=lambda row: (row.finished_at, row.id))
    return [_answer(row) for row in found]


async def opinions_of(session: ReadSession, due: Due) -> list[Opinion]:
    """Return what people think of those answers, in the order in which they said so; the last word on each.

    A correction without a score says that the answer was wrong.
    """
    query: AnySelect = (
        sa.select(_FEEDBACK.c.run_id, _FEEDBACK.c.score, _PINS.c.version_id, _RUNS.c.chat_id)
        .join_from(_PINS, _RUNS, _RUNS.c.id == _PINS.c.run_id)
        .join(_FEEDBACK, _FEEDBACK.c.run_id == _RUNS.c.id)
        .where(*_counted(due, [due.version_id, due.against_id]))
        .where(_FEEDBACK.c.score.is_not(None) | _FEEDBACK.c.correction.is_not(None))
        .where(_FEEDBACK.c.guest.is_(None))
        .order_by(_FEEDBACK.c.id)
        .limit(2 * MOST_RESULTS)
    )
    last: dict[UUID, AnyRow] = {}
    for row in await session.execute(query):
        last.pop(row.run_id, None)
        last[row.run_id] = row
    return [
        Opinion(
            canary=row.version_id == due.version_id,
            chat=row.chat_id or row.run_id,
            score=0.0 if row.score is None else row.score,
        )
        for row in last.values()
    ]


async def conclude(session: WriteSession, due: Due, look: Look) -> Look | None:
    """Write a look down and do what it says, unless the canary has ended meanwhile.

    Returns:
        The look, with what was done in the end; none when there was nothing to do any more.
    """
    await lock_program(session, due.program)
    version = await version_by_id(session, due.owner, due.version_id)
    if look.decision is Decision.PROMOTE:
        program = await get_program(session, due.owner, due.program)
        if changes := signature_changes(version.signature, program.signature):
            changed = f"It does not fit the code any more: {'; '.join(changes[:5])}."
            look = look.model_copy(update={"decision": Decision.ROLLBACK, "why": changed})
    if not await write_look(session, due.id, look):
        return None
    if look.decision is Decision.WAIT:
        return look
    told = {"by": OURSELVES, "reason": look.why}
    if look.decision is Decision.PROMOTE:
        await promote(session, due.owner, due.program, version.version, **told)
    else:
        await rollback(session, due.owner, due.program, **told)
    ended = CanaryStatus.PROMOTED if look.decision is Decision.PROMOTE else CanaryStatus.ROLLED_BACK
    seen = look.model_dump(mode="json", include={"answers", "active_answers", "opinions", "measures", "why"})
    doer = Doer(OURSELVES, due.owner)
    await record(session, doer, f"canary.{ended}", f"program:{due.program}", version=version.version, **seen)
    return look


def _counted(due: Due, versions: Iterable[UUID]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _PINS.c.program == due.program,
        _PINS.c.version_id.in_(list(versions)),
        _RUNS.c.owner == due.owner,
        # What began before could not have met the canary.
        _RUNS.c.started_at >= due.started_at,
        # It follows, and has an index: an active version may have answered for years.
        _RUNS.c.finished_at >= due.started_at,
        _RUNS.c.forked_from.is_(None),
    )


def _answer(row: AnyRow) -> Answer:
    known = row.calls > 0 and not row.kept
    return Answer(
        canary=bool(row.canary),
        chat=row.chat_id or row.id,
        failed=row.status != RunStatus.SUCCEEDED,
        usd=float(row.usd) if known and row.priced == row.calls else None,
        seconds=row.milliseconds / 1000 if known and row.milliseconds is not None else None,
    )
