"""A run that must wait leaves its worker from wherever it is: no library on the way up eats the signal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dspy
import prefect.runtime
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from contracts.chat import ChatMode
from contracts.pipelines import PROBE
from contracts.probe import ProbeParams, ProbeResult
from contracts.runs import RunStatus, Waiting, WaitKind
from database.engine import Database
from database.journal.calls import list_calls
from database.queue.runs import get_run
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.parking import Parked
from flows.durable.pipeline import pipeline
from flows.durable.run import Run, current_run, enter_run
from flows.durable.steps import in_parallel, step, step_calls
from flows.durable.thinking import thinking
from flows.durable.versions import Versions
from flows.policies import MODEL_CALL
from llm.door import Door
from llm.ledger import CallAnswer, CallRequest
from modules.echo import Repeat
from modules.programs import PROGRAMS
from modules.streaming import stream_answer
from runtime.clock import utcnow
from tests.fixtures.made_runs import claimed
from tests.fixtures.prefect_server import PrefectServer

# Prefect closes the sockets of its event client late, in a thread of its own.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FOR_MONEY = Waiting(kind=WaitKind.BUDGET, reason="The budget is spent", about="b1")
Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class SpentJournal(Journal):
    """A journal whose run has money for so many calls."""

    enough_for: int = 0
    asked: Any = None

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        self.asked.append(call.n)
        if len(self.asked) > self.enough_for:
            await self.run.waiting_for(FOR_MONEY)
        return await Journal.reserve(self, call)


@pytest.fixture
async def run(database: Database) -> AsyncIterator[Run]:
    """A claimed run in this process, with the offline model behind its door."""
    door = Door.open()
    claim = await claimed(database)
    running = Run(claim.id, 1, "local", "probe", database, door, EventLog(database), Versions(database))
    enter_run(running)
    yield running
    await running.events.close()
    await door.close()


def spend(enough_for: int = 0) -> list[int]:
    """Let the current step's ledger run out of money; returns the calls that were asked for."""
    calls, asked = step_calls(), []
    calls.ledger = SpentJournal(current_run(), enough_for, asked)
    return asked


async def executed(run: Run, server: PrefectServer, work: Work) -> UUID:
    """Execute `work` as a pipeline in Prefect's engine and return its flow run, which must be left alone."""
    flow_run_ids = []

    @pipeline(PROBE)
    async def probe(params: ProbeParams) -> ProbeResult:
        flow_run_ids.append(UUID(prefect.runtime.flow_run.id))
        await work()
        return ProbeResult(first_line_at=utcnow(), steps=params.steps, calls=0)

    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        with pytest.raises(Parked) as parked:
            await probe(ProbeParams())
        assert parked.value.waiting == FOR_MONEY
        async with get_client() as client:
            flow_run = await client.read_flow_run(flow_run_ids[0])
    assert run.parked is not None
    assert flow_run.state.is_running()
    return flow_run.id


async def test_a_flow_parks_by_itself(run: Run, prefect_server: PrefectServer) -> None:
    await executed(run, prefect_server, lambda: current_run().waiting_for(FOR_MONEY))
    async with run.database.read() as session:
        # The worker parks the row, once everything has let go.
        assert (await get_run(session, "local", run.id)).status is RunStatus.RUNNING


async def test_what_holds_already_is_not_waited_for(run: Run) -> None:
    async def came(_session: Any) -> bool:
        return True

    await run.waiting_for(FOR_MONEY, came)
    assert run.parked is None


async def test_a_step_parks_and_is_not_tried_again(run: Run, prefect_server: PrefectServer) -> None:
    tried = []

    @step(MODEL_CALL)
    async def spends() -> None:
        tried.append(1)
        await current_run().waiting_for(FOR_MONEY)

    await executed(run, prefect_server, spends)
    assert tried == [1]


async def test_one_of_many_parallel_steps_parks_the_run(run: Run, prefect_server: PrefectServer) -> None:
    finished = []

    @step(MODEL_CALL, key="number")
    async def part(number: int, _item: str) -> None:
        if number == 2:
            await current_run().waiting_for(FOR_MONEY)
        await asyncio.sleep(30)
        finished.append(number)

    await executed(run, prefect_server, lambda: in_parallel(part, list("abcd"), at_most=4))
    assert finished == []


async def test_parallel_work_that_collects_its_errors_parks_all_the_same(
    run: Run, prefect_server: PrefectServer
) -> None:
    """`gather(return_exceptions=True)` turns the signal into a value that looks like a failed part."""

    async def work() -> None:
        await asyncio.gather(current_run().waiting_for(FOR_MONEY), return_exceptions=True)

    await executed(run, prefect_server, work)


async def test_a_model_call_of_a_program_parks(run: Run, prefect_server: PrefectServer) -> None:
    @step(MODEL_CALL)
    async def thinks() -> None:
        spend()
        with thinking("chat"):
            await dspy.ChainOfThought(Repeat).acall(text="a")

    await executed(run, prefect_server, thinks)


@pytest.mark.parametrize("mode", list(ChatMode))
async def test_a_streamed_answer_parks(run: Run, prefect_server: PrefectServer, mode: ChatMode) -> None:
    kind = PROGRAMS[f"chat.{mode}"]

    @step(MODEL_CALL)
    async def answers() -> None:
        spend()
        program = kind.build()
        with thinking(kind.role):
            async for _piece in stream_answer(
                program, program.streams, message="Hi", history=dspy.History(messages=[]), context=""
            ):
                pass

    await executed(run, prefect_server, answers)


async def test_a_call_from_a_thread_parks(run: Run, prefect_server: PrefectServer) -> None:
    """Optimizers call programs synchronously, in threads."""

    @step(MODEL_CALL)
    async def in_thread() -> None:
        spend()
        with thinking("chat"):
            await asyncio.to_thread(dspy.Predict(Repeat), text="a")

    await executed(run, prefect_server, in_thread)


async def test_threads_of_dspy_park_and_those_left_behind_make_no_further_call(
    run: Run, prefect_server: PrefectServer
) -> None:
    asked: list[int] = []

    @step(MODEL_CALL)
    async def many() -> None:
        nonlocal asked
        asked = spend(enough_for=3)
        program = dspy.Predict(Repeat)
        with thinking("chat"):
            parallel = dspy.Parallel(num_threads=4, disable_progress_bar=True)
            items = [(program, dspy.Example(text=str(n)).with_inputs("text")) for n in range(50)]
            await asyncio.to_thread(parallel, items)

    await executed(run, prefect_server, many)
    await asyncio.sleep(0.2)
    async with run.database.read() as session:
        listed = (await list_calls(session, "local", run.id)).items
        made = [call for call in listed if call.status == "succeeded"]
    assert len(made) == 3
    assert len(asked) > 3
