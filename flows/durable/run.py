"""The run that is being executed, as the flow's code sees it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from contracts.experiments import Arm
from contracts.programs import State
from contracts.runs import CalledOff, EventKind, RunError, RunStatus, Waiting
from database.engine import Database, ReadSession, WriteSession
from database.joint import Item, Joint, Outcome
from database.journal.replays import recorded_places, replay_of
from database.patience import outlast
from database.queue.leases import finish_run, hold_run, mark_running
from database.queue.parking import Condition
from database.queue.untold import OVERDUE
from flows.durable.earlier import Earlier
from flows.durable.event_log import EventLog
from flows.durable.parking import Parked
from flows.durable.purse import Purse
from llm.door import Door
from llm.stopping import Stop
from runtime.errors import MillraceError
from runtime.masking import masked

if TYPE_CHECKING:
    from flows.durable.versions import Versions

# How long a run that is about to wait stays for its own calls: one whose step was stopped never ends.
IN_FLIGHT_SECONDS = 60.0
IN_FLIGHT_PAUSE_SECONDS = 0.05

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PinnedProgram:
    """The version of a program that a run answers with, in all of its attempts."""

    program: str
    version_id: UUID
    version: int
    state: State
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class MetArm:
    """The arm of an experiment that a run is bound to, and for whom."""

    experiment_id: UUID
    arm: Arm
    subject: str


@dataclass(slots=True)
class Run:
    """One attempt of one run: its identity, and its ways to the database, the models and the log.

    Every write carries the attempt, so a worker that lost its lease changes nothing (`Fenced`). Writes wait
    for a database that is away: its outage costs a run time and nothing else.
    """

    id: UUID
    attempt: int
    owner: str
    pipeline: str
    database: Database
    door: Door
    events: EventLog
    versions: "Versions"
    forked: bool = False
    # Whoever started it, and what they let it do outside besides asking for it.
    started_by: str | None = None
    grants: frozenset[str] = frozenset()
    # The agent in whose name it runs; `database.talk.pins` tells what it is bound to.
    agent_id: UUID | None = None
    begun: bool = False
    # From its end on the row keeps no lease while the engine still has to tell Prefect: nothing to stop.
    ending: bool = False
    called_off: CalledOff | None = None
    lease_lost: bool = False
    stop: Stop = field(default_factory=Stop)
    # Once set, no further call is made: threads that have not heard of it yet are stopped at their next one.
    parked: Parked | None = None
    purse: Purse = field(default_factory=Purse)
    deployments: set[str] = field(default_factory=set)
    earlier: Earlier = field(default_factory=Earlier)
    step_keys: dict[UUID, str] = field(default_factory=dict)
    step_counts: Counter[str] = field(default_factory=Counter)
    programs: dict[str, PinnedProgram] = field(default_factory=dict)
    # By `program:<name>` and `model:<role>`; those of them that were asked, and how many of these are told.
    arms: dict[str, MetArm] = field(default_factory=dict)
    met: list[MetArm] = field(default_factory=list)
    told: int = 0

    def tell(self, kind: EventKind, **data: object) -> None:
        """Put an event into the run's log; it is written within about 25 ms (a cost, a quarter second)."""
        self.events.add(self.id, self.attempt, kind, data)

    async def write(
        self,
        query: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a query function in one transaction that fails when this attempt is no longer current."""

        async def held(session: WriteSession) -> T:
            await hold_run(session, self.id, self.attempt)
            return await query(session, *args, **kwargs)

        return await self.record(held)

    async def record(
        self,
        query: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a query function that fences itself in one transaction, once the database answers."""
        return await outlast(lambda: self.database.write(query, *args, **kwargs))

    async def record_jointly(self, joint: Joint[Item, Outcome], item: Item) -> Outcome:
        """Do a write that fences itself, together with those of other calls that wait, as `record`."""
        return await outlast(lambda: self.database.write_jointly(joint, item))

    async def waiting_for(self, waiting: Waiting, until: Condition | None = None) -> None:
        """Return when `until` holds; else park the run, which then starts from the top when it is woken.

        Nothing holds a worker meanwhile, and finished calls are answered by the ledger after. Call it from a
        step, from the flow itself or from below a model call; in threads by way of the model door's loop.

        Args:
            waiting: for what, in words.
            until: reads whether it has come. It is asked here, and again inside the transaction that parks.
                Without it the run parks in any case.

        Raises:
            Parked: let it pass.
        """
        if until is not None and await self.read(until):
            return
        self.parked = self.parked or Parked(waiting, until)
        await self.go_on()

    async def go_on(self) -> None:
        """Return unless the run is parked or was stopped.

        Raises:
            Parked: it is, and its calls in flight have ended: leaving cancels parallel parts, and an answer
                that is on its way would be paid and thrown away.
            RunStopped: it was; make no call.
        """
        self.stop.check()
        if self.parked is None:
            return
        began = time.monotonic()
        while self.purse.held and time.monotonic() - began < IN_FLIGHT_SECONDS:
            await asyncio.sleep(IN_FLIGHT_PAUSE_SECONDS)
            self.stop.check()
        raise Parked(self.parked.waiting, self.parked.until)

    async def read(
        self,
        query: Callable[Concatenate[ReadSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a query function that only reads, once the database answers."""

        async def asked() -> T:
            async with self.database.read() as session:
                return await query(session, *args, **kwargs)

        return await outlast(asked)

    @property
    def resumed(self) -> bool:
        """Whether calls may be recorded already that this attempt asks for again."""
        return self.attempt > 1 or self.forked

    async def begin(self) -> None:
        """Write that the first line of the flow runs now."""
        await self.record(mark_running, self.id, self.attempt)
        self.begun = True
        if self.resumed:
            self.earlier = Earlier(await self.read(recorded_places, self.id))

    async def end(
        self,
        status: RunStatus,
        *,
        result: dict[str, object] | None = None,
        error: MillraceError | None = None,
    ) -> None:
        """Write the one terminal state, after all events that led to it."""
        self.ending = True
        if self.resumed:
            replay = await self.read(
                replay_of, self.id, self.attempt, to_the_end=status is RunStatus.SUCCEEDED
            )
            self.tell(EventKind.REPLAY, **replay.model_dump())
        await outlast(lambda: self.events.drain(self.id))
        why = told(error) if error else None
        await self.record(finish_run, self.id, self.attempt, status, result=masked(result), error=why)

    def arm_of(self, what: str) -> Arm | None:
        """Return the arm of an experiment on `program:<name>` or `model:<role>` that is asked now."""
        if (found := self.arms.get(what)) is None:
            return None
        if found not in self.met:
            self.met.append(found)
        return found.arm

    def step_key(self, name: str, task_run_id: UUID, key: str | None) -> str:
        """Return the name under which a step's calls are recorded; the same again when it is retried.

        A step that runs several times in parallel gives its own `key` (a part's number), because the
        order in which parallel steps start is not the same in the next attempt.
        """
        if task_run_id not in self.step_keys:
            self.step_counts[name] += 1
            ordinal = self.step_counts[name]
            self.step_keys[task_run_id] = f"{name}[{key}]" if key is not None else f"{name}#{ordinal}"
        return self.step_keys[task_run_id]


def overdue() -> MillraceError:
    """Return the error of a run that its deadline has ended."""
    return MillraceError(OVERDUE.message, code=OVERDUE.code)


def told(error: MillraceError) -> RunError:
    """Return an error as callers see it."""
    return RunError(code=error.code, message=error.message, retryable=error.retryable)


_current: ContextVar[Run] = ContextVar("millrace_run")


def enter_run(run: Run) -> None:
    """Make `run` the current run of this task and of all that it starts."""
    _current.set(run)


def is_parked() -> bool:
    """Return whether a run is being executed here that leaves in order to wait."""
    run = _current.get(None)
    return run is not None and run.parked is not None


def is_fenced() -> bool:
    """Return whether a run is being executed here that another worker has taken over."""
    run = _current.get(None)
    return run is not None and run.lease_lost


def current_run() -> Run:
    """Return the run that is being executed.

    Raises:
        MillraceError: `outside_run`, when a flow was called without a Millrace worker.
    """
    run = _current.get(None)
    if run is None:
        raise MillraceError(
            "this flow was started outside a Millrace worker, so there is no run to record; "
            "start it with `millrace run`, the API or the Prefect UI",
            code="outside_run",
        )
    return run
