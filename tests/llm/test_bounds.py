"""What a call can cost at most: never less than what is billed, and never a guess where nobody knows."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from dspy.lm15 import Config, Message, Request

from llm.bounds import Ceiling, most, prompt_tokens, rates
from llm.ledger import StepCalls
from runtime.errors import MillraceError
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor, asked

pytestmark = QUIET
PRICED = Ceiling(Decimal("0.000001"), Decimal("0.000002"), max_input=None, max_output=100)


def limited(tokens: int | None) -> Request:
    return replace(asked(), config=Config(max_tokens=tokens))


def code(found: Decimal | MillraceError) -> str:
    assert isinstance(found, MillraceError)
    return found.code


def test_every_byte_may_be_a_token_and_the_answer_as_long_as_its_limit():
    request = limited(None)
    expected = prompt_tokens(request) * Decimal("0.000001") + 100 * Decimal("0.000002")
    assert most(request, {"one": PRICED}) == expected
    assert prompt_tokens(request) >= len("What is promised?")
    assert prompt_tokens(asked("Ж" * 1000)) - prompt_tokens(asked("")) >= 2000


def test_the_requests_own_limit_counts_before_the_deployments():
    request = limited(10)
    expected = prompt_tokens(request) * Decimal("0.000001") + 10 * Decimal("0.000002")
    assert most(request, {"one": PRICED}) == expected


def test_the_dearest_deployment_of_a_role_is_taken():
    """Any of them may answer in the end."""
    dear = replace(PRICED, output_usd=Decimal("0.001"))
    assert most(limited(None), {"one": PRICED, "two": dear}) == most(limited(None), {"two": dear})


def test_a_prompt_longer_than_the_model_takes_is_refused_there_and_not_billed():
    short = replace(PRICED, max_input=10)
    assert most(limited(100), {"one": short}) == 10 * Decimal("0.000001") + 100 * Decimal("0.000002")


@pytest.mark.parametrize(
    ("ceiling", "reason"),
    [
        (replace(PRICED, input_usd=None), "price_unknown"),
        (replace(PRICED, output_usd=None), "price_unknown"),
        (replace(PRICED, max_output=None), "unbounded_tokens"),
    ],
)
def test_what_nobody_can_bound_is_told_by_its_deployment(ceiling: Ceiling, reason: str):
    found = most(limited(None), {"fine": PRICED, "odd": ceiling})
    assert code(found) == reason
    assert "`odd`" in str(found)


def test_a_picture_counts_as_the_longest_prompt_that_the_model_takes():
    """Its address has few bytes and many tokens."""
    from dspy.lm15 import ImagePart

    picture = Request(
        model="millrace/chat", messages=(Message.user([ImagePart(url="https://example.org/a.png")]),)
    )
    assert code(most(picture, {"one": PRICED})) == "unbounded_tokens"
    known = replace(PRICED, max_input=128_000)
    assert most(picture, {"one": known}) == Decimal("0.1282")


def test_a_free_deployment_needs_no_limits():
    assert most(limited(None), {"own": Ceiling(Decimal(0), Decimal(0))}) == 0


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}, ("0.000003", "0.000015")),
        (
            {
                "input_cost_per_token": 3e-06,
                "input_cost_per_token_above_200k_tokens": 6e-06,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
                "input_cost_per_token_priority": 9e-05,
                "output_cost_per_token": 1.5e-05,
                "output_cost_per_token_above_200k_tokens": 2.25e-05,
            },
            ("0.000012", "0.0000225"),
        ),
        (
            {
                "tiered_pricing": [
                    {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "range": [0, 1]},
                    {"input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, "range": [1, 2]},
                ]
            },
            ("0.000002", "0.000004"),
        ),
    ],
)
def test_the_dearest_rate_of_litellms_map_is_found(entry: dict[str, Any], expected: tuple[str, str]):
    assert rates(entry) == tuple(map(Decimal, expected))
    assert rates({}) == (None, None)


async def test_no_call_over_http_costs_more_than_was_said_before(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    door = await open_door("first", "second", max_tokens=300)
    server.behaviour["*"].text = "word " * 200
    for number, text in enumerate(("short", "Ж" * 3000, "{}[]!?" * 500)):
        await door.lm("chat", StepCalls(ledger, f"step {number}")).acall(request=asked(text))
    for row in ledger.rows.values():
        assert row.answer is not None
        assert isinstance(row.call.most_usd, Decimal)
        assert row.answer.cost_usd is not None
        assert 0 < row.answer.cost_usd <= row.call.most_usd


async def test_the_policy_bounds_answers_that_nothing_else_does(
    open_door: OpenDoor, ledger: NotebookLedger, calls: StepCalls
):
    door = await open_door("first")
    await door.lm("chat", calls).acall(request=asked())
    assert code(ledger.only.call.most_usd) == "unbounded_tokens"
    ledger.rows.clear()
    door = await open_door("first", policies={"unbounded_tokens": 500})
    await door.lm("chat", calls).acall(request=asked())
    assert isinstance(ledger.only.call.most_usd, Decimal)
