"""The results database of one process: sessions to read, transactions to write.

The only commit of the code base is in `Database.write`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session

from database.connections import WRITES, build_engine
from database.faults import lost_a_race, translated
from database.joint import Item, Joint, Line, Outcome
from database.prepared import Drivers
from database.settings import DatabaseSettings

P = ParamSpec("P")
T = TypeVar("T")

_TRIES = 10
# A try may wait for a lock for seconds (DATABASE_LOCK_SECONDS); after this time there is no further one.
_RETRY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5


class _ReadOnly(Session):
    """The synchronous half of a read session."""


class ReadSession(AsyncSession):
    """A session that reads. What it is asked to write, it refuses."""

    sync_session_class: Any = _ReadOnly


class WriteSession(ReadSession):
    """A session inside a transaction that `Database.write` commits. It can read as well."""

    sync_session_class: Any = Session


@event.listens_for(_ReadOnly, "do_orm_execute")
def _refuse_writes(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        raise TypeError("a read session cannot write: use Database.write")


def open_database(settings: DatabaseSettings) -> "Database":
    """Return the database that the settings name. It connects at its first use.

    One per event loop; close it before the loop ends.

    Raises:
        ConfigurationProblem: the URL names no database that can be used.
    """
    return Database(build_engine(settings))


class Database:
    """A pool of connections, and the two ways to use one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(**WRITES)
        self._lines: dict[Joint[Any, Any], Line[Any, Any]] = {}
        # SQLite has one writer at a time and no queue: waiters poll, and the unlucky one gives up.
        # Those of one process queue here; those of others still poll.
        self._turn: AbstractAsyncContextManager[Any] = (
            asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        )
        self.drivers = Drivers(engine, self._turn)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Yield a session that reads.

        Raises:
            Unavailable: `database_unavailable` or `database_timeout`.
            ConfigurationProblem: the tables are missing or the login is refused.
        """
        with _our_errors():
            async with ReadSession(self.engine, expire_on_commit=False) as session:
                yield session

    async def write(
        self,
        work: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(session, *args, **kwargs)` in one transaction, commit it, and return its result.

        When the transaction loses against another one (a deadlock, a lock), all of it runs again, so
        `work` must change nothing but the database. No try begins later than 10 s after the first one. When
        it raises, nothing is written.

        Raises:
            Unavailable: `database_unavailable` or `database_timeout`. After a connection that was lost
                during the commit itself, the work may be done: only a unique key makes it safe to repeat.
            ConfigurationProblem: the tables are missing or the login is refused.
        """
        deadline = time.monotonic() + _RETRY_SECONDS
        with _our_errors():
            for pause in _pauses():
                try:
                    return await self._write_once(work, *args, **kwargs)
                except DBAPIError as error:
                    if not lost_a_race(error) or time.monotonic() + pause >= deadline:
                        raise
                await asyncio.sleep(pause)
            return await self._write_once(work, *args, **kwargs)

    async def write_jointly(self, joint: Joint[Item, Outcome], item: Item) -> Outcome:
        """Do one write in a transaction that it shares with those that wait at the same time; as `write`.

        Whoever is cancelled meanwhile may have been written.
        """
        line = self._lines.get(joint)
        if line is None:
            line = self._lines[joint] = Line(self.write, joint, self.drivers)
        outcome: Outcome = await line.written(item)
        return outcome

    async def ping(self) -> float:
        """Return how many milliseconds the smallest question takes.

        Raises:
            Unavailable: there is no answer.
        """
        began = time.perf_counter()
        async with self.read() as session:
            await session.execute(text("SELECT 1"))
        return (time.perf_counter() - began) * 1000

    async def close(self) -> None:
        """Close all connections."""
        await self.drivers.close()
        await self.engine.dispose()

    async def _write_once(
        self,
        work: Callable[Concatenate[WriteSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async with self._turn, WriteSession(self._writing, expire_on_commit=False) as session:
            result = await work(session, *args, **kwargs)
            await session.commit()
            return result


def _pauses() -> Iterator[float]:
    """Yield the seconds before each further try: exponential, with full jitter."""
    for number in range(_TRIES - 1):
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**number)
        yield random.uniform(0, longest)  # noqa: S311  spreads load, guards nothing


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, ConnectionError) as error:
        ours = translated(error)
        if ours is None:
            raise
        raise ours from error
