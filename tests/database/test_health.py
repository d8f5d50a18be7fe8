"""How models are doing, as all workers tell it together."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from contracts.models import Seen, bucket_of, percentiles
from database.gateway.health import (
    claim_probe,
    end_rest,
    forget_latencies,
    list_deployments,
    shared_health,
    tell_health,
)
from database.gateway.models import register_models
from database.queue.workers import announce_worker
from runtime.clock import utcnow
from tests.database.test_models import entry


async def shared(database):
    async with database.read() as session:
        return await shared_health(session)


async def doing(database, name="gpt"):
    async with database.read() as session:
        return {one.name: one for one in await list_deployments(session)}[name]


async def test_what_two_workers_saw_is_one_picture(database):
    await database.write(register_models, [entry()])
    at = utcnow()
    seen = Seen(3, 1, 300, 30, Decimal("0.0012"), 1, {bucket_of(100): 2, bucket_of(900): 1}, at, at, "x")
    await database.write(tell_health, {"gpt": seen}, {})
    await database.write(tell_health, {"gpt": seen}, {})

    found = await doing(database)

    assert (found.answers, found.failures, found.error_rate, found.error) == (6, 2, 0.25, "x")
    assert found.answered_at is not None
    assert abs(found.answered_at - at) < timedelta(milliseconds=1)
    assert 100 <= found.p50_ms <= 125
    assert 900 <= found.p99_ms <= 1125
    assert found.today.model_dump() == {
        "answers": 6,
        "failures": 2,
        "input_tokens": 600,
        "output_tokens": 60,
        "cost_usd": Decimal("0.0024"),
        "unpriced": 2,
    }
    assert (await shared(database)).usd_today == {"gpt": Decimal("0.0024")}


async def test_a_rest_that_one_worker_begins_is_known_to_all_until_it_ends(database):
    """Twenty workers must not each learn of an outage by failing."""
    await database.write(register_models, [entry(), entry("other")])
    await database.write(tell_health, {}, {"gpt": 30})
    await database.write(tell_health, {}, {"gpt": 5})  # a shorter one ends nothing

    found = await shared(database)

    assert found.rests.keys() == {"gpt"}
    assert 5 < found.rests["gpt"] <= 30
    assert found.known == {"gpt", "other"}
    assert (await doing(database)).rests_until is not None
    await database.write(end_rest, "gpt")
    assert (await shared(database)).rests == {}


async def test_a_rest_that_is_over_is_not_told(database):
    await database.write(register_models, [entry()])
    await database.write(tell_health, {}, {"gpt": 0.05})
    await asyncio.sleep(0.1)

    assert (await shared(database)).rests == {}
    assert (await doing(database)).rests_until is None


async def test_one_worker_probes_in_each_period(database):
    await database.write(register_models, [entry()])

    claims = await asyncio.gather(*(database.write(claim_probe, "gpt", 60) for _ in range(5)))

    assert sorted(claims) == [False, False, False, False, True]
    assert not await database.write(claim_probe, "gpt", 60)
    await asyncio.sleep(0.05)
    assert await database.write(claim_probe, "gpt", 0.01)


async def test_limits_are_shared_by_the_workers_that_live(database):
    assert (await shared(database)).workers == 1
    for worker in ("w1", "w2"):
        here = {"host": "h", "pid": 1, "capacity": 1, "running": 0}
        await database.write(announce_worker, worker=worker, pool="batch", **here)

    assert (await shared(database)).workers == 2


async def test_histograms_that_nobody_looks_at_are_removed(database):
    await database.write(register_models, [entry()])
    await database.write(tell_health, {"gpt": Seen(answers=1, latencies={3: 1})}, {})

    assert await database.write(forget_latencies) == 0
    assert (await doing(database)).answers == 1


def test_percentiles_of_a_histogram():
    assert percentiles({}, (0.5,)) == [None]
    assert percentiles({bucket_of(10): 99, bucket_of(1_000): 1}, (0.5, 0.99, 0.999))[:2] == [10, 10]
    assert percentiles({bucket_of(10): 99, bucket_of(1_000): 1}, (0.999,))[0] >= 1000
    assert percentiles({bucket_of(10**9): 1}, (0.5,))[0] > 100_000
