"""Where answers come from, walked back: run, version, the run that made it, its examples, their feedback."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from contracts.examples import Feedback, Split
from contracts.lineage import (
    SHOWN_ANCESTORS,
    SHOWN_EXAMPLES,
    MakingRun,
    RunLineage,
    TracedExample,
    VersionLineage,
)
from contracts.programs import Version, VersionSummary
from database.engine import ReadSession, WriteSession
from database.learning.programs import version_by_id
from database.learning.recommendations import recommendations_of
from database.learning.serving import programs_of
from database.queue.runs import get_run
from database.tables import ExampleRow, FeedbackRow, RunRow, VersionExampleRow, core

_MADE_WITH = core(VersionExampleRow)
_EXAMPLES = core(ExampleRow)
_FEEDBACK = core(FeedbackRow)
_RUNS = core(RunRow)


async def made_with(session: WriteSession, version_id: UUID, example_ids: Sequence[UUID]) -> None:
    """Write which examples a version was made with; what was written for it before stays as it is."""
    mine = sa.select(_MADE_WITH.c.example_id).where(_MADE_WITH.c.version_id == version_id)
    if (await session.execute(mine.limit(1))).first() is not None:
        return
    splits = sa.select(_EXAMPLES.c.id, _EXAMPLES.c.split).where(_EXAMPLES.c.id.in_(example_ids))
    rows = [
        {"version_id": version_id, "example_id": row.id, "split": row.split}
        for row in await session.execute(splits)
    ]
    if rows:
        await session.execute(sa.insert(_MADE_WITH), rows)


async def lineage_of_run(session: ReadSession, owner: str, run_id: UUID) -> RunLineage:
    """Return the versions that a run answered with, each with its lineage.

    Raises:
        NotFound: `run_not_found`.
    """
    run = await get_run(session, owner, run_id)
    versions = [
        await lineage_of(session, owner, await version_by_id(session, owner, used.version_id))
        for used in await programs_of(session, owner, run_id)
    ]
    return RunLineage(run_id=run.id, pipeline=run.pipeline, started_by=run.started_by, versions=versions)


async def lineage_of(session: ReadSession, owner: str, version: Version) -> VersionLineage:
    """Return all that led to a version of the owner."""
    ancestors: list[VersionSummary] = []
    parent = version.parent_id
    while parent is not None and len(ancestors) < SHOWN_ANCESTORS:
        found = await version_by_id(session, owner, parent)
        ancestors.append(VersionSummary.model_validate(found.model_dump()))
        parent = found.parent_id
    counted = sa.select(_MADE_WITH.c.split, sa.func.count()).where(_MADE_WITH.c.version_id == version.id)
    counts = {Split(row[0]): row[1] for row in await session.execute(counted.group_by(_MADE_WITH.c.split))}
    return VersionLineage(
        version=VersionSummary.model_validate(version.model_dump()),
        ancestors=ancestors,
        made_by=await _making_run(session, owner, version.origin_run_id),
        examples={split: counts.get(split, 0) for split in Split},
        learned_from=await _examples(session, owner, version.id),
        recommendations=await recommendations_of(session, owner, version.id),
    )


async def _making_run(session: ReadSession, owner: str, run_id: UUID | None) -> MakingRun | None:
    if run_id is None:
        return None
    query = sa.select(*(_RUNS.c[name] for name in MakingRun.model_fields))
    row = (await session.execute(query.where(_RUNS.c.id == run_id, _RUNS.c.owner == owner))).one_or_none()
    return None if row is None else MakingRun.model_validate(row, from_attributes=True)


async def _examples(session: ReadSession, owner: str, version_id: UUID) -> list[TracedExample]:
    columns = [_EXAMPLES.c[name] for name in TracedExample.model_fields if name not in {"feedback", "split"}]
    query = (
        sa.select(*columns, _MADE_WITH.c.split, _EXAMPLES.c.feedback_id)
        .join_from(_MADE_WITH, _EXAMPLES, _EXAMPLES.c.id == _MADE_WITH.c.example_id)
        .where(_MADE_WITH.c.version_id == version_id, _EXAMPLES.c.owner == owner)
        .order_by(_EXAMPLES.c.feedback_id.is_(None), _EXAMPLES.c.id)
        .limit(SHOWN_EXAMPLES)
    )
    rows = (await session.execute(query)).all()
    told = sa.select(*(_FEEDBACK.c[name] for name in Feedback.model_fields)).where(
        _FEEDBACK.c.owner == owner, _FEEDBACK.c.id.in_([row.feedback_id for row in rows if row.feedback_id])
    )
    feedback = {
        row.id: Feedback.model_validate(row, from_attributes=True) for row in await session.execute(told)
    }
    return [
        TracedExample.model_validate({**row._mapping, "feedback": feedback.get(row.feedback_id)})  # noqa: SLF001
        for row in rows
    ]
