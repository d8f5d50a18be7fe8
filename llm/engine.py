"""The engine under `dspy.LM`: every call passes here exactly once, so here is the journal.

Look the call up, reserve it, make it, write it down. What becomes of the ledger's row:

- an answer: `succeeded`, also when the caller went away while it was being written;
- an error, or a stream that broke off: `failed`;
- a caller that went away (cancelled, generator closed, process killed): the row stays `started`, because
  nobody knows whether it was paid. The next attempt finds it, counts it as lost and makes the call again.
"""

import asyncio
import logging
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from contracts.calls import CallAnswer, CallRequest
from llm.backend import Backend, Reply
from llm.crossing import awaited_on, streamed_from
from llm.errors import StreamCut, carried, translate
from llm.fingerprint import fingerprint, meaning
from llm.ledger import StepCalls, to_the_end
from llm.masked_stream import MaskedStream
from llm.replay import events_of, recorded, restored, without_secrets
from llm.routing import Hints, Wanted, hints_for
from llm.stopping import Stop
from runtime.masking import masked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dspy._vendor.lm15.types import StreamEvent
    from dspy.lm15 import Request, Response

    from runtime.errors import MillraceError

_log = logging.getLogger(__name__)

MODEL_CALL = "model"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the calls of one process are made: its event loop, and how many may be in flight there."""

    loop: asyncio.AbstractEventLoop
    slots: asyncio.Semaphore


class AsyncEngine:
    """Answers one role's requests for one step; `dspy.LM(async_engine=...)`.

    It may be used from any event loop; the calls themselves are made on the door's own, where the connections
    and the ledger's database are.

    Args:
        backend: who answers.
        role: in whose name it asks.
        calls: where the calls are journaled; none makes them directly and writes nothing.
        place: the door's loop and slots.
        wanted: the deployment that it is asked of first, or alone.
    """

    def __init__(
        self,
        backend: Backend,
        role: str,
        calls: StepCalls | None,
        place: Place,
        wanted: Wanted | None = None,
    ) -> None:
        self.backend = backend
        self.role = role
        self.calls = calls
        self.place = place
        self.wanted = wanted

    async def complete(self, request: "Request") -> "Response":
        """Return the answer, from the ledger when this call was finished before.

        Raises:
            dspy.LMError: carries our error or the ledger's; `llm.errors.translate` takes it out.
            RunStopped: the run was stopped, before the call or during it.
        """
        with carried():
            return await awaited_on(self.place.loop, self._stoppable(request))

    async def stream(self, request: "Request") -> "AsyncGenerator[StreamEvent]":
        """Yield the answer's events as they come; the end event only after the answer is in the ledger.

        Raises:
            dspy.LMError: as `complete`; a stream that breaks off carries `StreamCut`.
        """
        with carried():
            async with aclosing(streamed_from(self.place.loop, self._stream(request))) as events:
                async for event in events:
                    yield event

    async def aclose(self) -> None:
        """Do nothing: connections belong to the door."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "AsyncEngine":
        # DSPy copies programs with the LM in them (BestOfN, optimizers): a loop and a journal are no copies.
        return self

    async def _stoppable(self, request: "Request") -> "Response":
        call = self._complete(request)
        return await (call if self.calls is None else self.calls.stop.while_running(call))

    async def _complete(self, request: "Request") -> "Response":
        call = self._numbered(request)
        answer = await self._reserve(call)
        if answer is not None:
            return restored(answer.response)
        since = perf_counter()
        try:
            async with self.place.slots:
                since = perf_counter()
                reply = without_secrets(await self.backend.complete(self.role, request, self._hints(call)))
        except Exception as exc:  # noqa: BLE001  all foreign errors end here
            raise await self._failed(call, exc, since) from None
        await self._commit(call, reply, since)
        return reply.response

    async def _stream(self, request: "Request") -> "AsyncGenerator[StreamEvent]":
        stop = self.calls.stop if self.calls is not None else Stop()
        stop.check()
        call = self._numbered(request)
        answer = await self._reserve(call)
        if answer is not None:
            for event in events_of(restored(answer.response)):
                yield event
            return
        since = perf_counter()
        reply: Reply | None = None
        end: StreamEvent | None = None
        shown = MaskedStream()
        try:
            async with AsyncExitStack() as held, aclosing(self._items(request, call)) as items:
                with stop.breaking():
                    await held.enter_async_context(self.place.slots)
                since = perf_counter()
                # A provider that falls silent in the middle must not keep a stopped run's thread.
                while (item := await stop.next_of(items)) is not None:
                    if isinstance(item, Reply):
                        reply = without_secrets(item)
                    elif item.type == "end":
                        end = item
                    else:
                        for event in shown.passed(item):
                            yield event
            if reply is None or end is None:
                raise StreamCut("the stream ended before the answer did")  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001  all foreign errors end here
            raise await self._failed(call, exc, since) from None
        for event in shown.rest():
            yield event
        await self._commit(call, reply, since)
        yield end

    def _items(self, request: "Request", call: CallRequest | None) -> "AsyncGenerator[StreamEvent | Reply]":
        # Every backend's stream is a generator; the protocol promises less, so that it stays easy to read.
        return cast(
            "AsyncGenerator[StreamEvent | Reply]", self.backend.stream(self.role, request, self._hints(call))
        )

    def _hints(self, call: CallRequest | None) -> Hints:
        if self.calls is None or call is None:
            return Hints(wanted=self.wanted)
        return hints_for(call, self.calls.owner, self.calls.program, self.wanted)

    def _numbered(self, request: "Request") -> CallRequest | None:
        """Return the call with its number among the identical ones of this step; none without a journal."""
        if self.calls is None:
            return None
        asked = meaning(request)
        mark = fingerprint(MODEL_CALL, self.role, asked)
        return CallRequest(
            step=self.calls.step,
            n=self.calls.number(mark),
            fingerprint=mark,
            kind=MODEL_CALL,
            role=self.role,
            request=masked(asked),
            most_usd=self.backend.most(self.role, request, self.wanted),
        )

    async def _reserve(self, call: CallRequest | None) -> CallAnswer | None:
        if self.calls is None or call is None:
            return None
        await self.calls.written()
        answer = await self.calls.ledger.reserve(call)
        if answer is not None:
            self.calls.deployments.add(answer.deployment)
        return answer

    async def _commit(self, call: CallRequest | None, reply: Reply, since: float) -> None:
        if self.calls is None or call is None:
            return
        usage, hit = reply.usage, reply.hit
        answer = CallAnswer(
            response=recorded(reply),
            deployment=reply.deployment,
            model=reply.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=reply.cost_usd,
            latency_ms=_milliseconds(since),
            cached=hit is not None or None,
            cache_hit=None if hit is None else hit.how,
            cache_key=None if hit is None else hit.key,
            saved_usd=None if hit is None else hit.saved_usd,
        )
        self.calls.deployments.add(reply.deployment)
        await self.calls.commit(call, answer)

    async def _failed(self, call: CallRequest | None, exc: Exception, since: float) -> "MillraceError":
        """Journal a failure and return it as ours.

        The foreign error is cut off where ours is raised: its text can hold a key, a prompt or an answer, and
        tracebacks are logged.
        """
        error = translate(exc)
        if error.code == "internal_error":
            # A mistake of ours, not of a provider: its traceback is the only trace that it leaves.
            _log.error("unexpected %s in a model call", type(exc).__name__, exc_info=exc)
        if self.calls is not None and call is not None:
            try:
                await to_the_end(self.calls.ledger.fail(call, error, _milliseconds(since)))
            except Exception as lost:  # noqa: BLE001  the model's error is the one that tells
                _log.warning("a failed call could not be journaled: %s", type(lost).__name__)
        return error


def _milliseconds(since: float) -> float:
    return (perf_counter() - since) * 1000
