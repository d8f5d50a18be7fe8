"""The ways to ask one model that call_overhead compares: LiteLLM bare, DSPy on LiteLLM, and our door."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, cycle
from typing import Any

import dspy
import sqlalchemy as sa
from dspy.clients.engines import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.lm15 import request_from_openai_chat

from benchmarks.model_endpoint import MODEL, PRICE_PER_MILLION
from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.pipelines import PROBE
from contracts.runs import Origin
from database.engine import Database
from database.queue.leases import claim_runs, mark_running
from database.queue.runs import accept_run
from database.spending.budgets import set_budget
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.run import Run
from flows.durable.versions import Versions
from llm.door import Door
from llm.ledger import StepCalls
from llm.quiet_litellm import OWN_CLIENT

ROLE = "chat"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to ask.

    Args:
        name: in the report.
        ours: whether LiteLLM works as our door sets it up for the whole process. A peer has LiteLLM as it
            comes: it neither pays for redacted log records nor gains by another HTTP client.
        ask: makes one call.
        settle: ends what the calls left for later.
    """

    name: str
    ours: bool
    ask: Callable[[], Awaitable[Any]]
    settle: Callable[[], Awaitable[None]] | None = None

    def prepare(self) -> None:
        """Set up the process for a block of calls."""
        import litellm

        litellm.turn_off_message_logging = self.ours
        os.environ[OWN_CLIENT] = str(self.ours)


def question() -> str:
    """Return a question that was never asked before."""
    return f"Is {next(_numbers)} a number?"


def plain_router(base_url: str) -> Any:
    """Return LiteLLM's Router at its best for this: prices given, a timeout, no retries."""
    import litellm

    price = PRICE_PER_MILLION / 1e6
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": base_url,
        "api_key": "none",
        "timeout": 60,
        "input_cost_per_token": price,
        "output_cost_per_token": price,
    }
    return litellm.Router(
        model_list=[{"model_name": MODEL, "litellm_params": parameters}], num_retries=0, timeout=60
    )


def router_alone(router: Any) -> Way:
    """Return LiteLLM's Router without DSPy, asked with the messages that DSPy would send."""
    program = dspy.Predict("question -> answer")
    adapter = dspy.ChatAdapter()

    async def ask() -> None:
        messages = adapter.format(program.signature, [], {"question": question()})
        await router.acompletion(model=MODEL, messages=messages)

    return Way("router", ours=False, ask=ask)


def predict_on_router(router: Any) -> Way:
    """Return a DSPy program on LiteLLM's Router: what people use without Millrace."""
    codec = AsyncLiteLLMEngine()

    class OnRouter:
        """DSPy's own conversion around the Router's call; subclassing would go round the Router."""

        async def complete(self, request: Any) -> Any:
            asked = {**codec._arguments(request), "model": MODEL}  # noqa: SLF001  DSPy's own engine
            return codec._response(await router.acompletion(**asked), request)  # noqa: SLF001

    lm = dspy.LM(
        f"openai/{MODEL}", engine=LiteLLMEngine(), async_engine=OnRouter(), num_retries=0, cache=False
    )
    return Way("predict_on_router", ours=False, ask=predicting(lambda: lm))


def predict_on_door(door: Door) -> Way:
    """Return a DSPy program on our door without a ledger."""
    return Way("door_without_ledger", ours=True, ask=predicting(lambda: door.lm(ROLE)))


async def predict_on_ledger(
    name: str, door: Door, database: Database, runs: int = 1, *, capped: bool = False
) -> Way:
    """Return a DSPy program on our door, its calls recorded for runs under way that take turns.

    As in a worker, the runs share the database and one event log. If `capped`, two budgets count each run.
    """
    events, under_way = await _under_way(database, door, runs)
    if capped:
        for run in under_way:
            for period in (BudgetPeriod.NONE, BudgetPeriod.DAY):
                await database.write(
                    set_budget,
                    run.owner,
                    scope=BudgetScope.RUN,
                    subject=run.id,
                    period=period,
                    cap_usd=Decimal(1000),
                )
    lms = cycle([door.lm(ROLE, StepCalls(Journal(run), "bench#1")) for run in under_way])
    return Way(name, ours=True, ask=predicting(lambda: next(lms)), settle=events.close)


async def messages_on_ledger(
    name: str, door: Door, database: Database, runs: int = 1, role: str = ROLE
) -> Way:
    """Return our door asked with messages and with the ledger, as `flows/completion.py` asks it."""
    program = dspy.Predict("question -> answer")
    adapter = dspy.ChatAdapter()
    events, under_way = await _under_way(database, door, runs)
    engines = cycle([door.engine(role, StepCalls(Journal(run), "bench#1")) for run in under_way])

    async def ask() -> None:
        messages = adapter.format(program.signature, [], {"question": question()})
        await next(engines).complete(request_from_openai_chat({"model": MODEL, "messages": messages}))

    return Way(name, ours=True, ask=ask, settle=events.close)


async def _under_way(database: Database, door: Door, runs: int) -> tuple[EventLog, list[Run]]:
    events = EventLog(database)
    return events, [await running(database, door, events) for _ in range(runs)]


def predicting(lm: Callable[[], dspy.LM]) -> Callable[[], Awaitable[None]]:
    """Return one call of a small program, in the context that `flows.durable.thinking` gives it."""
    program = dspy.Predict("question -> answer")

    async def ask() -> None:
        with dspy.context(lm=lm(), disable_history=True, trace=None):
            answered = await program.acall(question=question())
        if answered.answer != "yes":
            raise RuntimeError(f"the endpoint answered {answered.answer!r}")

    return ask


async def running(database: Database, door: Door, events: EventLog) -> Run:
    """Return a run that has been accepted, claimed and begun, by the functions that the worker uses."""
    await database.write(
        accept_run, pipeline=PROBE.name, pool=PROBE.pool, params={}, owner="bench", origin=Origin.CLI
    )
    (claim,) = await database.write(claim_runs, pool=PROBE.pool, worker="bench", limit=1, lease_seconds=3600)
    await database.write(mark_running, claim.id, claim.attempt)
    return Run(
        claim.id, claim.attempt, claim.owner, claim.pipeline, database, door, events, Versions(database)
    )


@dataclass(slots=True)
class Statements:
    """How many statements a database was asked to execute: for the call ledger, for all else; commits."""

    ledger: int = 0
    other: int = 0
    commits: int = 0


@contextmanager
def counted(database: Database) -> Iterator[Statements]:
    """Count statements; BEGIN, COMMIT, ROLLBACK and the pool's pings are none."""
    found = Statements()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        first = statement.split(None, 1)[0].upper()
        if first in {"BEGIN", "COMMIT", "ROLLBACK"}:
            return
        # On SQLite the run's cost is a statement of its own; on MariaDB it is part of the call's.
        of_ledger = any(word in statement for word in ("calls", "blobs", "budgets", "SET cost_usd"))
        found.ledger += of_ledger
        found.other += not of_ledger

    def commit(_connection: Any) -> None:
        found.commits += 1

    def prepared(statements: list[str]) -> None:
        for statement in statements:
            note(None, None, statement)
        found.commits += 1

    listening = (("before_cursor_execute", note), ("commit", commit))
    for name, heard in listening:
        sa.event.listen(database.engine.sync_engine, name, heard)
    database.drivers.listeners.append(prepared)
    try:
        yield found
    finally:
        database.drivers.listeners.remove(prepared)
        for name, heard in listening:
            sa.event.remove(database.engine.sync_engine, name, heard)
