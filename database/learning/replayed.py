"""What each lane of a comparison made of recorded runs, page by page."""

from itertools import groupby
from uuid import UUID

import sqlalchemy as sa

from contracts.gate import LaneAnswer, ReplayedCase
from database.engine import ReadSession
from database.learning.recommendations import get_recommendation
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.tables import ReplayedAnswerRow, core

_ANSWERS = core(ReplayedAnswerRow)
LANES = 3


async def list_replayed(
    session: ReadSession,
    owner: str,
    recommendation_id: UUID,
    *,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ReplayedCase]:
    """Return the recorded runs of a recommendation's comparison in their lanes, the newest first.

    Raises:
        NotFound: `recommendation_not_found`.
        BadInput: `bad_cursor`.
    """
    made = await get_recommendation(session, owner, recommendation_id)
    limit = min(limit, MAX_PAGE)
    query = sa.select(_ANSWERS).where(_ANSWERS.c.run_id == made.run_id)
    if cursor is not None:
        query = query.where(_ANSWERS.c.recorded_run_id < cursor_id(cursor))
    # Each run has one row a lane: they are written together.
    query = query.order_by(_ANSWERS.c.recorded_run_id.desc()).limit((limit + 1) * LANES)
    rows = (await session.execute(query)).all()
    items = [
        ReplayedCase(
            run_id=run_id,
            **{row.lane: LaneAnswer.model_validate(row, from_attributes=True) for row in lanes},
        )
        for run_id, lanes in groupby(rows, key=lambda row: row.recorded_run_id)
    ]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].run_id)) if len(items) > limit else None)
