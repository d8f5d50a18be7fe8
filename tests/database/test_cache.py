"""Kept answers in the database: found, counted, aged, and removed for want of room."""

import asyncio
from decimal import Decimal

from contracts.cache import CacheCounts, KeptAnswer
from database.gateway.cache import cache_statistics, clear_cache, find_answer, tell_cache, tidy_cache


def answer(key="k1", owner="ada", seconds=60.0, size=100) -> KeptAnswer:
    return KeptAnswer(
        key=key.ljust(64, "0"),
        owner=owner,
        role="chat",
        response={"message": {"text": "good: ünïcode 🙂"}},
        deployment="gpt",
        model="gpt-5-mini",
        input_tokens=10,
        output_tokens=None,
        cost_usd=Decimal("0.0000000001"),
        latency_ms=12.5,
        seconds=seconds,
        size=size,
    )


async def found(database, key):
    async with database.read() as session:
        return await find_answer(session, key.ljust(64, "0"))


async def statistics(database, owner="ada"):
    async with database.read() as session:
        return await cache_statistics(session, owner)


async def test_an_answer_comes_back_as_it_was(database):
    await database.write(tell_cache, [answer()], {}, {})

    back = await found(database, "k1")

    assert back is not None
    assert 50 < back.seconds <= 60
    assert (back.response, back.cost_usd, back.output_tokens) == (
        answer().response,
        Decimal("0.0000000001"),
        None,
    )
    assert await found(database, "k2") is None


async def test_an_answer_that_is_too_old_is_not_used_and_is_removed(database):
    await database.write(tell_cache, [answer(seconds=0.05), answer("k2")], {}, {})
    await asyncio.sleep(0.1)

    assert await found(database, "k1") is None
    await database.write(tidy_cache, 10_000)
    assert (await statistics(database)).entries == 1


async def test_two_workers_that_kept_the_same_answer_keep_one(database):
    await asyncio.gather(*(database.write(tell_cache, [answer()], {}, {}) for _ in range(5)))

    assert (await statistics(database)).entries == 1


async def test_without_room_the_longest_unused_go_first(database):
    for key in ("k1", "k2", "k3"):
        await database.write(tell_cache, [answer(key)], {}, {})
        await asyncio.sleep(0.01)
    await database.write(tell_cache, [], {"k1".ljust(64, "0"): 3}, {})

    assert await database.write(tidy_cache, 250) == 1

    assert [await found(database, key) is not None for key in ("k1", "k2", "k3")] == [True, False, True]
    assert (await statistics(database)).evicted == 1


async def test_statistics_are_the_owners_own_and_add_up(database):
    counts = CacheCounts(hits=3, misses=1, kept=1, saved_usd=Decimal("0.03"), saved_ms=1500)
    await database.write(tell_cache, [answer()], {}, {("ada", "chat"): counts, ("uma", "chat"): counts})
    await database.write(tell_cache, [], {}, {("ada", "chat"): counts})

    (role,) = (await statistics(database)).roles

    assert (role.hits, role.misses, role.hit_rate) == (6, 2, 0.75)
    assert (role.saved_usd, role.saved_seconds) == (Decimal("0.06"), 3.0)
    assert (await statistics(database, "uma")).entries == 0


async def test_an_owner_forgets_only_their_own(database):
    await database.write(tell_cache, [answer("k1"), answer("k2", owner="uma")], {}, {})

    assert await database.write(clear_cache, "ada") == 1

    assert await found(database, "k1") is None
    assert await found(database, "k2") is not None
