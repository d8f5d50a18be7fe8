"""Cache review: the judge looks at answers that were used for other questions than their own."""

from decimal import Decimal

from contracts.cache import Reviewed
from contracts.cache_review import CacheReviewParams, CacheReviewResult, RoleReview
from contracts.pipelines import CACHE_REVIEW
from database.gateway.reuses import Judged, pending_reuses, reviewed_today, settle_reuses
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import in_parallel, step, step_calls
from flows.durable.thinking import thinking
from flows.learning.answering import paid_by_step
from flows.learning.caps import Caps
from flows.policies import MODEL_CALL, STORE
from modules.reuse import Interchangeable
from runtime.errors import MillraceError


@pipeline(CACHE_REVIEW)
async def cache_review(params: CacheReviewParams) -> CacheReviewResult:
    """Look at what waits, role by role, and remove the answers that were wrong."""
    run = current_run()
    policies = run.door.providers.cache.semantic
    told = [
        await review_role(str(role), policies[role].review_usd_per_day, params) for role in sorted(policies)
    ]
    return CacheReviewResult(roles=told, models=sorted(run.deployments))


async def review_role(role: str, usd_per_day: Decimal, params: CacheReviewParams) -> RoleReview:
    """Let the judge look at a role's uses until the day's money for it is spent."""
    waiting, spent = await collect(role, params.most)
    # What this run itself has paid in an earlier attempt comes from the ledger, and counts again here.
    caps = Caps(usd=max(usd_per_day - spent, Decimal(0)))

    async def one(_number: int, reuse: Reviewed) -> tuple[Reviewed, bool] | None:
        try:
            return reuse, await judge(str(reuse.id), reuse, caps)
        except MillraceError:
            return None  # it waits for the next review

    looked = [found for found in await in_parallel(one, waiting, at_most=params.at_once) if found is not None]
    paid = await paid_by_step(current_run())
    judged = [
        Judged(
            reuse.id,
            "same" if same else "different",
            paid.get(f"judge[{reuse.id}]", (None, 0))[0] or Decimal(0),
        )
        for reuse, same in looked
    ]
    removed = await settle(role, judged)
    return RoleReview(
        role=role,
        reviewed=len(judged),
        disagreed=sum(each.verdict == "different" for each in judged),
        removed=removed,
        left=len(waiting) - len(judged),
        usd=sum((each.usd for each in judged), Decimal(0)),
    )


@step(STORE)
async def collect(role: str, most: int) -> tuple[list[Reviewed], Decimal]:
    """Return the uses that wait, and what the judge has cost today."""
    run = current_run()
    waiting = await run.read(pending_reuses, run.owner, role, most)
    return waiting, await run.read(reviewed_today, run.owner, role)


@step(MODEL_CALL, key="use")
async def judge(
    use: str,  # noqa: ARG001  it is the key
    reuse: Reviewed,
    caps: Caps,
) -> bool:
    """Ask the judge whether a kept answer does for a question."""
    caps.guard(step_calls())
    with thinking("judge"):
        said = await Interchangeable().acall(
            question=reuse.question,
            kept_question=reuse.kept_question,
            kept_answer=reuse.kept_answer,
            fresh_answer=reuse.fresh_answer,
        )
    return bool(said.same)


@step(STORE)
async def settle(role: str, judged: list[Judged]) -> int:
    """Write what the judge said, and remove the wrong answers; return how many."""
    run = current_run()
    return await run.write(settle_reuses, run.owner, role, judged)
