"""From evidence to a recommendation, and from that to a decision and a canary."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.approvals import Approval, ApprovalStatus
from contracts.evaluation import Interval
from contracts.gate import Evidence, GateParams, GateResult, NotReplayed, TestEvidence, WorseCase
from contracts.people import Scope
from contracts.program_diff import diff
from contracts.program_policies import ProgramPolicy, Severity
from contracts.programs import Version
from contracts.recommendations import Recommendation, RecommendationStatus
from contracts.severity import severity_of
from database.engine import WriteSession
from database.learning.policies import get_policy
from database.learning.programs import get_program, version_by_id
from database.learning.recommendations import (
    OURSELVES,
    NewRecommendation,
    add_recommendation,
    apply_recommendation,
    get_recommendation,
    set_status,
)
from database.learning.recorded import spread_of, starters
from database.learning.superseding import is_moot
from database.people.audit import Doer
from flows.durable.approvals import approval, digest_of
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.learning.replaying import Replay
from flows.learning.verdict import verdict_of
from flows.policies import STORE
from runtime.errors import Conflict
from runtime.ids import derived_id

SHOWN_WORSE = 20
OUTCOMES: dict[RecommendationStatus, Any] = {
    RecommendationStatus.APPLIED: "applied",
    RecommendationStatus.APPROVED: "approved",
    RecommendationStatus.REFUSED: "refused",
    RecommendationStatus.EXPIRED: "expired",
    RecommendationStatus.SUPERSEDED: "superseded",
}
DECIDED = {
    ApprovalStatus.APPROVED: RecommendationStatus.APPROVED,
    ApprovalStatus.REJECTED: RecommendationStatus.REFUSED,
    ApprovalStatus.EXPIRED: RecommendationStatus.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class OnTest:
    """What the test split says, and the candidate's difference of quality on each example of it."""

    evidence: TestEvidence | None = None
    differences: dict[UUID, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was found out: on the test split, on recorded runs, and why not on more of these."""

    test: OnTest
    replay: Replay | None
    not_replayed: dict[NotReplayed, int]


@step(STORE)
async def recommend(
    params: GateParams, new: Version, old: Version, policy: ProgramPolicy, seen: Seen
) -> Recommendation:
    """Weigh the evidence under the policy, and store what is recommended."""
    run, test, replay = current_run(), seen.test, seen.replay
    program = await run.read(get_program, run.owner, params.program)
    changes = diff(old, new)
    spread = await run.read(spread_of, run.owner, params.program)
    model = new.deployment if new.deployment != old.deployment else None
    severity, reasons = severity_of(changes, program.kind, spread, model=model)
    evidence = Evidence(
        test=test.evidence, replay=replay.evidence if replay else None, not_replayed=seen.not_replayed
    )
    on_runs = replay.differences if replay else {}
    verdict = verdict_of(
        *(policy, severity, evidence, list(test.differences.values()), list(on_runs.values())),
        lineage=params.lineage,
    )
    status = RecommendationStatus.OPEN
    if not verdict.better:
        status = RecommendationStatus.REFUSED
    elif verdict.automatic:
        status = RecommendationStatus.APPROVED
    gain = "" if verdict.benefit is None else f" ({verdict.benefit.value:+.3f})"
    recommendation_id = derived_id(run.id, "recommendation")
    made = NewRecommendation(
        id=recommendation_id,
        run_id=run.id,
        origin_run_id=params.origin_run_id or new.origin_run_id,
        lineage=params.lineage,
        title=f"{params.program}: version {new.version} instead of {old.version}{gain}",
        candidate=new,
        active=old,
        severity=severity,
        severity_reasons=reasons,
        confidence=verdict.confidence,
        benefit=verdict.benefit,
        notes=verdict.notes,
        evidence=evidence,
        evaluation_ids=[test.evidence.evaluation_id] if test.evidence else [],
        diff=changes,
        worse=worse_cases(test, on_runs),
        canary_percent=policy.canary_percent,
        digest=digest_of(
            question(recommendation_id, new, old, severity, verdict.benefit, policy.canary_percent)
        ),
        status=status,
        reason=verdict.reason,
    )
    return await run.write(add_recommendation, Doer(OURSELVES, run.owner), made)


async def see_through(made: Recommendation) -> Recommendation:
    """Ask whoever must be asked, and let what is approved begin; the run waits without a worker."""
    if made.status is RecommendationStatus.OPEN:
        run = current_run()
        policy = await run.read(get_policy, run.owner, made.program)
        new = await run.read(version_by_id, run.owner, made.candidate_id)
        old = await run.read(version_by_id, run.owner, made.active_id)
        made_id = made.id
        answer = await approval(
            made.title,
            question(made.id, new, old, made.severity, made.benefit, made.canary_percent),
            name="recommendation",
            expires_in=timedelta(days=policy.approval_days),
            required=False,
            needs_scope=Scope.PROGRAMS_PROMOTE,
            not_by=await authors(made, new) if policy.four_eyes else (),
            # Another one may have taken its place since it was made.
            moot=lambda session: is_moot(session, made_id),
        )
        made = await decided(made.id, answer)
    return await begin(made) if made.status is RecommendationStatus.APPROVED else made


async def authors(made: Recommendation, new: Version) -> list[str]:
    """Return the persons whose work this is: who started the runs behind it, and who imported the version."""
    run = current_run()
    origins = [one for one in (made.run_id, made.origin_run_id, new.origin_run_id) if one is not None]
    found = set(await run.read(starters, run.owner, origins))
    return sorted(found | ({new.imported_by} if new.imported_by else set()))


@step(STORE)
async def decided(recommendation_id: UUID, answer: Approval) -> Recommendation:
    """Write what was decided, unless whoever decided it has, or a newer recommendation took its place."""
    run = current_run()

    async def settle(session: WriteSession) -> Recommendation:
        found = await get_recommendation(session, run.owner, recommendation_id)
        if found.status is not RecommendationStatus.OPEN:
            return found
        by = Doer(answer.decided_by or OURSELVES, run.owner)
        said = answer.comment or ("Nobody decided in time." if answer.decided_by is None else "")
        return await set_status(session, by, recommendation_id, DECIDED[answer.status], said)

    return await run.write(settle)


@step(STORE)
async def begin(made: Recommendation) -> Recommendation:
    """Let an approved candidate begin as a canary; while another one does, it stays approved."""
    run = current_run()
    by = Doer(made.decided_by or OURSELVES, run.owner)
    try:
        return await run.write(apply_recommendation, by, made.id, reason=made.reason)
    except Conflict as why:
        return made.model_copy(update={"reason": f"{made.reason} It has not begun: {why.message}".strip()})


def summed_up(made: Recommendation) -> GateResult:
    """Return what came of a candidate, as the result of its run."""
    return GateResult(
        program=made.program,
        candidate=made.candidate,
        active=made.active,
        outcome=OUTCOMES[made.status],
        reason=made.reason,
        recommendation_id=made.id,
        confidence=made.confidence,
        benefit=made.benefit,
        models=sorted(current_run().deployments),
    )


def question(
    recommendation_id: UUID,
    new: Version,
    old: Version,
    severity: Severity,
    benefit: Interval | None,
    canary_percent: float,
) -> dict[str, Any]:
    """Return what exactly is decided about: other contents, models or shares are another question."""
    return {
        "recommendation_id": str(recommendation_id),
        "program": new.program,
        "candidate": contents(new),
        "active": contents(old),
        "canary_percent": float(canary_percent),
        "severity": str(severity),
        "benefit": None if benefit is None else benefit.model_dump(mode="json"),
    }


def contents(version: Version) -> dict[str, Any]:
    """Return what makes a version: the same texts on another model are something else."""
    return {
        "version": version.version,
        "content_hash": version.content_hash,
        "deployment": version.deployment,
    }


def worse_cases(test: OnTest, on_runs: dict[UUID, float]) -> list[WorseCase]:
    """Return the cases on which the candidate did worse, the worst first, by reference and not too many."""
    found = [
        WorseCase(source="test", example_id=example_id, run_id=None, difference=lost)
        for example_id, lost in test.differences.items()
        if lost < 0
    ]
    found += [
        WorseCase(source="replay", example_id=None, run_id=run_id, difference=lost)
        for run_id, lost in on_runs.items()
        if lost < 0
    ]
    return sorted(found, key=lambda one: one.difference)[:SHOWN_WORSE]
