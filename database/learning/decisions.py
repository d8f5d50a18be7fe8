"""A person's decision about a recommendation: the same one that answers the question of the gate's run."""

from uuid import UUID

import sqlalchemy as sa

from contracts.approvals import ApprovalStatus, Decision
from contracts.recommendations import Recommendation, RecommendationStatus
from database.engine import ReadSession, WriteSession
from database.learning.recommendations import get_recommendation, set_status
from database.queue.approvals import Decider, decide
from database.tables import ApprovalRow, core
from runtime.errors import Conflict

_APPROVALS = core(ApprovalRow)
BECOMES = {
    Decision.APPROVE: RecommendationStatus.APPROVED,
    Decision.REJECT: RecommendationStatus.REFUSED,
}


async def decide_recommendation(
    session: WriteSession,
    by: Decider,
    recommendation_id: UUID,
    decision: Decision,
    digest: str,
    reason: str,
) -> Recommendation:
    """Approve or reject a recommendation, once; the gate's run goes on at once and starts what is approved.

    Args:
        session: of the transaction.
        by: who decides, in the space of their `doer`.
        recommendation_id: about which one.
        decision: `approve` or `reject`.
        digest: of what the decider has seen.
        reason: why, for people.

    Raises:
        NotFound: `recommendation_not_found`.
        Conflict: `not_open`; `not_asked_yet`, the gate is about to ask; or as of an approval.
        NotAllowed: `four_eyes` or `missing_scope`.
    """
    found = await get_recommendation(session, by.doer.owner, recommendation_id)
    if found.status is not RecommendationStatus.OPEN:
        raise Conflict(f"The recommendation waits for no decision: it is {found.status}.", "not_open")
    question = await _question(session, by.doer.owner, found.run_id)
    if question is None:
        raise Conflict("The gate has not asked yet; try again in a moment.", "not_asked_yet")
    await decide(*(session, by.doer.owner, question, decision, digest), by=by, comment=reason or None)
    return await set_status(session, by.doer, recommendation_id, BECOMES[decision], reason)


async def _question(session: ReadSession, owner: str, run_id: UUID) -> UUID | None:
    query = sa.select(_APPROVALS.c.id).where(
        _APPROVALS.c.owner == owner,
        _APPROVALS.c.run_id == run_id,
        _APPROVALS.c.status == ApprovalStatus.PENDING,
    )
    return (await session.execute(query)).scalar_one_or_none()
