"""Asking people: the run waits for their decision without a worker, and meets it again in every attempt."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from contracts.approvals import Approval, ApprovalStatus, Asking
from contracts.people import Scope
from contracts.runs import EventKind, Waiting, WaitKind
from database.engine import ReadSession, WriteSession
from database.queue.approvals import ask, decided, event, get_approval
from database.queue.withdrawals import withdraw
from flows.durable.run import current_run
from flows.durable.steps import numbered
from runtime.errors import MillraceError

Moot = Callable[[ReadSession], Awaitable[bool]]
REFUSALS = {
    ApprovalStatus.REJECTED: ("approval_rejected", "was rejected"),
    ApprovalStatus.EXPIRED: ("approval_expired", "was not approved in time"),
}


async def approval(
    title: str,
    what: BaseModel | dict[str, Any] | list[Any] | str,
    *,
    name: str = "approval",
    expires_in: timedelta | None = None,
    required: bool = True,
    needs_scope: Scope | None = None,
    not_by: Sequence[str] = (),
    moot: Moot | None = None,
) -> Approval:
    """Return the decision about `what`; until it is there, the run waits.

    The question is one row, created once, and its decision is met again whenever this code runs again. A
    decision counts for exactly this `what`: if the code asks about something else next time, that is a new
    question.

    Args:
        title: the question, for people.
        what: what exactly is to be approved, as JSON; it is shown to whoever decides.
        name: tells several questions of one step apart; those of one name are numbered.
        expires_in: after this time without a decision it is as good as rejected.
        needs_scope: what who approves must be allowed besides deciding.
        not_by: persons who may not approve it.
        moot: whether nobody needs to be asked any more, read in the transaction that asks; then the answer is
            `withdrawn`. Whoever brings that about locks the run before they withdraw what it has asked.
        required: without an approval raise; else return the refusal and let the flow go its other way.

    Raises:
        MillraceError: `approval_rejected` or `approval_expired`, with the comment of who rejected it.
        Parked: let it pass.
    """
    step, n = numbered(f"approval/{name}")
    place = f"{step}/{name}" if n == 0 else f"{step}/{name}#{n + 1}"
    shown = what.model_dump(mode="json") if isinstance(what, BaseModel) else what
    answer = await answered(
        *(Asking.APPROVAL, place, title, shown, expires_in),
        needs_scope=needs_scope,
        not_by=not_by,
        moot=moot,
    )
    if required and answer.status in REFUSALS:
        code, words = REFUSALS[answer.status]
        because = f": {answer.comment}" if answer.comment else ""
        raise MillraceError(f"{title!r} {words}{because}", code=code, detail={"approval_id": str(answer.id)})
    return answer


async def answered(
    asking: Asking,
    place: str,
    title: str,
    what: Any,
    expires_in: timedelta | None = None,
    *,
    needs_scope: Scope | None = None,
    not_by: Sequence[str] = (),
    moot: Moot | None = None,
) -> Approval:
    """Return the answer to a question at one place of the run; until it is there, the run waits."""
    run = current_run()

    async def asking_now(session: WriteSession) -> Approval:
        asked = await ask(
            session,
            run.id,
            run.owner,
            asking=asking,
            step=place,
            title=title,
            what=what,
            digest=digest_of(what),
            expires_in=expires_in,
            needs_scope=needs_scope,
            not_by=not_by,
        )
        if asked.status is not ApprovalStatus.PENDING or moot is None or not await moot(session):
            return asked
        await withdraw(session, [run.id])
        return await get_approval(session, run.owner, asked.id)

    asked = await run.write(asking_now)
    if asked.status is ApprovalStatus.PENDING:
        run.tell(EventKind.APPROVAL, **event(asked))
        kind = WaitKind.APPROVAL if asking is Asking.APPROVAL else WaitKind.ANSWER
        waiting = Waiting(kind=kind, reason=title, about=str(asked.id), wake_at=asked.expires_at)
        await run.waiting_for(waiting, until=lambda session: decided(session, asked.id))
        # It was decided, or its time ran out, while the question was put.
        asked = await run.write(asking_now)
    return asked


def digest_of(what: Any) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in hex: keys sorted, no spaces, UTF-8."""
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
