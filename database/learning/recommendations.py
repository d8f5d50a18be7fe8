"""Recommendations of an owner: written by the gate, read page by page, applied or left."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.evaluation import Interval
from contracts.gate import Confidence, Evidence, Lineage, WorseCase
from contracts.program_policies import Severity
from contracts.programs import Version, VersionDiff
from contracts.recommendations import Recommendation, RecommendationStatus, RecommendationSummary
from contracts.runs import TERMINAL
from database.engine import ReadSession, WriteSession
from database.learning.programs import get_program, lock_program
from database.learning.serving import active_version, start_canary
from database.learning.superseding import supersede
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.statements import AnyRow, AnySelect, insert_or_existing
from database.tables import ProgramVersionRow, RecommendationRow, RunRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound

OURSELVES = "millrace"
_RECOMMENDATIONS = core(RecommendationRow)
_VERSIONS = core(ProgramVersionRow)
_RUNS = core(RunRow)
_CANDIDATE, _ACTIVE = _VERSIONS.alias("candidate"), _VERSIONS.alias("active")
_OPEN = _RECOMMENDATIONS.c.status == RecommendationStatus.OPEN
# Nobody can be asked any more when the run that asks has ended.
_STATUS = sa.case(
    (_OPEN & _RUNS.c.status.in_(TERMINAL), sa.literal(RecommendationStatus.EXPIRED.value)),
    else_=_RECOMMENDATIONS.c.status,
).label("status")
_NAMED: dict[str, Any] = {
    "candidate": _CANDIDATE.c.version.label("candidate"),
    "active": _ACTIVE.c.version.label("active"),
    "status": _STATUS,
}


@dataclass(frozen=True, slots=True)
class NewRecommendation:
    """What the gate found out, and what it says about it."""

    id: UUID
    run_id: UUID
    origin_run_id: UUID | None
    lineage: Lineage
    title: str
    candidate: Version
    active: Version
    severity: Severity
    severity_reasons: list[str]
    confidence: Confidence
    benefit: Interval | None
    notes: list[str]
    evidence: Evidence
    evaluation_ids: list[UUID]
    diff: VersionDiff
    worse: list[WorseCase]
    canary_percent: float
    digest: str
    # `open` asks a person; `approved` was decided by the policy; `refused` is no gain.
    status: RecommendationStatus = RecommendationStatus.OPEN
    reason: str = ""


async def add_recommendation(session: WriteSession, by: Doer, new: NewRecommendation) -> Recommendation:
    """Store a recommendation, once, in the doer's space; it takes the place of the program's open ones.

    Their runs go on and see that nobody is asked any more.
    """
    program = new.candidate.program
    await lock_program(session, program)
    decided = new.status is not RecommendationStatus.OPEN
    values = {
        "id": new.id,
        "owner": by.owner,
        "run_id": new.run_id,
        "origin_run_id": new.origin_run_id,
        "program": program,
        "candidate_id": new.candidate.id,
        "active_id": new.active.id,
        "lineage": new.lineage,
        "title": new.title,
        "severity": new.severity,
        "severity_reasons": new.severity_reasons,
        "confidence": new.confidence,
        "benefit": None if new.benefit is None else new.benefit.model_dump(mode="json"),
        "notes": new.notes,
        "evidence": new.evidence.model_dump(mode="json"),
        "evaluation_ids": [str(one) for one in new.evaluation_ids],
        "diff": new.diff.model_dump(mode="json"),
        "worse": [one.model_dump(mode="json") for one in new.worse],
        "canary_percent": new.canary_percent,
        "digest": new.digest,
        "status": new.status,
        "decided_by": OURSELVES if decided else None,
        "decided_at": utcnow() if decided else None,
        "reason": new.reason,
        "created_at": utcnow(),
    }
    known = sa.select(_RECOMMENDATIONS.c.id).where(_RECOMMENDATIONS.c.id == new.id)
    if (await session.execute(known)).first() is None:
        if new.status is not RecommendationStatus.REFUSED:
            why = f"Version {new.candidate.version} was recommended after it."
            await supersede(session, by, program, why)
        await insert_or_existing(session, _RECOMMENDATIONS, values, [_RECOMMENDATIONS.c.id])
        detail = {"program": program, "version": new.candidate.version, "status": new.status}
        await record(session, by, "recommendation.made", f"recommendation:{new.id}", **detail)
    return await get_recommendation(session, by.owner, new.id)


async def apply_recommendation(
    session: WriteSession, by: Doer, recommendation_id: UUID, *, reason: str = ""
) -> Recommendation:
    """Let an approved candidate begin as a canary; done twice it is done once.

    The one way from a recommendation to traffic: what happens to the canary from here on is not its matter.

    Args:
        session: of the transaction.
        by: who decided, and in whose space.
        recommendation_id: which one.
        reason: what they said.

    Returns:
        It, `applied`; `superseded` when another version is active by now than the one it was compared with.

    Raises:
        NotFound: `recommendation_not_found`.
        Conflict: `not_approved`; or as `start_canary`, `no_canary` while another version is the canary.
    """
    found = await get_recommendation(session, by.owner, recommendation_id)
    await lock_program(session, found.program)
    found = await get_recommendation(session, by.owner, recommendation_id)
    if found.status in {RecommendationStatus.APPLIED, RecommendationStatus.SUPERSEDED}:
        return found
    if found.status is not RecommendationStatus.APPROVED:
        raise Conflict(f"The recommendation is {found.status}, not approved.", "not_approved")
    active = await active_version(session, by.owner, found.program)
    if active is None or active.id != found.active_id:
        why = f"It was compared with version {found.active}, which is not active any more."
        return await set_status(session, by, found.id, RecommendationStatus.SUPERSEDED, why)
    await start_canary(
        session,
        *(by.owner, found.program, found.candidate),
        percent=found.canary_percent,
        by=by.actor,
        reason=f"Recommendation {found.id}. {reason}".strip(),
    )
    return await set_status(session, by, found.id, RecommendationStatus.APPLIED, reason or found.reason)


async def set_status(
    session: WriteSession, by: Doer, recommendation_id: UUID, status: RecommendationStatus, reason: str
) -> Recommendation:
    """Write what became of a recommendation, with a line in the audit log.

    Who approved it stays who decided it when it is applied.
    """
    found = await get_recommendation(session, by.owner, recommendation_id)
    change: dict[str, Any] = {"status": status, "reason": reason}
    if found.decided_by is None or status is not RecommendationStatus.APPLIED:
        change |= {"decided_by": by.actor, "decided_at": utcnow()}
    this = sa.update(_RECOMMENDATIONS).where(_RECOMMENDATIONS.c.id == found.id)
    await session.execute(this.values(change))
    detail = {"program": found.program, "version": found.candidate, "reason": reason}
    await record(session, by, f"recommendation.{status}", f"recommendation:{found.id}", **detail)
    return await get_recommendation(session, by.owner, found.id)


async def get_recommendation(session: ReadSession, owner: str, recommendation_id: UUID) -> Recommendation:
    """Return one recommendation of the owner.

    Raises:
        NotFound: `recommendation_not_found`.
    """
    query = _query(Recommendation, owner).where(_RECOMMENDATIONS.c.id == recommendation_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no recommendation {recommendation_id}.", "recommendation_not_found")
    return Recommendation.model_validate(row, from_attributes=True)


async def recommendation_of_run(session: ReadSession, owner: str, run_id: UUID) -> Recommendation | None:
    """Return what a run of the gate has recommended; none before it has.

    While the run is under way it is not `expired`.
    """
    query = _query(Recommendation, owner).where(_RECOMMENDATIONS.c.run_id == run_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Recommendation.model_validate(row, from_attributes=True)


async def list_recommendations(
    session: ReadSession,
    owner: str,
    *,
    program: str | None = None,
    status: RecommendationStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[RecommendationSummary]:
    """Return the owner's recommendations, newest first.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _query(RecommendationSummary, owner)
    if program is not None:
        await get_program(session, owner, program)
        query = query.where(_RECOMMENDATIONS.c.program == program)
    if status is not None:
        query = query.where(_STATUS.element == status)
    if cursor is not None:
        query = query.where(_RECOMMENDATIONS.c.run_id < cursor_id(cursor))
    query = query.order_by(_RECOMMENDATIONS.c.run_id.desc()).limit(limit + 1)
    items = [_summary(row) for row in await session.execute(query)]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].run_id)) if len(items) > limit else None)


async def recommendations_of(
    session: ReadSession, owner: str, candidate_id: UUID
) -> list[RecommendationSummary]:
    """Return what was recommended about a version, newest first."""
    query = _query(RecommendationSummary, owner).where(_RECOMMENDATIONS.c.candidate_id == candidate_id)
    return [_summary(row) for row in await session.execute(query.order_by(_RECOMMENDATIONS.c.run_id.desc()))]


def _query(model: type[RecommendationSummary], owner: str) -> AnySelect:
    columns = [_NAMED[name] if name in _NAMED else _RECOMMENDATIONS.c[name] for name in model.model_fields]
    return (
        sa.select(*columns)
        .join_from(_RECOMMENDATIONS, _CANDIDATE, _CANDIDATE.c.id == _RECOMMENDATIONS.c.candidate_id)
        .join(_ACTIVE, _ACTIVE.c.id == _RECOMMENDATIONS.c.active_id)
        .outerjoin(_RUNS, _RUNS.c.id == _RECOMMENDATIONS.c.run_id)
        .where(_RECOMMENDATIONS.c.owner == owner)
    )


def _summary(row: AnyRow) -> RecommendationSummary:
    return RecommendationSummary.model_validate(row, from_attributes=True)
