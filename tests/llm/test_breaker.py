"""When a deployment is left alone: what counts, what does not, and what others say."""

import pytest

from llm.breaker import LONGEST_SECONDS, Breaker
from llm.errors import ModelRateLimited, ModelRefused, ModelUnavailable
from llm.providers import Policies
from runtime.errors import MillraceError

DOWN = ModelUnavailable("the server failed")


class Clock:
    """Monotonic seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """Bears two failures, then leaves a deployment alone for 10 s."""
    return Breaker(Policies(allowed_fails=2, cooldown_seconds=10), clock)


def test_some_failures_are_borne_and_one_more_begins_the_rest(breaker: Breaker, clock: Clock):
    rests = []
    for _ in range(3):
        breaker.failed("a", DOWN)
        rests.append(breaker.rest("a"))

    assert rests == [0, 0, 10]
    assert breaker.rest("b") == 0
    clock.now += 10
    assert breaker.rest("a") == 0


def test_failures_that_are_long_ago_or_before_an_answer_do_not_count(breaker: Breaker, clock: Clock):
    """A provider that fails once an hour works."""
    for _ in range(5):
        breaker.failed("a", DOWN)
        clock.now += 11
    for _ in range(5):
        breaker.failed("a", DOWN)
        breaker.answered("a")

    assert breaker.rest("a") == 0


def test_after_a_rest_one_failure_is_enough_until_it_has_answered(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed("a", DOWN)
    clock.now += 10
    breaker.failed("a", DOWN)
    assert breaker.rest("a") == 10

    clock.now += 10
    breaker.answered("a")
    breaker.failed("a", DOWN)

    assert breaker.rest("a") == 0


def test_a_provider_that_names_a_time_is_left_alone_for_so_long(breaker: Breaker):
    for _ in range(3):
        breaker.failed("a", ModelRateLimited("too often", detail={"retry_after": 45}))
        breaker.failed("b", ModelRateLimited("too often", detail={"retry_after": 86_400}))

    assert (breaker.rest("a"), breaker.rest("b")) == (45, LONGEST_SECONDS)


@pytest.mark.parametrize("error", [ModelRefused("a bad request"), MillraceError("a mistake of ours")])
def test_a_request_that_was_wrong_says_nothing_about_the_deployment(breaker: Breaker, error: MillraceError):
    """One caller with a prompt that is too long must not take the model away from all others."""
    for _ in range(10):
        breaker.failed("a", error)

    assert breaker.rest("a") == 0


def test_calls_that_began_before_the_rest_neither_lengthen_nor_end_it(breaker: Breaker, clock: Clock):
    for _ in range(3):
        breaker.failed("a", DOWN)
    clock.now += 4

    breaker.failed("a", DOWN)
    breaker.answered("a")

    assert breaker.rest("a") == 6


def test_what_another_worker_saw_is_heeded_and_not_told_again(breaker: Breaker):
    """Twenty workers would tell each other of the same trip for ever."""
    breaker.heed("a", 7)

    assert breaker.rest("a") == 7
    assert breaker.take_tripped() == {}


def test_a_trip_is_told_once(breaker: Breaker):
    for _ in range(3):
        breaker.failed("a", DOWN)

    assert breaker.take_tripped() == {"a": 10}
    assert breaker.take_tripped() == {}
