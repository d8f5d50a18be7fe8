"""Group commit: who waits at the same time shares a transaction, and nothing else."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from database.joint import MOST, Apart, Joint, Line
from runtime.errors import BadInput, Unavailable


class Notebook:
    """A database that only remembers which writes it was asked for together; `held` stops it meanwhile."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.problem: Callable[[Sequence[int]], None] = lambda _items: None

    async def write(self, work: Any, told: Any) -> Any:
        return await work(None, told)

    async def one(self, _session: object, item: int) -> int:
        return (await self.many(None, [item]))[0]

    async def many(self, _session: object, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.held.wait()
        self.problem(items)
        return [item * 10 for item in items]

    def line(self) -> Line[int, int]:
        return Line(self.write, Joint(self.one, self.many))


async def test_the_first_goes_at_once_and_those_that_come_meanwhile_go_together():
    notebook = Notebook()
    line = notebook.line()

    outcomes = await asyncio.gather(*(line.written(number) for number in range(50)))

    assert outcomes == [number * 10 for number in range(50)]
    assert notebook.groups == [[0], list(range(1, 50))]


async def test_one_that_is_alone_waits_for_nobody():
    notebook = Notebook()
    line = notebook.line()

    for number in range(3):
        assert await line.written(number) == number * 10

    assert notebook.groups == [[0], [1], [2]]


async def test_a_group_has_a_size_at_most():
    notebook = Notebook()
    line = notebook.line()

    await asyncio.gather(*(line.written(number) for number in range(2 * MOST + 2)))

    assert [len(group) for group in notebook.groups] == [1, MOST, MOST, 1]


async def test_a_transaction_that_waits_for_a_lock_does_not_hold_up_those_that_come_later():
    notebook = Notebook()
    line = notebook.line()
    notebook.held.clear()
    stuck = asyncio.create_task(line.written(1))
    while not notebook.groups:  # noqa: ASYNC110  the line has no event for it
        await asyncio.sleep(0)
    later = asyncio.create_task(line.written(2))
    async with asyncio.timeout(60):
        while len(notebook.groups) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    notebook.held.set()

    assert await asyncio.gather(stuck, later) == [10, 20]


async def test_a_bad_one_fails_nobody_but_itself():
    notebook = Notebook()
    line = notebook.line()

    def refuse(items: Sequence[int]) -> None:
        if 3 in items:
            raise BadInput("three is no number", code="three")

    notebook.problem = refuse

    outcomes = await asyncio.gather(*(line.written(number) for number in range(6)), return_exceptions=True)

    assert isinstance(outcomes[3], BadInput)
    assert [one for one in outcomes if isinstance(one, int)] == [0, 10, 20, 40, 50]


async def test_a_group_that_cannot_be_written_as_one_goes_apart():
    notebook = Notebook()
    line = notebook.line()

    def refuse(items: Sequence[int]) -> None:
        if len(items) > 1:
            raise Apart

    notebook.problem = refuse

    assert await asyncio.gather(*(line.written(number) for number in range(4))) == [0, 10, 20, 30]
    assert notebook.groups == [[0], [1, 2, 3], [1], [2], [3]]


async def test_a_database_that_is_away_is_asked_once_for_the_whole_group():
    notebook = Notebook()
    line = notebook.line()

    def away(_items: Sequence[int]) -> None:
        raise Unavailable("the database does not answer", "database_unavailable")

    notebook.problem = away

    outcomes = await asyncio.gather(*(line.written(number) for number in range(4)), return_exceptions=True)

    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 4, (
        "an error that several raise collects their traces"
    )
    assert notebook.groups == [[0], [1, 2, 3]]


@pytest.mark.parametrize("begun", [False, True], ids=["while it waits", "while it is written"])
async def test_who_is_cancelled_takes_nobody_along(begun: bool):
    notebook = Notebook()
    line = notebook.line()
    notebook.held.clear()
    tasks = [asyncio.create_task(line.written(number)) for number in range(4)]
    async with asyncio.timeout(60):
        while len(notebook.groups) < (2 if begun else 1):  # noqa: ASYNC110
            await asyncio.sleep(0)

    tasks[2].cancel()
    await asyncio.sleep(0)
    notebook.held.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[2], asyncio.CancelledError)
    assert [outcomes[place] for place in (0, 1, 3)] == [0, 10, 30]
    assert (2 in [item for group in notebook.groups for item in group]) is begun
