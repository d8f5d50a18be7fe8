"""What people are asked by runs, and what they answer."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class Asking(StrEnum):
    """What kind of question it is."""

    APPROVAL = "approval"
    # A call to the world was cut off: did it happen?
    TOOL_CALL = "tool_call"


class Decision(StrEnum):
    """What a person says: the first two to an approval, the others to what became of a call."""

    APPROVE = "approve"
    REJECT = "reject"
    HAPPENED = "happened"
    REPEAT = "repeat"
    GIVE_UP = "give_up"


class ApprovalStatus(StrEnum):
    """`pending` until it is decided, its time is over, or its run asks no longer."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    HAPPENED = "happened"
    REPEAT = "repeat"
    GIVEN_UP = "given_up"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


CHOICES: dict[Asking, dict[Decision, ApprovalStatus]] = {
    Asking.APPROVAL: {
        Decision.APPROVE: ApprovalStatus.APPROVED,
        Decision.REJECT: ApprovalStatus.REJECTED,
    },
    Asking.TOOL_CALL: {
        Decision.HAPPENED: ApprovalStatus.HAPPENED,
        Decision.REPEAT: ApprovalStatus.REPEAT,
        Decision.GIVE_UP: ApprovalStatus.GIVEN_UP,
    },
}


class ApprovalSummary(BaseModel):
    """A question in a list: without what it is about, which can be large."""

    id: UUID
    run_id: UUID
    asking: Asking
    step: str = Field(description="Where in its run it was asked.")
    title: str = Field(description="The question, for people.")
    digest: str = Field(description="SHA-256 of the canonical JSON of `what`, in hex: a decision names it.")
    status: ApprovalStatus
    expires_at: datetime | None = Field(None, description="After this nobody may decide; none: never.")
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str | None = None
    created_at: datetime
    needs_scope: str | None = Field(None, description="Who approves needs this scope too.")


class Approval(ApprovalSummary):
    """A question of a run to a person, and its answer."""

    what: Any = Field(description="What exactly is asked about.")
    not_by: list[str] | None = Field(
        None, description="These persons may not approve it, because it is their own work (`four_eyes`)."
    )
    result: Any = Field(None, description="For `happened`: what the call gave.")
