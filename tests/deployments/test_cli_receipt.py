"""A receipt for people: the sums that matter, and nothing about what did not happen."""

from decimal import Decimal

from contracts.receipts import CallCounts, ChildRun, MoneyCounts, Receipt
from contracts.runs import RunStatus
from deployments.cli.receipt import lines
from runtime.clock import utcnow
from runtime.ids import new_id

QUIET = CallCounts(
    sent=3, answered=3, failed=0, in_flight=0, copied=0, replayed=0, lost=0, changed=0, left_behind=0
)
NOTHING = Decimal(0)
PAID = MoneyCounts(
    spent_usd=Decimal("0.0000000012"),
    saved_usd=NOTHING,
    lost_at_most_usd=NOTHING,
    reserved_usd=NOTHING,
    unpriced=0,
)


def receipt(calls: CallCounts = QUIET, money: MoneyCounts = PAID) -> Receipt:
    return Receipt(
        run_id=new_id(),
        pipeline="probe",
        status=RunStatus.SUCCEEDED,
        created_at=utcnow(),
        finished_at=utcnow(),
        attempts=[],
        calls=calls,
        money=money,
        seconds_saved=1.25,
        approvals=[],
        changed_steps=["write"],
    )


def test_a_quiet_run_has_two_lines():
    assert list(lines(receipt())) == [
        ("calls answered", "3 (3 sent)"),
        ("money spent", "0.0000000012 USD"),
    ]


def test_what_a_crash_saved_and_what_it_may_have_cost_are_told():
    calls = QUIET.model_copy(update={"sent": 5, "replayed": 2, "lost": 2, "changed": 1, "left_behind": 3})
    money = PAID.model_copy(update={"saved_usd": Decimal("0.5"), "lost_at_most_usd": Decimal("0.02")})
    said = dict(lines(receipt(calls, money)))
    assert said["saved by replay"] == "0.5 USD, 1.2 s"
    assert said["lost in flight"] == "2 calls, at most 0.02 USD more"
    assert said["changed between attempts"] == "1 made anew, 3 left behind: write"


def test_unknown_costs_are_called_unknown():
    money = PAID.model_copy(update={"lost_at_most_usd": None, "unpriced": 1})
    said = dict(lines(receipt(QUIET.model_copy(update={"lost": 1}), money)))
    assert said["lost in flight"] == "1 calls, nobody knows their cost"
    assert said["answers of unknown cost"] == "1, not in these sums"


def test_the_runs_that_it_started_are_told_with_their_money():
    child = ChildRun(run_id=new_id(), pipeline="probe", status=RunStatus.SUCCEEDED, spent_usd=Decimal("0.5"))
    money = PAID.model_copy(update={"children_usd": Decimal("0.5")})
    said = dict(lines(receipt(money=money).model_copy(update={"children": [child]})))
    assert said["runs that it started"] == "1, which have cost 0.5 USD"
