"""A step: a Prefect task with a named policy, whose model calls are recorded under its name."""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import structlog
from prefect import Task, task
from prefect.context import TaskRunContext

from contracts.calls import NO_STEP
from contracts.runs import EventKind
from flows.durable.journal import Journal
from flows.durable.outages import wait_out
from flows.durable.run import current_run
from flows.policies import Policy
from llm.errors import ModelError, translate
from llm.ledger import StepCalls
from runtime.errors import MillraceError

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

LONGEST_HEED_SECONDS = 60.0

_calls: ContextVar[StepCalls] = ContextVar("millrace_step_calls")


def step(
    policy: Policy, *, key: str | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Task[P, Coroutine[Any, Any, T]]]:
    """Make an async function a step.

    Args:
        policy: its retries and its timeout.
        key: the argument whose value names each of several parallel uses, the same in every attempt.

    Any error leaves the step as a `MillraceError` with a code; the policy retries those that can heal.
    """

    def decorate(function: Callable[P, Coroutine[Any, Any, T]]) -> Task[P, Coroutine[Any, Any, T]]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        async def recorded(*args: P.args, **kwargs: P.kwargs) -> T:
            used = str(signature.bind(*args, **kwargs).arguments[key]) if key else None
            return await _record(function.__name__, used, policy, lambda: function(*args, **kwargs))

        return task(name=function.__name__, **policy.task_options())(recorded)

    return decorate


def tries() -> int:
    """Return which try of the current step this is, counted from 1."""
    context = TaskRunContext.get()
    return context.task_run.run_count if context else 1


async def heed(error: MillraceError) -> None:
    """Wait as long as the provider asked for, before the policy's own pause; a minute at most."""
    if error.retryable and isinstance(error, ModelError) and error.retry_after:
        await asyncio.sleep(min(error.retry_after, LONGEST_HEED_SECONDS))


def step_calls() -> StepCalls:
    """Return where the calls of the current step are recorded."""
    return _calls.get()


def numbered(what: str) -> tuple[str, int]:
    """Return the step that runs, or `NO_STEP` outside of one, and how often it has asked for `what` before.

    Counted anew in each try of a step and in each attempt of a run, so the same code gets the same numbers.
    """
    calls = _calls.get(None)
    if calls is not None:
        return calls.step, calls.number(what)
    counts, name = current_run().step_counts, f"{NO_STEP}/{what}"
    counts[name] += 1
    return NO_STEP, counts[name] - 1


async def in_parallel(
    work: Callable[[int, Item], Awaitable[T]], items: Sequence[Item], *, at_most: int
) -> list[T]:
    """Call `work(number, item)` for all items, `at_most` at once, and return the results in order.

    The first error cancels the rest: a failed part fails its run, and what was finished is in the ledger.
    """
    gate = asyncio.Semaphore(at_most)

    async def one(number: int, item: Item) -> T:
        async with gate:
            return await work(number, item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number, item)) for number, item in enumerate(items)]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [done.result() for done in tasks]


@contextmanager
def recorded_under(calls: StepCalls) -> Iterator[None]:
    """Let what is called inside be recorded under a step; Prefect awaits a step in its flow's own context."""
    token = _calls.set(calls)
    try:
        yield
    finally:
        _calls.reset(token)


async def _record(
    name: str,
    key: str | None,
    policy: Policy,
    work: Callable[[], Coroutine[Any, Any, T]],
) -> T:
    run = current_run()
    context = TaskRunContext.get()
    if context is None or context.task_run.id is None:
        raise MillraceError(f"the step {name} was called outside its flow", code="outside_run")
    named = run.step_key(name, context.task_run.id, key)
    began = time.monotonic()
    run.tell(EventKind.STEP, step=named, status="started", tries=tries())
    with (
        structlog.contextvars.bound_contextvars(step=named),
        recorded_under(StepCalls(Journal(run), named, stop=run.stop, owner=run.owner)),
    ):
        try:
            result = await work()
            await run.go_on()
        except (Exception, BaseExceptionGroup) as cause:
            # Whatever came of it on its way up: a run that waits waits.
            await run.go_on()
            if not isinstance(cause, Exception):
                raise
            error = translate(cause)
            run.tell(EventKind.STEP, step=named, status="failed", tries=tries(), error=error.code)
            last_try = tries() > policy.retries
            error = await wait_out(run, error, last_try=last_try)
            if not last_try:
                await heed(error)
            if error is cause:
                raise
            raise error from cause
    run.tell(EventKind.STEP, step=named, status="finished", ms=round((time.monotonic() - began) * 1000, 1))
    return result
