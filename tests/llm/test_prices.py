"""Money, exactly."""

from decimal import Decimal

import pytest
from dspy.lm15 import Usage

from llm.prices import Price, cost, from_map, per_million, rounded

MINI = per_million(Decimal("0.15"), Decimal("0.6"), None)


def test_tokens_cost_what_the_price_list_says():
    assert cost(Usage(input_tokens=1_000_000, output_tokens=1_000_000), MINI) == Decimal("0.75")
    assert cost(Usage(input_tokens=1, output_tokens=0), MINI) == Decimal("0.00000015")


def test_a_thousand_small_calls_cost_what_one_large_one_costs():
    """Floats would not add up, and a receipt that does not add up is not believed."""
    small = cost(Usage(input_tokens=7, output_tokens=3), MINI)
    large = cost(Usage(input_tokens=7000, output_tokens=3000), MINI)

    assert small is not None
    assert sum([small] * 1000, Decimal(0)) == large


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(input_tokens=5, output_tokens=5), None),
        (Usage(), MINI),
        (Usage(input_tokens=5), MINI),
        (Usage(input_tokens=5, output_tokens=5, input_audio_tokens=3), MINI),
        (Usage(input_tokens=11, output_tokens=5), Price(Decimal(1), Decimal(1), up_to=10)),
    ],
)
def test_what_is_not_known_is_none_and_never_zero(usage: Usage, price: Price | None):
    assert cost(usage, price) is None


def test_a_free_model_costs_zero_because_somebody_said_so():
    free = per_million(Decimal(0), Decimal(0), None)

    assert cost(Usage(input_tokens=5, output_tokens=5), free) == Decimal(0)


def test_cached_input_has_its_own_price_where_one_is_known():
    usage = Usage(input_tokens=100, output_tokens=0, cache_read_tokens=60, cache_write_tokens=10)
    price = Price(Decimal("1e-6"), Decimal("2e-6"), cached_input=Decimal("1e-7"), cache_write=Decimal("2e-6"))

    assert cost(usage, price) == Decimal("0.000056")
    assert cost(usage, Price(Decimal("1e-6"), Decimal("2e-6"))) == Decimal("0.0001")


def test_reasoning_has_its_own_price_where_one_is_known():
    """Qwen's models take three times as much for it, inside the same count of output."""
    entry = {
        "input_cost_per_token": 0,
        "output_cost_per_token": 1e-6,
        "output_cost_per_reasoning_token": 4e-6,
    }
    usage = Usage(input_tokens=10, output_tokens=100, reasoning_tokens=40)

    assert cost(usage, from_map(entry)) == Decimal("0.00022")
    assert cost(usage, Price(Decimal(0), Decimal("1e-6"))) == Decimal("0.0001")


def test_the_map_is_read_without_the_noise_of_its_floats():
    price = from_map({"input_cost_per_token": 8.000000000000001e-07, "output_cost_per_token": 3e-06})

    assert price == Price(Decimal("8e-7"), Decimal("3e-6"))


def test_the_map_of_a_long_context_model_holds_up_to_its_first_tier():
    price = from_map(
        {
            "input_cost_per_token": 2e-06,
            "output_cost_per_token": 1e-05,
            "input_cost_per_token_above_272k_tokens": 4e-06,
        }
    )

    assert price is not None
    assert price.up_to == 272_000


@pytest.mark.parametrize("entry", [{}, {"input_cost_per_token": 1e-6}, {"mode": "chat"}])
def test_an_entry_without_prices_gives_none(entry: dict[str, object]):
    assert from_map(entry) is None


def test_a_computed_sum_gets_the_ledgers_ten_decimals():
    assert rounded(2.3500000000000003e-06) == Decimal("0.0000023500")
