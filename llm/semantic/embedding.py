"""Vectors of questions, asked for through the journal of the step that asks the question.

The call is written down, priced and counted in budgets as a model's is, and a resumed run is answered from
the ledger. But nothing waits for it: where no vector is to be had (no money, no provider, too late), the
question is asked as if there were no semantic cache.
"""

import base64
import logging
from dataclasses import dataclass
from time import perf_counter

from contracts.calls import EMBEDDING, CallAnswer, CallRequest
from llm.backend import Embedding, Vector
from llm.errors import translate
from llm.fingerprint import fingerprint
from llm.ledger import StepCalls, to_the_end
from llm.providers import EMBEDDER
from runtime.masking import masked

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Embedder:
    """Makes the vectors of one step's questions.

    Args:
        inner: who is asked.
        calls: where the calls are journaled; none writes nothing.
        identity: what makes its vectors comparable: deployment, model and settings.
    """

    inner: Embedding
    calls: StepCalls | None
    identity: str

    async def vector(self, text: str) -> bytes:
        """Return the vector of a text, from the ledger when it was made before in this step.

        Raises:
            MillraceError: there is none; the question can be asked without.
        """
        if self.calls is None:
            return (await self.inner.embed(text)).data
        asked = {"input": text}
        mark = fingerprint(EMBEDDING, EMBEDDER, asked)
        call = CallRequest(
            step=self.calls.step,
            n=self.calls.number(mark),
            fingerprint=mark,
            kind=EMBEDDING,
            role=EMBEDDER,
            request=masked(asked),
            most_usd=self.inner.most_for(text),
            waits=False,
        )
        if (known := await self.calls.ledger.reserve(call)) is not None:
            return base64.b64decode(known.response["vector"])
        since = perf_counter()
        try:
            found = await self.inner.embed(text)
        except Exception as exc:  # noqa: BLE001  all foreign errors end here
            error = translate(exc)
            _log.info("a question has no vector: %s", error.code)
            await to_the_end(self.calls.ledger.fail(call, error, _milliseconds(since)))
            raise error from None
        await to_the_end(self.calls.ledger.commit(call, _answer(found, _milliseconds(since))))
        return found.data


def _answer(found: Vector, latency_ms: float) -> CallAnswer:
    return CallAnswer(
        response={"vector": base64.b64encode(found.data).decode()},
        deployment=found.deployment,
        model=found.model,
        input_tokens=found.usage.input_tokens,
        output_tokens=found.usage.output_tokens,
        cost_usd=found.cost_usd,
        latency_ms=latency_ms,
    )


def _milliseconds(since: float) -> float:
    return (perf_counter() - since) * 1000
