"""What the gate recommends, and what people decide about it."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.routes.programs import SENT, Reader
from api.trigger import IdempotencyKey, acceptance_headers, refuse_telling, storable
from contracts.approvals import Decision
from contracts.gate import GateEstimate, GateParams, ReplayedCase
from contracts.people import Scope
from contracts.pipelines import GATE
from contracts.programs import MAX_REASON_CHARS
from contracts.recommendations import Recommendation, RecommendationStatus, RecommendationSummary
from contracts.runs import Origin, Run, RunOptions
from database.engine import WriteSession
from database.learning import recommendations
from database.learning.decisions import decide_recommendation
from database.learning.gate_estimates import estimated_gate
from database.learning.programs import get_version
from database.learning.replayed import list_replayed
from database.queue.approvals import Decider
from database.queue.runs import accept_run
from runtime.ids import derived_id

router = APIRouter(prefix="/recommendations", tags=["programs"], route_class=StrictRoute)

Starter = Annotated[Caller, needs(Scope.PROGRAMS_WRITE, Scope.RUNS_WRITE)]
DecidingCaller = Annotated[Caller, needs(Scope.APPROVALS_DECIDE)]
TOO_LATE = ("not_open", "not_asked_yet", "already_decided", "approval_expired", "approval_withdrawn")


class RecommendationPage(BaseModel):
    """Some recommendations."""

    items: list[RecommendationSummary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class ReplayPage(BaseModel):
    """Some recorded runs in their lanes."""

    items: list[ReplayedCase]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class NewComparison(GateParams):
    """The candidate to compare, and how the run is to be run."""

    options: RunOptions = Field(default_factory=RunOptions)


class Comparing(BaseModel):
    """A comparison that was started."""

    run: Run
    recommendation_id: UUID = Field(description="What is recommended will be here when it has compared.")


class NewVerdict(BaseModel):
    """A decision, bound to what the decider has seen."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "refuse"] = Field(examples=["approve"])
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The recommendation's, as read.",
        examples=["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"],
    )
    reason: str = Field("", max_length=MAX_REASON_CHARS, examples=["Better on the cases that matter to us."])


@router.get("", responses=errors("unknown_program", "bad_cursor", "invalid_parameters"))
async def list_recommendations(
    caller: Reader,
    resources: ResourcesNow,
    program: Annotated[str | None, Query(max_length=100)] = None,
    status: RecommendationStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RecommendationPage:
    """List recommendations, newest first; `status=open` is what waits for a decision."""
    async with resources.database.read() as session:
        page = await recommendations.list_recommendations(
            session, caller.owner, program=program, status=status, limit=limit, cursor=cursor
        )
    return RecommendationPage(items=page.items, next_cursor=page.next_cursor)


@router.post("/estimate", responses=errors("unknown_program", *SENT))
async def estimate_comparison(body: GateParams, caller: Starter, resources: ResourcesNow) -> GateEstimate:
    """Say what a comparison would take at most."""
    async with resources.database.read() as session:
        return await estimated_gate(session, caller.owner, body)


@router.post(
    "",
    status_code=202,
    responses=errors(
        *("unknown_program", "program_version_not_found", "idempotency_conflict", "key_busy"),
        *("key_not_free", *SENT),
    ),
)
async def compare_candidate(
    body: NewComparison,
    response: Response,
    caller: Starter,
    resources: ResourcesNow,
    idempotency_key: IdempotencyKey = None,
) -> Comparing:
    """Let the gate compare a candidate with the active version, and recommend it or not.

    The run waits for the decision where the program's policy wants one.
    """
    refuse_telling(caller, body.options)
    run, created = await resources.database.write(_compare, caller, body, idempotency_key)
    response.headers.update(acceptance_headers(run, created))
    return Comparing(run=run, recommendation_id=derived_id(run.id, "recommendation"))


@router.get("/{recommendation_id}", responses=errors("recommendation_not_found", "invalid_parameters"))
async def get_recommendation(
    recommendation_id: UUID, caller: Reader, resources: ResourcesNow
) -> Recommendation:
    """Show a recommendation with its evidence, the diff, and the cases that got worse."""
    async with resources.database.read() as session:
        return await recommendations.get_recommendation(session, caller.owner, recommendation_id)


@router.get(
    "/{recommendation_id}/replays",
    responses=errors("recommendation_not_found", "bad_cursor", "invalid_parameters"),
)
async def list_replays(
    recommendation_id: UUID, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> ReplayPage:
    """List the recorded runs that were answered anew: what was said then, and what both versions say now."""
    async with resources.database.read() as session:
        page = await list_replayed(session, caller.owner, recommendation_id, limit=limit, cursor=cursor)
    return ReplayPage(items=page.items, next_cursor=page.next_cursor)


@router.post(
    "/{recommendation_id}/decision",
    responses=errors("recommendation_not_found", *TOO_LATE, "digest_mismatch", "four_eyes", *SENT),
)
async def decide_about_recommendation(
    recommendation_id: UUID,
    body: NewVerdict,
    caller: DecidingCaller,
    doer: DoerNow,
    resources: ResourcesNow,
) -> Recommendation:
    """Approve a recommendation, which needs the scope `programs:promote` too, or refuse it.

    What is approved begins as a canary in a moment. It is the same decision as that of the approval that its
    run waits for.
    """
    decision = Decision.APPROVE if body.decision == "approve" else Decision.REJECT
    by = Decider(doer, caller.responsible, caller.scopes)
    return await resources.database.write(
        decide_recommendation, by, recommendation_id, decision, body.digest, body.reason
    )


@router.post(
    "/{recommendation_id}/apply",
    dependencies=[needs(Scope.PROGRAMS_PROMOTE)],
    responses=errors(
        *("recommendation_not_found", "not_approved", "no_canary", "signature_changed"),
        *("program_version_not_found", "invalid_parameters"),
    ),
)
async def apply_recommendation(
    recommendation_id: UUID, doer: DoerNow, resources: ResourcesNow
) -> Recommendation:
    """Let an approved candidate begin that could not at the time, because another one was the canary."""
    return await resources.database.write(recommendations.apply_recommendation, doer, recommendation_id)


async def _compare(
    session: WriteSession, caller: Caller, body: NewComparison, key: str | None
) -> tuple[Run, bool]:
    await get_version(session, caller.owner, body.program, body.version)
    return await accept_run(
        session,
        pipeline=GATE.name,
        pool=GATE.pool,
        params=storable(GateParams.model_validate(body.model_dump(exclude={"options"}))),
        owner=caller.owner,
        origin=Origin.API,
        idempotency_key=key,
        options=body.options,
        started_by=caller.responsible,
    )
