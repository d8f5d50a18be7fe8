"""A model provider that is away: the run waits for its return without a worker.

Short absences are the step's own business (`flows/policies.py`). A run waits when the provider, or the
rest that the router gives it, asks for longer than a worker should be held, or when the step has used up
its tries.
"""

import random
from datetime import timedelta

from contracts.pipelines import PIPELINES
from contracts.runs import Waiting, WaitKind
from database.queue.parking import stalled_since
from flows.durable.run import Run
from flows.settings import FlowSettings
from llm.errors import ModelRateLimited, ModelTimeout, ModelUnavailable
from runtime.clock import utcnow
from runtime.errors import MillraceError

# A shorter rest is slept through in the step.
LONG_SECONDS = 20.0
FIRST_WAIT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 900.0
# Runs that were told the same time do not all come back in the same second.
JITTER = 0.2
AWAY = (ModelUnavailable, ModelRateLimited, ModelTimeout)


async def wait_out(run: Run, error: MillraceError, *, last_try: bool) -> MillraceError:
    """Park the run if its provider is away for longer; else return the error that its step shall raise.

    The waits grow: each lasts as long as the provider has been away by then, between half a minute and a
    quarter of an hour, or as long as it asks for. The time counts from the first wait without an answer in
    between. After `PROVIDER_WAIT_SECONDS` (`PROVIDER_WAIT_INTERACTIVE_SECONDS` where a person sits and
    waits) the run fails, and at its deadline in any case.

    Args:
        run: whose step failed.
        error: with what.
        last_try: the step's policy allows no further one.

    Raises:
        Parked: the run waits.
    """
    if not error.retryable or not isinstance(error, AWAY):
        return error
    asked = error.retry_after or 0.0
    if asked < LONG_SECONDS and not last_try:
        return error
    away = (utcnow() - await run.write(stalled_since, run.id)).total_seconds()
    pause = max(asked, min(max(away, FIRST_WAIT_SECONDS), LONGEST_WAIT_SECONDS))
    if away + pause > patience(run.pipeline):
        # It will not be back in time: further tries would only hold the worker.
        return type(error)(error.message, error.code, retryable=False, detail=error.detail)
    about = error.detail.get("deployment") or error.detail.get("role")
    wake_at = utcnow() + timedelta(seconds=pause * random.uniform(1, 1 + JITTER))  # noqa: S311  spreads load
    await run.waiting_for(Waiting(kind=WaitKind.PROVIDER, reason=error.message, about=about, wake_at=wake_at))
    return error


def patience(pipeline: str) -> float:
    """Return for how many seconds a run of this pipeline waits for a provider."""
    settings, known = FlowSettings(), PIPELINES.get(pipeline)
    somebody_waits = known is not None and known.pool == "interactive"
    return settings.provider_wait_interactive_seconds if somebody_waits else settings.provider_wait_seconds
