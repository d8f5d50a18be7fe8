"""How much a deployment is asked: places, minutes, money; and who gets the next place."""

import asyncio
from decimal import Decimal

from llm.limits import Limiter
from llm.providers import Limits


class Clock:
    """Monotonic seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limiter(clock: Clock | None = None, usd_per_day: int | None = None, **limits: object) -> Limiter:
    total = None if usd_per_day is None else Decimal(usd_per_day)
    return Limiter({"a": Limits.model_validate(limits), "b": Limits()}, total, clock or Clock())


def test_places_are_taken_and_given_back():
    one = limiter(concurrency=2)

    assert [one.take("a"), one.take("a"), one.take("a"), one.take("b")] == [True, True, False, True]
    one.give_back("a")
    assert one.take("a")


def test_calls_of_the_last_minute_count_and_older_ones_do_not():
    clock = Clock()
    one = limiter(clock, requests_per_minute=2)
    taken = []
    for seconds in (0, 30, 15, 16):
        clock.now += seconds
        taken.append(one.take("a"))
        one.give_back("a") if taken[-1] else None

    assert taken == [True, True, False, True]


def test_tokens_of_the_last_minute_count():
    clock = Clock()
    one = limiter(clock, tokens_per_minute=100)
    assert one.take("a")
    one.give_back("a", tokens=120)

    assert not one.take("a")
    clock.now += 60
    assert one.take("a")


def test_limits_a_minute_are_shared_by_all_workers():
    """Twenty workers that each ask 60 times a minute ask 1,200 times."""
    one = limiter(requests_per_minute=4)
    one.workers = 2

    assert [one.take("a") for _ in range(3)] == [True, True, False]


def test_money_of_today_is_what_all_workers_spent_and_what_this_one_spent_since():
    one = limiter(usd_per_day=5)
    one.spent({"a": Decimal("4.9")})
    assert not one.over_budget("a")

    assert one.take("b")
    one.give_back("b", usd=Decimal("0.1"))

    assert one.over_budget("a")
    assert one.over_budget("b")
    one.spent({})
    assert not one.over_budget("a")


def test_a_deployment_of_its_own_budget_leaves_the_others_alone():
    one = limiter()
    one.limits["a"] = Limits(usd_per_day=Decimal(1))
    one.spent({"a": Decimal(1)})

    assert (one.over_budget("a"), one.over_budget("b")) == (True, False)


async def test_who_waits_gets_the_place_that_is_given_back():
    one = Limiter({"a": Limits(concurrency=1)})
    assert one.take("a")
    waiting = asyncio.create_task(one.wait(["a"], 30))
    await asyncio.sleep(0)
    assert not waiting.done()

    one.give_back("a")

    assert await waiting == "a"


async def test_a_wait_ends():
    one = Limiter({"a": Limits(concurrency=1)})
    assert one.take("a")

    assert await one.wait(["a"], 0.01) is None
