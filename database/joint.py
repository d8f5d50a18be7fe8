"""Group commit: writes of one process that wait at the same time share one transaction.

The first goes at once and alone, so nobody waits for a group to fill. Those that come while it is under way
go together after it: one round trip and one fsync for all, where each would have taken its own. (DeWitt et
al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.)
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from database.patience import AWAY
from database.prepared import Drivers, Plain
from runtime.errors import MillraceError, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
# As many as this are each faster by a prepared statement than all in one of SQLAlchemy's transactions.
FEW = 4

Write = Callable[..., Awaitable[Any]]

# In one transaction at most: what one of them waits for, a lock, all of them wait for.
MOST = 64
# What waits longer for the transaction before it goes beside it, in one of its own.
PATIENCE_SECONDS = 0.1

log = structlog.get_logger()


class Apart(Exception):
    """A group cannot be written as one: each of it goes alone. Raised by `Joint.many` only."""


_Place = tuple[Item, asyncio.Future[Outcome]]


@dataclass(frozen=True, slots=True, eq=False)
class Joint(Generic[Item, Outcome]):
    """A kind of write that can be done for many at once.

    Args:
        one: what a write does; it may be repeated.
        many: does the same for several and returns their outcomes in order. When it raises, nothing is
            written and each of them is done by `one`, so a bad one fails nobody but itself.
        plain: how to do one by prepared statements, if it can be; else it is done by `one`.
    """

    one: Callable[[Any, Item], Awaitable[Outcome]]
    many: Callable[[Any, Sequence[Item]], Awaitable[Sequence[Outcome]]]
    plain: Callable[[Item, Drivers], Plain | None] | None = None


class Line(Generic[Item, Outcome]):
    """Those who wait for one kind of write, and the transactions under way.

    Args:
        write: `Database.write`.
        joint: what is written.
        drivers: of the same database, for the plain way of a write.
    """

    def __init__(self, write: Write, joint: Joint[Item, Outcome], drivers: Drivers | None = None) -> None:
        self._write = write
        self._drivers = drivers
        self._joint = joint
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._impatient: asyncio.TimerHandle | None = None

    async def written(self, item: Item) -> Outcome:
        """Return what became of a write, once it is committed.

        Who is cancelled leaves the line; when its write is under way already, that is done all the same.
        """
        loop = asyncio.get_running_loop()
        place: tuple[Item, asyncio.Future[Outcome]] = (item, loop.create_future())
        self._waiting.append(place)
        if not self._under_way:
            self._go()
        elif self._impatient is None:
            self._impatient = loop.call_later(PATIENCE_SECONDS, self._go)
        outcome: Outcome = await place[1]
        return outcome

    def _go(self) -> None:
        """Begin a transaction for those who wait."""
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
        taken: list[_Place[Item, Outcome]] = []
        while self._waiting and len(taken) < MOST:
            place = self._waiting.popleft()
            if not place[1].done():
                taken.append(place)
        if taken:
            task = asyncio.create_task(self._carry(taken), name="joint-write")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting:
            self._go()

    async def _carry(self, taken: list[_Place[Item, Outcome]]) -> None:
        try:
            left = await self._plainly(taken)
            if len(left) > 1 and await self._together(left):
                return
            await asyncio.gather(*(self._alone(item, outcome) for item, outcome in left))
        finally:
            for _, outcome in taken:  # only when this task itself was cancelled: the loop ends
                outcome.cancel()

    async def _plainly(self, taken: list[_Place[Item, Outcome]]) -> list[_Place[Item, Outcome]]:
        """Write a few by prepared statements, and return those that must go the usual way."""
        drivers, plain = self._drivers, self._joint.plain
        if drivers is None or plain is None or len(taken) > FEW:
            return taken
        ways = [_way(plain, item, drivers) for item, _ in taken]
        done = await asyncio.gather(*(drivers.wrote(way) for way in ways if way is not None))
        gone = iter(done)
        left = []
        for place, way in zip(taken, ways, strict=True):
            if way is None or not next(gone):
                left.append(place)
            elif not place[1].done():
                place[1].set_result(way.outcome)
        return left

    async def _together(self, taken: list[_Place[Item, Outcome]]) -> bool:
        """Write all in one transaction; false when each must go alone."""
        try:
            outcomes = await self._write(self._joint.many, [item for item, _ in taken])
        except Unavailable as error:
            if error.code != AWAY:
                return False
            for _, waiting in taken:
                _tell(waiting, Unavailable(error.message, error.code))
            return True
        except (Apart, MillraceError):
            return False
        except Exception as error:  # noqa: BLE001  whose fault it is shows when each goes alone
            log.warning("a joint write goes apart", writes=len(taken), reason=type(error).__name__)
            return False
        for (_, waiting), outcome in zip(taken, outcomes, strict=True):
            if not waiting.done():
                waiting.set_result(outcome)
        return True

    async def _alone(self, item: Item, waiting: "asyncio.Future[Outcome]") -> None:
        try:
            outcome = await self._write(self._joint.one, item)
        except Exception as error:  # noqa: BLE001  it is told to whom it belongs
            _tell(waiting, error)
        else:
            if not waiting.done():
                waiting.set_result(outcome)


def _way(plain: Callable[[Item, Drivers], Plain | None], item: Item, drivers: Drivers) -> Plain | None:
    try:
        return plain(item, drivers)
    except Exception:  # noqa: BLE001  what is wrong with it is said by the usual way
        return None


def _tell(waiting: "asyncio.Future[Any]", error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)
