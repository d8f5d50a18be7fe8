"""Which workers are alive."""

import asyncio

from database.queue.workers import announce_worker, forget_lost_workers, forget_worker, live_workers


async def announce(database, worker="w1", running=0, pool="batch"):
    await database.write(
        announce_worker,
        worker=worker,
        pool=pool,
        host="here",
        pid=1,
        capacity=4,
        running=running,
        models={"roles": ["chat"]},
    )


async def live(database, seconds=15.0, pool=None):
    async with database.read() as session:
        return await live_workers(session, seconds, pool)


async def test_a_worker_that_announces_itself_again_is_one_worker(database):
    await announce(database)
    (first,) = await live(database)
    await announce(database, running=3)
    (worker,) = await live(database)
    assert (worker.id, worker.running, worker.capacity) == ("w1", 3, 4)
    assert worker.models == {"roles": ["chat"]}
    assert worker.started_at == first.started_at
    assert worker.seen_at >= first.seen_at


async def test_a_worker_that_is_silent_is_not_live_and_is_forgotten_later(database):
    await announce(database)
    await asyncio.sleep(0.2)
    assert await live(database, seconds=0.1) == []
    assert await database.write(forget_lost_workers, 60) == 0
    assert await database.write(forget_lost_workers, 0.1) == 1


async def test_workers_can_be_asked_for_by_pool(database):
    await announce(database, "b")
    await announce(database, "i", pool="interactive")
    assert [worker.id for worker in await live(database, pool="interactive")] == ["i"]
    assert [worker.id for worker in await live(database)] == ["b", "i"]


async def test_a_worker_that_leaves_is_gone_at_once(database):
    await announce(database)
    await database.write(forget_worker, "w1")
    await database.write(forget_worker, "w1")
    assert await live(database) == []
