"""Which run meets which arm of an experiment, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from contracts.calls import TOOL_CALL
from contracts.experiment_results import Outcome
from contracts.experiments import Experiment, ExperimentStatus
from contracts.runs import CallStatus, RunStatus
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.statements import changed_rows, insert_or_existing
from database.tables import (
    CallRow,
    ExperimentRow,
    ExperimentRunRow,
    ExperimentSubjectRow,
    FeedbackRow,
    RunRow,
    core,
)
from runtime.clock import utcnow

# What is looked at is bounded: the bounds cost work in proportion.
MOST_RUNS = 10_000
_EXPERIMENTS, _RUNS = core(ExperimentRow), core(RunRow)
_PINS, _SUBJECTS = core(ExperimentRunRow), core(ExperimentSubjectRow)
_CALLS, _FEEDBACK = core(CallRow), core(FeedbackRow)
_COLUMNS = [_EXPERIMENTS.c[name] for name in Experiment.model_fields]
_SUCCESSES = {RunStatus.SUCCEEDED: True, RunStatus.FAILED: False, RunStatus.DEAD: False}


@dataclass(frozen=True, slots=True)
class Pin:
    """A run's arm of one experiment."""

    experiment_id: UUID
    arm: str
    subject: str


async def running_experiments(session: ReadSession, owner: str) -> list[Experiment]:
    """Return the experiments that the owner's new runs take part in."""
    query = sa.select(*_COLUMNS).where(
        _EXPERIMENTS.c.owner == owner, _EXPERIMENTS.c.status == ExperimentStatus.RUNNING
    )
    rows = await session.execute(query.order_by(_EXPERIMENTS.c.id))
    return [Experiment.model_validate(row, from_attributes=True) for row in rows]


async def starter_of(session: ReadSession, run_id: UUID) -> str | None:
    """Return the person who started a run; none for schedules and the Prefect UI."""
    query = sa.select(_RUNS.c.started_by).where(_RUNS.c.id == run_id)
    found: str | None = (await session.execute(query)).scalar_one()
    return found


async def pin_arms(session: WriteSession, run_id: UUID, pins: Sequence[Pin]) -> dict[UUID, Pin]:
    """Bind a run to its arms, and return those that it is bound to: what was written first holds."""
    for pin in pins:
        values = {
            "run_id": run_id,
            "experiment_id": pin.experiment_id,
            "arm": pin.arm,
            "subject": pin.subject,
        }
        await insert_or_existing(session, _PINS, values, [_PINS.c.arm])
    return await arms_of(session, run_id)


async def arms_of(session: ReadSession, run_id: UUID) -> dict[UUID, Pin]:
    """Return the arms that a run is bound to, by experiment."""
    query = sa.select(_PINS.c.experiment_id, _PINS.c.arm, _PINS.c.subject).where(_PINS.c.run_id == run_id)
    return {row.experiment_id: Pin(*row) for row in await session.execute(query)}


