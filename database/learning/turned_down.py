"""What was tried before and came to nothing: optimizers find the same again when nothing has changed."""

import sqlalchemy as sa

from contracts.programs import ChangeAction, Version
from contracts.recommendations import RecommendationStatus
from database.engine import ReadSession
from database.learning.recommendations import OURSELVES
from database.statements import AnyRow
from database.tables import ProgramChangeRow, ProgramVersionRow, RecommendationRow, core

_CHANGES = core(ProgramChangeRow)
_RECOMMENDATIONS = core(RecommendationRow)
_VERSIONS = core(ProgramVersionRow)
_BACK = (ChangeAction.END_CANARY, ChangeAction.ROLLBACK)
_BY_HAND = "Start the gate for it by hand to have the two compared again."


async def turned_down(session: ReadSession, owner: str, candidate: Version, active: Version) -> str | None:
    """Return why a candidate is not to be tried again beside the same active version; none when it is new.

    What the gate itself found not to be better is no reason: other examples may say otherwise.
    """
    program = sa.select(_VERSIONS.c.program_id).where(_VERSIONS.c.id == candidate.id).scalar_subquery()
    back = (
        sa.select(_CHANGES.c.at, _CHANGES.c.reason)
        .where(_CHANGES.c.program_id == program, _CHANGES.c.owner == owner, _CHANGES.c.action.in_(_BACK))
        .where(_CHANGES.c.from_id == candidate.id, _CHANGES.c.to_id == active.id)
        .order_by(_CHANGES.c.id.desc())
    )
    if row := (await session.execute(back.limit(1))).first():
        return _why(candidate, f"was rolled back to version {active.version}", row)
    refused = (
        sa.select(_RECOMMENDATIONS.c.decided_at.label("at"), _RECOMMENDATIONS.c.reason)
        .where(_RECOMMENDATIONS.c.owner == owner, _RECOMMENDATIONS.c.decided_by != OURSELVES)
        .where(_RECOMMENDATIONS.c.status == RecommendationStatus.REFUSED)
        .where(_RECOMMENDATIONS.c.candidate_id == candidate.id, _RECOMMENDATIONS.c.active_id == active.id)
        .order_by(_RECOMMENDATIONS.c.decided_at.desc())
    )
    if row := (await session.execute(refused.limit(1))).first():
        return _why(candidate, f"was refused in the place of version {active.version}", row)
    return None


def _why(candidate: Version, what: str, row: AnyRow) -> str:
    said = f": {row.reason.rstrip('.')}" if row.reason else ""
    return f"Version {candidate.version} {what} on {row.at:%Y-%m-%d}{said}. {_BY_HAND}"
