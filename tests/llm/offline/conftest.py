"""DSPy on the offline model, with nothing between them but the engine protocol."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request, Response, StreamDeltaEvent, StreamEndEvent, StreamStartEvent, TextDelta

from llm.backend import Reply
from llm.offline import OfflineBackend, answered, pieces


class Engine:
    """The offline model as DSPy's engine; counts the requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[str] = []

    def complete(self, request: Request) -> Response:
        self.requests.append(request)
        response = answered(request)
        self.answers.append(response.text or "")
        return response

    def stream(self, request: Request) -> Iterator[Any]:
        response = self.complete(request)
        yield StreamStartEvent(model=response.model)
        for piece in pieces(response.text or ""):
            yield StreamDeltaEvent(delta=TextDelta(text=piece))
        yield StreamEndEvent(finish_reason=response.finish_reason, usage=response.usage)

    def close(self) -> None:
        """Nothing is open."""


class AsyncEngine:
    """The same for programs that are awaited; streams as the backend does."""

    def __init__(self, sync: Engine) -> None:
        self.sync = sync

    async def complete(self, request: Request) -> Response:
        return self.sync.complete(request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        async for item in OfflineBackend().stream("chat", request):
            if not isinstance(item, Reply):
                yield item

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def offline(engine: Engine) -> Iterator[Engine]:
    """Every DSPy call of the test is answered by the offline model, and a malformed answer is an error."""
    lm = dspy.LM("offline/test", engine=engine, async_engine=AsyncEngine(engine), num_retries=0, cache=False)
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(lm=lm, adapter=adapter, disable_history=True, trace=None):
        yield engine


Predict = Callable[..., dspy.Prediction]


@pytest.fixture
def predict(offline: Engine) -> Predict:
    """Asks a signature of the test once."""
    del offline

    def predict(signature: Any, demos: list[dict[str, Any]] | None = None, **inputs: Any) -> dspy.Prediction:
        program = dspy.Predict(signature)
        program.demos = [dspy.Example(**demo) for demo in demos or []]
        return program(**inputs)

    return predict
