"""Steps: named the same in every attempt, retried only when it can help, parallel without losing order."""

import asyncio
from uuid import uuid4

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows.durable.run import Run, current_run
from flows.durable.steps import in_parallel
from flows.policies import MODEL_CALL, STORE, can_heal
from runtime.errors import BadInput, MillraceError, Unavailable


async def test_parallel_work_keeps_its_order_and_its_bound() -> None:
    under_way, most = 0, 0

    async def work(number: int, item: str) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01 * (3 - number % 3))
        under_way -= 1
        return f"{number}{item}"

    found = await in_parallel(work, list("abcdefgh"), at_most=3)
    assert found == ["0a", "1b", "2c", "3d", "4e", "5f", "6g", "7h"]
    assert most == 3


async def test_the_first_error_of_parallel_work_comes_out_as_it_was_raised() -> None:
    """An exception group would hide the code that callers act on."""
    finished = []

    async def work(number: int, _item: int) -> None:
        if number == 1:
            raise BadInput("no", code="nothing_to_read")
        await asyncio.sleep(5)
        finished.append(number)

    with pytest.raises(BadInput) as raised:
        await in_parallel(work, [0, 1, 2], at_most=3)
    assert raised.value.code == "nothing_to_read"
    assert finished == []


def test_a_retried_step_keeps_its_name_and_a_second_use_gets_another() -> None:
    run = bare_run()
    first, second = uuid4(), uuid4()
    assert run.step_key("draft", first, None) == "draft#1"
    assert run.step_key("draft", second, None) == "draft#2"
    assert run.step_key("draft", first, None) == "draft#1"
    assert run.step_key("part", uuid4(), "7") == "part[7]"


@pytest.mark.parametrize(
    ("error", "heals"),
    [
        (Unavailable("later"), True),
        (TimeoutError(), True),
        (BadInput("never"), False),
        (MillraceError("unknown"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_can_heal_is_retried(error: Exception, heals: bool) -> None:
    assert can_heal(None, None, Failed(data=error)) is heals


def test_policies_leave_caching_and_persistence_to_the_ledger() -> None:
    for policy in (MODEL_CALL, STORE):
        options = policy.task_options()
        assert options["persist_result"] is False
        assert options["cache_policy"] is NO_CACHE


def test_a_flow_outside_a_worker_says_how_to_start_it() -> None:
    with pytest.raises(MillraceError, match="millrace run") as raised:
        current_run()
    assert raised.value.code == "outside_run"


def bare_run() -> Run:
    """A run that touches nothing."""
    nothing = object()
    return Run(uuid4(), 1, "local", "probe", nothing, nothing, nothing, nothing)
