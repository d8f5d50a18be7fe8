"""Questions of runs to people: asked once, decided once, about exactly one thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.approvals import CHOICES, Approval, ApprovalStatus, ApprovalSummary, Asking, Decision
from contracts.people import Scope
from contracts.runs import EventKind
from database.clock import from_now, now
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.queue.events import append_events
from database.queue.parking import wake_run
from database.statements import insert_or_existing
from database.tables import ApprovalRow, core
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, NotAllowed, NotFound
from runtime.ids import new_id

_APPROVALS = core(ApprovalRow)
_PENDING = _APPROVALS.c.status == ApprovalStatus.PENDING
# One whose time is over is expired, whether or not its run has noticed.
_STATUS = sa.case(
    (_PENDING & (_APPROVALS.c.expires_at <= now()), sa.literal(ApprovalStatus.EXPIRED.value)),
    else_=_APPROVALS.c.status,
).label("status")
_CLOSED = {
    ApprovalStatus.EXPIRED: ("approval_expired", "Its time is over: nobody decided until {expires_at}."),
    ApprovalStatus.WITHDRAWN: ("approval_withdrawn", "Its run does not ask this any more."),
}


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides: as the audit log names them, the person whatever key they use, and what they may do."""

    doer: Doer
    person: str
    scopes: frozenset[Scope]


async def ask(  # noqa: PLR0913  a row's columns
    session: WriteSession,
    run_id: UUID,
    owner: str,
    *,
    asking: Asking,
    step: str,
    title: str,
    what: Any,
    digest: str,
    expires_in: timedelta | None = None,
    needs_scope: Scope | None = None,
    not_by: Sequence[str] = (),
) -> Approval:
    """Return the question of this place in the run about this very thing, asked the first time it is needed.

    Asking about something else at the same place takes back what was asked before and is undecided. The
    caller holds the run (`hold_run`). Who approves it needs `needs_scope`, and is none of `not_by`.
    """
    place = (_APPROVALS.c.run_id == run_id, _APPROVALS.c.step == step)
    other = sa.update(_APPROVALS).where(*place, _APPROVALS.c.digest != digest, _PENDING)
    await session.execute(other.values(status=ApprovalStatus.WITHDRAWN))
    asked_at = utcnow()
    values = {
        "id": new_id(),
        "owner": owner,
        "run_id": run_id,
        "asking": asking,
        "step": step,
        "title": title,
        "what": what,
        "digest": digest,
        "status": ApprovalStatus.PENDING,
        "expires_at": None if expires_in is None else from_now(expires_in.total_seconds()),
        "needs_scope": needs_scope,
        "not_by": list(not_by) or None,
        "created_at": asked_at,
    }
    row = await insert_or_existing(session, _APPROVALS, values, [_APPROVALS.c.id, _APPROVALS.c.status])
    this = sa.update(_APPROVALS).where(_APPROVALS.c.id == row.id)
    if row.status == ApprovalStatus.WITHDRAWN:
        # It is asked again: by a run that was taken up again, or that went back to its first idea.
        await session.execute(
            this.values(status=ApprovalStatus.PENDING, expires_at=values["expires_at"], created_at=asked_at)
        )
    overdue = this.where(_PENDING, _APPROVALS.c.expires_at <= now())
    await session.execute(overdue.values(status=ApprovalStatus.EXPIRED))
    return await get_approval(session, owner, row.id)


