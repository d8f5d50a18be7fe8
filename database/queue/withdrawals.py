"""Questions that nobody needs to answer any more."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from contracts.approvals import ApprovalStatus
from database.engine import WriteSession
from database.tables import ApprovalRow, core

_APPROVALS = core(ApprovalRow)


async def withdraw(session: WriteSession, run_ids: Sequence[UUID]) -> None:
    """Take back what ended runs have asked."""
    pending = (_APPROVALS.c.run_id.in_(run_ids), _APPROVALS.c.status == ApprovalStatus.PENDING)
    await session.execute(sa.update(_APPROVALS).where(*pending).values(status=ApprovalStatus.WITHDRAWN))
