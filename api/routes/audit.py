"""The audit log, for those who may read it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.people import AuditEntry, Scope
from database.people import audit

router = APIRouter(prefix="/audit", tags=["people"], route_class=StrictRoute)

Named = Annotated[str | None, Query(max_length=128)]


class AuditPage(BaseModel):
    """Some lines of the log."""

    items: list[AuditEntry]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"), dependencies=[needs(Scope.AUDIT_READ)])
async def list_audit(
    resources: ResourcesNow,
    actor: Named = None,
    action: Named = None,
    target: Named = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """List who did what to what, newest first."""
    async with resources.database.read() as session:
        page = await audit.list_entries(
            session, actor=actor, action=action, target=target, limit=limit, cursor=cursor
        )
    return AuditPage(items=page.items, next_cursor=page.next_cursor)
