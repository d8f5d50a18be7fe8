"""The run that is being executed, as the flow's code sees it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from contracts.runs import EventKind, RunError, RunStatus
from database.engine import Database, WriteSession
from database.leases import finish_run, hold_run, mark_running
from database.patience import outlast
from flows.durable.event_log import EventLog
from llm.door import Door
from runtime.errors import MillraceError

P = ParamSpec("P")
T = TypeVar("T")


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
    begun: bool = False
    # From its end on the row keeps no lease while the engine still has to tell Prefect: nothing to stop.
    ending: bool = False
    cancel_asked: bool = False
    lease_lost: bool = False
    deployments: set[str] = field(default_factory=set)
    step_keys: dict[UUID, str] = field(default_factory=dict)
    step_counts: Counter[str] = field(default_factory=Counter)

    def tell(self, kind: EventKind, **data: object) -> None:
        """Put an event into the run's log; it is written within about 25 ms."""
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

    async def begin(self) -> None:
        """Write that the first line of the flow runs now."""
        await self.record(mark_running, self.id, self.attempt)
        self.begun = True

    async def end(
        self,
        status: RunStatus,
        *,
        result: dict[str, object] | None = None,
        error: MillraceError | None = None,
    ) -> None:
        """Write the one terminal state, after all events that led to it."""
        self.ending = True
        await outlast(lambda: self.events.drain(self.id))
        why = told(error) if error else None
        await self.record(finish_run, self.id, self.attempt, status, result=result, error=why)

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


def told(error: MillraceError) -> RunError:
    """Return an error as callers see it."""
    return RunError(code=error.code, message=error.message, retryable=error.retryable)


_current: ContextVar[Run] = ContextVar("millrace_run")


def enter_run(run: Run) -> None:
    """Make `run` the current run of this task and of all that it starts."""
    _current.set(run)


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
