"""The troubles: each does one harmful thing for real, and notes whether it hit."""

import asyncio
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import pymysql

from tests.chaos.load import Load
from tests.chaos.plan import Trouble
from tests.chaos.stack import ChaosStack, Part, WorkerPart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Long, because a worker on a busy machine takes a minute to come back.
FIND_SECONDS = 240.0
# What a run must wait for, and how long after its kill it may still be starting.
AWAY: tuple[Trouble, ...] = ("kill prefect", "kill mariadb", "outages", "freeze worker", "kill worker")
COMES_BACK = timedelta(seconds=20)
STORMS = (
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "status", "status": 500},
    {"kind": "hang"},
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "cut"},
)


@dataclass(frozen=True, slots=True)
class Killed:
    """An attempt whose worker was killed or frozen, and when."""

    run_id: str
    attempt: int
    at: datetime
    how: str


@dataclass(frozen=True, slots=True)
class Made:
    """A trouble that hit, and from when to when it was made."""

    trouble: Trouble
    began: datetime
    ended: datetime


@dataclass
class Troubles:
    """Makes trouble. `confirmed` counts what hit: a process that was alive, with runs in flight, and died."""

    stack: ChaosStack
    load: Load
    confirmed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    killed: list[Killed] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    frozen: set[int] = field(default_factory=set)

    async def make(self, trouble: Trouble, chance: random.Random) -> None:
        """Do one of the plan's troubles and count it."""
        ways: dict[Trouble, Callable[[random.Random], Awaitable[bool]]] = {
            "kill worker": self._kill_worker,
            "kill api": lambda how: self._kill(self.stack.api, how.uniform(0, 2)),
            "kill prefect": lambda how: self._kill(self.stack.prefect, how.uniform(0, 3)),
            "kill mariadb": lambda how: self._kill(self.stack.database, how.uniform(0, 4)),
            "freeze worker": self._freeze_worker,
            "outages": self._outages,
            "storm": self._storm,
            "duplicates": self._duplicates,
        }
        began = datetime.now(UTC)
        hit = await ways[trouble](chance)
        (self.confirmed if hit else self.missed)[trouble] += 1
        if hit:
            self.made.append(Made(trouble, began, datetime.now(UTC)))

    def disturbed(self, killed: Killed, until: datetime) -> bool:
        """Return whether Prefect, the database or another worker was away too before a run went on."""
        away = [each for each in self.made if each.trouble in AWAY]
        others = [each for each in away if not each.began <= killed.at <= each.ended]
        return any(each.began < until and killed.at < each.ended + COMES_BACK for each in others)

    async def keep_running(self) -> None:
        """Start again what died, once its time of rest is over."""
        while True:
            for part in self.stack.parts:
                if not part.running and monotonic() >= part.down_until:
                    try:
                        await asyncio.to_thread(part.start)
                    except (RuntimeError, OSError, pymysql.Error):
                        # Killed again while it started.
                        continue
            await asyncio.sleep(0.1)

    async def _kill_worker(self, chance: random.Random) -> bool:
        victim = await self._busy_worker(chance)
        if victim is None:
            return False
        part, runs = victim
        at = datetime.now(UTC)
        hit = part.kill(chance.uniform(0, 3))
        how = "lease" if part.worker.machine == "lost" else "neighbour"
        self.killed += [Killed(run_id, attempt, at, how) for run_id, attempt in runs if hit]
        return hit

    async def _freeze_worker(self, chance: random.Random) -> bool:
        """Stop a worker for longer than its lease, and let it go on."""
        victim = await self._busy_worker(chance)
        if victim is None:
            return False
        part, runs = victim
        pid, at = part.pid, datetime.now(UTC)
        part.send(signal.SIGSTOP)
        self.frozen.add(pid)
        await asyncio.sleep(self.stack.plan.lease_seconds + chance.uniform(3, 6))
        slept = part.pid == pid != 0
        part.send(signal.SIGCONT)
        self.frozen.discard(pid)
        self.killed += [Killed(run_id, attempt, at, "frozen") for run_id, attempt in runs if slept]
        return slept

    async def _kill(self, part: Part, down_seconds: float) -> bool:
        """Kill a process while it is there and runs are in flight."""

        async def in_use() -> bool:
            return part.running and bool(await self._in_flight())

        return await self._soon(in_use) and part.kill(down_seconds)

    async def _outages(self, chance: random.Random) -> bool:
        """Take the database away for 0 to 5 s every few seconds, three times."""
        hits = 0
        for _ in range(3):
            hits += await self._outage(chance)
            await asyncio.sleep(chance.uniform(1, 4))
        return hits > 1

    async def _outage(self, chance: random.Random) -> bool:
        """Let the database hang; every other time kill it and keep it down as long."""
        seconds, database = chance.uniform(0, 5), self.stack.database
        if chance.random() < 0.5:
            return await self._kill(database, seconds)

        async def there() -> bool:
            return database.running

        if not await self._soon(there):
            return False
        pid = database.pid
        database.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        database.send(signal.SIGCONT)
        return database.pid == pid != 0

    async def _storm(self, chance: random.Random) -> bool:
        """Let the provider answer wrongly, in every way that there is and in any order."""
        before = self.stack.model.total().faults
        for fault in chance.sample(STORMS, len(STORMS)):
            self.stack.model.fail("*", **{**fault, "times": chance.randint(1, 2), "rate": 0.7})

        async def felt() -> bool:
            return self.stack.model.total().faults > before

        return await self._soon(felt)

    async def _duplicates(self, chance: random.Random) -> bool:
        await self.load.all_at_once(chance, self.stack.plan.at_once)
        return True

    async def _busy_worker(self, chance: random.Random) -> tuple[WorkerPart, list[tuple[str, int]]] | None:
        """Return a worker that has begun runs, and those; none when there is none for a while.

        A frozen one is left to sleep: killed, it would never come back late, which is what it sleeps for.
        """
        victims: list[tuple[WorkerPart, list[tuple[str, int]]]] = []

        async def found() -> bool:
            busy = await self._in_flight()
            awake = [part for part in self.stack.workers if part.pid not in self.frozen]
            victims[:] = [(part, busy[part.pid]) for part in awake if part.pid in busy]
            return bool(victims)

        return chance.choice(victims) if await self._soon(found) else None

    async def _soon(self, condition: "Callable[[], Awaitable[bool]]") -> bool:
        deadline = monotonic() + FIND_SECONDS
        while not await condition():
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _in_flight(self) -> dict[int, list[tuple[str, int]]]:
        try:
            return await asyncio.to_thread(self.stack.in_flight)
        except pymysql.Error:
            return {}