async def experiments_by_id(session: ReadSession, owner: str, ids: Sequence[UUID]) -> list[Experiment]:
    """Return experiments of the owner, whatever became of them."""
    query = sa.select(*_COLUMNS).where(_EXPERIMENTS.c.owner == owner, _EXPERIMENTS.c.id.in_(ids))
    return [Experiment.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def copy_arms(session: WriteSession, source: UUID, fork: UUID) -> None:
    """Bind a fork to the arms of the run that it begins from; it counts in no experiment."""
    columns = [_PINS.c.experiment_id, _PINS.c.arm, _PINS.c.subject]
    rows = await session.execute(sa.select(*columns).where(_PINS.c.run_id == source))
    if copies := [{"run_id": fork, **row._mapping} for row in rows]:  # noqa: SLF001  its public name
        await session.execute(sa.insert(_PINS), copies)


async def meet(session: WriteSession, run_id: UUID, pin: Pin) -> None:
    """Write that a run asked its arm, and once for each subject that it met it."""
    at = utcnow()
    values = {"experiment_id": pin.experiment_id, "subject": pin.subject}
    await insert_or_existing(
        session, _SUBJECTS, {**values, "arm": pin.arm, "run_id": run_id, "at": at}, [_SUBJECTS.c.arm]
    )
    mine = (_PINS.c.run_id == run_id) & (_PINS.c.experiment_id == pin.experiment_id)
    await session.execute(sa.update(_PINS).where(mine, _PINS.c.met_at.is_(None)).values(met_at=at))


async def outcomes_of(session: ReadSession, experiment_id: UUID) -> tuple[list[Outcome], bool]:
    """Return what became of the first runs that met an arm, and whether there are more than are looked at."""
    met = (
        sa.select(_PINS.c.run_id, _PINS.c.arm, _PINS.c.subject)
        .where(_PINS.c.experiment_id == experiment_id, _PINS.c.met_at.is_not(None))
        .order_by(_PINS.c.run_id)
        .limit(MOST_RUNS + 1)
        .subquery()
    )
    paid = (
        sa.select(
            _CALLS.c.run_id,
            sa.func.sum(_CALLS.c.cost_usd, type_=_CALLS.c.cost_usd.type).label("cost"),
            sa.func.sum(_CALLS.c.latency_ms).label("latency"),
            sa.func.sum(sa.case((_CALLS.c.cost_usd.is_(None), 1), else_=0)).label("unpriced"),
            sa.func.max(sa.case((_CALLS.c.cached.is_(True), 1), else_=0)).label("kept"),
        )
        .where(_CALLS.c.run_id.in_(sa.select(met.c.run_id)), _CALLS.c.status == CallStatus.SUCCEEDED)
        .where(_CALLS.c.kind != TOOL_CALL)
        .group_by(_CALLS.c.run_id)
        .subquery()
    )
    query = (
        sa.select(
            met,
            _RUNS.c.status,
            _RUNS.c.finished_at,
            paid.c.cost,
            paid.c.latency,
            paid.c.unpriced,
            paid.c.kept,
        )
        .join_from(met, _RUNS, _RUNS.c.id == met.c.run_id)
        .outerjoin(paid, paid.c.run_id == met.c.run_id)
        .order_by(met.c.run_id)
    )
    rows = (await session.execute(query)).all()
    scores = sa.select(_FEEDBACK.c.run_id, _FEEDBACK.c.score, _FEEDBACK.c.created_at).where(
        _FEEDBACK.c.run_id.in_(sa.select(met.c.run_id)), _FEEDBACK.c.score.is_not(None)
    )
    scores = scores.where(_FEEDBACK.c.guest.is_(None))
    # The first opinion counts: one that is changed after somebody saw the result is no independent one.
    first = {row.run_id: row for row in await session.execute(scores.order_by(_FEEDBACK.c.id.desc()))}
    outcomes = []
    for row in rows[:MOST_RUNS]:
        said = first.get(row.run_id)
        # A run that failed early, or was answered by a kept answer, is cheap and quick for another reason.
        telling = row.status == RunStatus.SUCCEEDED and not row.kept
        outcomes.append(
            Outcome(
                subject=row.subject,
                arm=row.arm,
                ended_at=row.finished_at,
                succeeded=_SUCCESSES.get(RunStatus(row.status)),
                cost_usd=row.cost if telling else None,
                unpriced=int(row.unpriced or 0),
                latency_ms=float(row.latency) if telling and row.latency is not None else None,
                score=said.score if said else None,
                scored_at=said.created_at if said else None,
            )
        )
    return outcomes, len(rows) > MOST_RUNS


async def claim_look(session: WriteSession, every_seconds: float) -> list[tuple[str, Experiment]]:
    """Return, with their owners, the experiments that this worker looks at now, each once in this time."""
    due = _EXPERIMENTS.c.looked_at.is_(None) | (_EXPERIMENTS.c.looked_at < from_now(-every_seconds))
    mine = (_EXPERIMENTS.c.status == ExperimentStatus.RUNNING) & _EXPERIMENTS.c.auto_stop & due
    rows = (await session.execute(sa.select(*_COLUMNS, _EXPERIMENTS.c.owner).where(mine))).all()
    claimed = []
    for row in rows:
        claim = sa.update(_EXPERIMENTS).where(_EXPERIMENTS.c.id == row.id, due).values(looked_at=now())
        if await changed_rows(session, claim) == 1:
            claimed.append((str(row.owner), Experiment.model_validate(row, from_attributes=True)))
    return claimed
