"""The call ledger of one run, bound to the database."""

from dataclasses import dataclass
from decimal import Decimal

from contracts.runs import EventKind
from database.calls import commit_call, fail_call, reserve_call
from flows.durable.run import Run, told
from llm.ledger import CallAnswer, CallRequest
from runtime.errors import MillraceError


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes and finds the calls of one attempt of a run (the `Ledger` that the door asks for).

    An answer that was paid is held until the database takes it, so an outage does not make it be paid again.
    """

    run: Run

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """Return the recorded answer of a finished call, or write that it is started now."""
        run = self.run
        recorded = await run.record(
            reserve_call,
            run.id,
            run.attempt,
            step=call.step,
            fingerprint=call.fingerprint,
            n=call.n,
            kind=call.kind,
            role=call.role,
            request=call.request,
        )
        if recorded is None:
            return None
        run.deployments.add(recorded.deployment)
        run.tell(EventKind.COST, step=call.step, replayed=True, usd="0", deployment=recorded.deployment)
        return CallAnswer(
            response=recorded.response,
            deployment=recorded.deployment,
            model=recorded.model,
            input_tokens=recorded.input_tokens,
            output_tokens=recorded.output_tokens,
            cost_usd=recorded.cost_usd,
            latency_ms=recorded.latency_ms,
        )

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """Write the answer, its tokens and its exact cost."""
        run = self.run
        await run.record(
            commit_call,
            run.id,
            run.attempt,
            step=call.step,
            fingerprint=call.fingerprint,
            n=call.n,
            response=answer.response,
            deployment=answer.deployment,
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost_usd=answer.cost_usd,
            latency_ms=answer.latency_ms,
        )
        run.deployments.add(answer.deployment)
        run.tell(
            EventKind.COST,
            step=call.step,
            replayed=False,
            usd=amount(answer.cost_usd),
            deployment=answer.deployment,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """Write that the call ended without an answer."""
        run = self.run
        await run.record(
            fail_call,
            run.id,
            run.attempt,
            step=call.step,
            fingerprint=call.fingerprint,
            n=call.n,
            error=told(error).model_dump(mode="json"),
            latency_ms=latency_ms,
        )


def amount(usd: Decimal | None) -> str | None:
    """Return money as text without an exponent, because JSON numbers would round it."""
    return None if usd is None else format(usd, "f")
