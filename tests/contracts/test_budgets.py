"""When a budget begins anew: in UTC, whatever clock asks."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from contracts.budgets import BudgetPeriod


@pytest.mark.parametrize(
    ("period", "began", "ends"),
    [
        (BudgetPeriod.DAY, datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (BudgetPeriod.WEEK, datetime(2024, 2, 26, tzinfo=UTC), datetime(2024, 3, 4, tzinfo=UTC)),
        (BudgetPeriod.MONTH, datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (BudgetPeriod.NONE, None, None),
    ],
)
def test_a_period_begins_and_ends_at_midnight_utc(period: BudgetPeriod, began, ends):
    # Half past eleven in the evening in New York is the next day already.
    at = datetime(2024, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert (period.began(at), period.ends(at)) == (began, ends)


def test_the_last_month_of_a_year_ends_with_it():
    assert BudgetPeriod.MONTH.ends(datetime(2025, 12, 31, 23, 59, tzinfo=UTC)) == datetime(
        2026, 1, 1, tzinfo=UTC
    )


def test_each_period_ends_where_the_next_begins():
    at = datetime(2023, 12, 25, 12, tzinfo=UTC)
    for period in (BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH):
        end = period.ends(at)
        assert end is not None
        assert period.began(end) == end
