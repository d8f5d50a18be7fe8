"""What people think of answers."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.examples import Feedback, NewFeedback
from contracts.people import Scope
from database.learning import feedback
from runtime.personal import mask_named

router = APIRouter(tags=["feedback"], route_class=StrictRoute)

Chatter = Annotated[Caller, needs(Scope.CHATS_WRITE)]
Runner = Annotated[Caller, needs(Scope.RUNS_WRITE)]
Reader = Annotated[Caller, needs(Scope.PROGRAMS_READ)]
REFUSED = (
    *("unknown_program", "empty_feedback", "bad_examples", "malformed_json", "too_large"),
    *("unsupported_media_type", "invalid_parameters"),
)


class FeedbackPage(BaseModel):
    """Some of the caller's feedback."""

    items: list[Feedback]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post(
    "/messages/{message_id}/feedback",
    status_code=201,
    responses=errors("message_not_found", "run_not_found", "not_an_answer", *REFUSED),
)
async def judge_message(
    message_id: UUID, body: NewFeedback, caller: Chatter, resources: ResourcesNow
) -> Feedback:
    """Say what you think of an answer in a chat. A right answer in it becomes an example to learn from.

    In a chat that was shared with you, what you say is told to its owner (`guest`); no example is made of it.
    """
    mask = mask_named(resources.settings.examples_mask)
    return await resources.database.write(
        feedback.give_reader_feedback, caller.reader, caller.responsible, message_id, body, mask
    )


@router.post("/runs/{run_id}/feedback", status_code=201, responses=errors("run_not_found", *REFUSED))
async def judge_run(run_id: UUID, body: NewFeedback, caller: Runner, resources: ResourcesNow) -> Feedback:
    """Say what you think of what a run answered. A right answer in it becomes an example to learn from."""
    mask = mask_named(resources.settings.examples_mask)
    return await resources.database.write(feedback.give_run_feedback, caller.owner, run_id, body, mask)


@router.get("/feedback", responses=errors("bad_cursor", "invalid_parameters"))
async def list_feedback(
    caller: Reader,
    resources: ResourcesNow,
    run_id: UUID | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FeedbackPage:
    """List feedback, newest first."""
    async with resources.database.read() as session:
        page = await feedback.list_feedback(session, caller.owner, run_id=run_id, limit=limit, cursor=cursor)
    return FeedbackPage(items=page.items, next_cursor=page.next_cursor)