async def get_approval(session: ReadSession, owner: str, approval_id: UUID) -> Approval:
    """Return a question of the owner's runs.

    Raises:
        NotFound: `approval_not_found`.
    """
    query = sa.select(*_columns(Approval)).where(_APPROVALS.c.id == approval_id, _APPROVALS.c.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no approval {approval_id}.", "approval_not_found")
    return Approval.model_validate(row, from_attributes=True)


async def list_approvals(
    session: ReadSession,
    owner: str,
    *,
    limit: int = 50,
    cursor: str | None = None,
    status: ApprovalStatus | None = None,
    run_id: UUID | None = None,
) -> Page[ApprovalSummary]:
    """Return what the owner's runs ask and asked, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_columns(ApprovalSummary)).where(_APPROVALS.c.owner == owner)
    if status is not None:
        # The column first, for its index; then what the clock makes of it.
        stored = {status, ApprovalStatus.PENDING} if status is ApprovalStatus.EXPIRED else {status}
        query = query.where(_APPROVALS.c.status.in_(stored), _STATUS.element == status)
    if run_id is not None:
        query = query.where(_APPROVALS.c.run_id == run_id)
    if cursor is not None:
        query = query.where(_APPROVALS.c.id < cursor_id(cursor))
    rows = await session.execute(query.order_by(_APPROVALS.c.id.desc()).limit(limit + 1))
    items = [ApprovalSummary.model_validate(row, from_attributes=True) for row in rows]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def decided(session: ReadSession, approval_id: UUID) -> bool:
    """Return whether a question waits for nobody any more."""
    query = sa.select(_STATUS).where(_APPROVALS.c.id == approval_id)
    return (await session.execute(query)).scalar_one_or_none() != ApprovalStatus.PENDING


async def decide(
    session: WriteSession,
    owner: str,
    approval_id: UUID,
    decision: Decision,
    digest: str,
    *,
    by: Decider,
    comment: str | None = None,
    result: Any = None,
) -> Approval:
    """Answer a question, once, and wake its run.

    Args:
        session: of the transaction.
        owner: whose runs.
        approval_id: the question.
        decision: one that this kind of question knows.
        digest: of what the decider has seen.
        by: who it is.
        comment: why, for people.
        result: with `happened`, what the call gave.

    Raises:
        NotFound: `approval_not_found`.
        BadInput: `decision_not_offered`.
        NotAllowed: `four_eyes`, it is their own work; or `missing_scope`.
        Conflict: `digest_mismatch`, `already_decided`, `approval_expired` or `approval_withdrawn`.
    """
    asked = await get_approval(session, owner, approval_id)
    # First the run's lock, then the question's: as the run itself does when it asks.
    await wake_run(session, asked.run_id)
    await session.execute(sa.select(_APPROVALS.c.id).where(_APPROVALS.c.id == approval_id).with_for_update())
    asked = await get_approval(session, owner, approval_id)
    choices = CHOICES[asked.asking]
    if decision not in choices:
        raise BadInput(f"Decide one of: {', '.join(choices)}.", "decision_not_offered")
    if result is not None and decision is not Decision.HAPPENED:
        raise BadInput("A result belongs to the decision `happened` only.", "decision_not_offered")
    if digest != asked.digest:
        raise Conflict(
            "This is a decision about something else: read the approval again and send its digest.",
            "digest_mismatch",
        )
    if asked.status is not ApprovalStatus.PENDING:
        code, words = _CLOSED.get(asked.status, ("already_decided", "It was decided already: {status}."))
        raise Conflict(words.format(status=asked.status, expires_at=asked.expires_at), code)
    if decision is Decision.APPROVE:
        _refuse_unfit(asked, by)
    decided_by = by.doer.actor
    change = {
        "status": choices[decision],
        "decided_by": decided_by,
        "decided_at": utcnow(),
        "comment": comment,
        "result": result,
    }
    await session.execute(sa.update(_APPROVALS).where(_APPROVALS.c.id == approval_id).values(change))
    told = event(asked) | {"status": choices[decision], "decided_by": decided_by}
    await append_events(session, asked.run_id, None, [(EventKind.APPROVAL, told, utcnow())])
    detail = {"decision": decision, "digest": digest, "title": asked.title, "run_id": str(asked.run_id)}
    await record(session, by.doer, "approval.decided", f"approval:{approval_id}", **detail)
    return await get_approval(session, owner, approval_id)


def _refuse_unfit(asked: Approval, by: Decider) -> None:
    if asked.needs_scope is not None and asked.needs_scope not in by.scopes:
        raise NotAllowed(f"Who approves this needs the scope {asked.needs_scope} as well.", "missing_scope")
    if by.person in (asked.not_by or []):
        raise NotAllowed(
            "This is your own work: the policy wants four eyes, so somebody else must approve it.",
            "four_eyes",
        )


def event(asked: Approval) -> dict[str, Any]:
    """Return what the run's log tells of a question."""
    return {
        "approval_id": str(asked.id),
        "asking": asked.asking,
        "title": asked.title,
        "step": asked.step,
        "status": asked.status,
        "decided_by": asked.decided_by,
    }


def _columns(model: type[ApprovalSummary]) -> list[Any]:
    return [_STATUS if name == "status" else _APPROVALS.c[name] for name in model.model_fields]
