"""Recommendations whose time is over: another one came, or another version answers than the one compared."""

from uuid import UUID

import sqlalchemy as sa

from contracts.recommendations import RecommendationStatus
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.queue.parking import wake_run
from database.queue.withdrawals import withdraw
from database.tables import ProgramVersionRow, RecommendationRow, core
from runtime.clock import utcnow

_RECOMMENDATIONS = core(RecommendationRow)
_VERSIONS = core(ProgramVersionRow)
_WAITING = _RECOMMENDATIONS.c.status.in_([RecommendationStatus.OPEN, RecommendationStatus.APPROVED])


async def supersede(
    session: WriteSession, by: Doer, program: str, reason: str, *, active_id: UUID | None = None
) -> None:
    """End what waits for a decision or a canary, take its questions back, and let its runs go on.

    Args:
        session: of the transaction.
        by: who brought it about, and in whose space.
        program: whose recommendations.
        reason: for people.
        active_id: the version that answers now; what was compared with it goes on waiting. None ends all.
    """
    query = sa.select(_RECOMMENDATIONS.c.id, _RECOMMENDATIONS.c.run_id, _VERSIONS.c.version)
    query = query.join_from(_RECOMMENDATIONS, _VERSIONS, _VERSIONS.c.id == _RECOMMENDATIONS.c.candidate_id)
    query = query.where(_RECOMMENDATIONS.c.owner == by.owner, _RECOMMENDATIONS.c.program == program, _WAITING)
    if active_id is not None:
        query = query.where(_RECOMMENDATIONS.c.active_id != active_id)
    for row in (await session.execute(query.order_by(_RECOMMENDATIONS.c.id))).all():
        # First the run's lock, then the question's: as a decision takes them.
        await wake_run(session, row.run_id)
        await withdraw(session, [row.run_id])
        this = sa.update(_RECOMMENDATIONS).where(_RECOMMENDATIONS.c.id == row.id)
        change = {"status": RecommendationStatus.SUPERSEDED, "reason": reason}
        await session.execute(this.values(**change, decided_by=by.actor, decided_at=utcnow()))
        detail = {"program": program, "version": row.version, "reason": reason}
        action = f"recommendation.{RecommendationStatus.SUPERSEDED}"
        await record(session, by, action, f"recommendation:{row.id}", **detail)


async def is_moot(session: ReadSession, recommendation_id: UUID) -> bool:
    """Whether nobody needs to be asked about a recommendation any more."""
    query = sa.select(_RECOMMENDATIONS.c.status).where(_RECOMMENDATIONS.c.id == recommendation_id)
    return bool((await session.execute(query)).scalar_one() != RecommendationStatus.OPEN)
