"""What runs ask people, and the answers."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.approvals import Approval, ApprovalStatus, ApprovalSummary, Decision
from contracts.people import Scope
from database.queue import approvals

router = APIRouter(prefix="/approvals", tags=["approvals"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.APPROVALS_READ)]
DecidingCaller = Annotated[Caller, needs(Scope.APPROVALS_DECIDE)]

BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")
TOO_LATE = ("already_decided", "approval_expired", "approval_withdrawn", "digest_mismatch")


class NewDecision(BaseModel):
    """An answer to a question, bound to what the decider has seen."""

    model_config = ConfigDict(extra="forbid")

    decision: Decision = Field(
        description="`approve` or `reject`; about a call that was cut off `happened`, `repeat`, `give_up`.",
        examples=["approve"],
    )
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The approval's, as read.",
        examples=["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"],
    )
    comment: Annotated[str, StringConstraints(max_length=4000)] | None = Field(
        None, description="Why; people and the run see it."
    )
    result: Any = Field(None, description="With `happened`: what the call gave.")


class ApprovalPage(BaseModel):
    """Some of what the caller's runs ask."""

    items: list[ApprovalSummary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_approvals(
    caller: Reader,
    resources: ResourcesNow,
    status: ApprovalStatus | None = None,
    run_id: UUID | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ApprovalPage:
    """List what runs ask and asked, newest first; `status=pending` is what waits for a decision."""
    async with resources.database.read() as session:
        page = await approvals.list_approvals(
            session, caller.owner, limit=limit, cursor=cursor, status=status, run_id=run_id
        )
    return ApprovalPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{approval_id}", responses=errors("approval_not_found", "invalid_parameters"))
async def get_approval(approval_id: UUID, caller: Reader, resources: ResourcesNow) -> Approval:
    """Show a question with what it is about."""
    async with resources.database.read() as session:
        return await approvals.get_approval(session, caller.owner, approval_id)


@router.post(
    "/{approval_id}/decision",
    responses=errors("approval_not_found", *TOO_LATE, "four_eyes", "decision_not_offered", *BODY),
)
async def decide_approval(
    approval_id: UUID, caller: DecidingCaller, doer: DoerNow, resources: ResourcesNow, body: NewDecision
) -> Approval:
    """Answer a question, once; its run goes on at once."""
    return await resources.database.write(
        approvals.decide,
        caller.owner,
        approval_id,
        body.decision,
        body.digest,
        by=approvals.Decider(doer, caller.responsible, caller.scopes),
        comment=body.comment,
        result=body.result,
    )
