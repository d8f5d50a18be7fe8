"""The call ledger of one run, bound to the database."""

from dataclasses import dataclass

import structlog

from contracts.calls import CallAnswer, CallRequest
from contracts.runs import EventKind
from database.journal.joint_calls import COMMITTING, FAILING, Answered, Failed
from flows.durable.arms import tell_met
from flows.durable.purse import money, reserve_within
from flows.durable.run import Run, told
from runtime.errors import MillraceError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes and finds the calls of one attempt of a run (the `Ledger` that the door asks for).

    An answer that was paid is held until the database takes it, so an outage does not make it be paid again.
    """

    run: Run

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """Return the recorded answer of a finished call, or write that it is started now.

        Raises:
            Parked: the run waits; a thread of it that goes on makes no further call.
        """
        run = self.run
        await run.go_on()
        await tell_met(run)
        call = run.earlier.placed(call)
        answer = await reserve_within(run, call)
        if answer is not None:
            run.deployments.add(answer.deployment)
            run.tell(EventKind.COST, step=call.step, replayed=True, usd="0", deployment=answer.deployment)
        return answer

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write the answer, its tokens and its exact cost."""
        run = self.run
        call = run.earlier.placed(call)
        answered = Answered(run.id, run.attempt, call, answer, run.purse.let_go(call))
        alerts = await run.record_jointly(COMMITTING, answered)
        for budget in alerts:
            log.warning(
                "most of a budget is spent",
                budget_id=str(budget.id),
                scope=budget.scope,
                period=budget.period,
                spent_usd=money(budget.spent_usd),
                cap_usd=money(budget.cap_usd),
            )
        run.deployments.add(answer.deployment)
        run.tell(
            EventKind.COST,
            step=call.step,
            replayed=False,
            usd=None if answer.cost_usd is None else money(answer.cost_usd),
            deployment=answer.deployment,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """Write that the call ended without an answer."""
        run = self.run
        call = run.earlier.placed(call)
        budgets = run.purse.let_go(call)
        failed = Failed(run.id, run.attempt, call, told(error), latency_ms, budgets)
        await run.record_jointly(FAILING, failed)
