"""What the results of a canary say, by simulation with fixed seeds: promote, roll back, or wait."""

import random
from datetime import timedelta

import pytest

from contracts.canaries import CanaryPolicy, Decision, Measure, Verdict
from contracts.canary_judgement import PER_CHAT, Answer, Opinion, judge
from runtime.ids import new_id

DAY = timedelta(days=1)
# A wider margin than usual: what needs fewer results is simulated faster.
POLICY = CanaryPolicy(feedback=0.3)


def results(dice, number, *, share=0.5, canary=None, active=None):
    """Return answers and opinions as they come, each arm with its chances and usual amounts."""
    arms = {True: canary or {}, False: active or {}}
    answers, opinions = [], []
    for _ in range(number):
        mine = dice.random() < share
        arm = {"fails": 0.01, "liked": 0.8, "judged": 0.5, "usd": 0.002, "seconds": 1.0, **arms[mine]}
        chat = new_id()
        spread = dice.lognormvariate(0, 0.4)
        answers.append(
            Answer(mine, chat, dice.random() < arm["fails"], arm["usd"] * spread, arm["seconds"] * spread)
        )
        if dice.random() < arm["judged"]:
            opinions.append(Opinion(mine, chat, float(dice.random() < arm["liked"])))
    return answers, opinions


def watched(dice, number, *, policy=POLICY, every=60, **arms):
    """Return the decision of a canary that is looked at again and again, and after how many results."""
    answers, opinions = results(dice, number, **arms)
    chats = {one.chat: n for n, one in enumerate(answers)}
    for seen in range(every, number + 1, every):
        heard = [one for one in opinions if chats[one.chat] < seen]
        look = judge(policy, answers[:seen], heard, DAY)
        if look.decision is not Decision.WAIT:
            return look, seen
    return look, number


def verdicts(look):
    return {one.measure: one.verdict for one in look.measures}


def test_a_canary_that_is_as_good_is_promoted_and_seldom_rolled_back():
    dice = random.Random(1)
    ends = [watched(dice, 800, every=200)[0].decision for _ in range(10)]
    assert ends.count(Decision.ROLLBACK) == 0
    assert ends.count(Decision.PROMOTE) >= 7


@pytest.mark.parametrize(
    ("worse", "measure"),
    [
        ({"fails": 0.4}, Measure.FAILURES),
        ({"liked": 0.3}, Measure.FEEDBACK),
        ({"usd": 0.01}, Measure.COST),
        ({"seconds": 5.0}, Measure.LATENCY),
    ],
)
def test_a_canary_that_is_worse_in_one_measure_is_rolled_back_and_the_reason_names_it(worse, measure):
    dice = random.Random(2)
    for _ in range(5):
        look, _seen = watched(dice, 600, canary=worse)
        assert look.decision is Decision.ROLLBACK
        assert str(measure) in look.why
        assert verdicts(look)[measure] is Verdict.WORSE


def test_a_canary_that_is_worse_than_a_margin_is_not_promoted():
    """It fails in 8 of 100 runs more, and 5 are allowed."""
    dice = random.Random(3)
    ends = [watched(dice, 600, every=150, canary={"fails": 0.09})[0].decision for _ in range(8)]
    assert Decision.PROMOTE not in ends


def test_a_disaster_ends_a_canary_before_its_least_number_of_runs_and_its_least_age():
    dice = random.Random(4)
    answers, opinions = results(
        dice, 60, canary={"liked": 0.0, "judged": 1}, active={"liked": 1, "judged": 1}
    )
    look = judge(CanaryPolicy(fewest=1_000), answers, opinions, timedelta(minutes=1))
    assert look.decision is Decision.ROLLBACK


def test_nothing_is_promoted_before_its_least_number_of_runs_and_its_least_age():
    dice = random.Random(5)
    answers, opinions = results(dice, 800)
    old = judge(POLICY, answers, opinions, DAY)
    young = judge(POLICY, answers, opinions, timedelta(minutes=30))
    few = judge(POLICY.model_copy(update={"fewest": 2_000}), answers, opinions, DAY)
    assert [one.decision for one in (old, young, few)] == [Decision.PROMOTE, Decision.WAIT, Decision.WAIT]
    assert "younger than 1 h" in young.why
    assert "of 2000 runs" in few.why


@pytest.mark.parametrize(
    ("undecided", "decision"),
    [("rollback", Decision.ROLLBACK), ("promote", Decision.PROMOTE), ("keep", Decision.WAIT)],
)
def test_an_open_question_is_decided_by_the_policy_when_the_time_is_over(undecided, decision):
    dice = random.Random(6)
    answers, opinions = results(dice, 30)
    policy = CanaryPolicy(undecided=undecided)
    assert judge(policy, answers, opinions, DAY).decision is Decision.WAIT
    assert judge(policy, answers, opinions, timedelta(days=8)).decision is decision


def test_a_canary_that_nobody_met_is_rolled_back_in_the_end():
    look = judge(POLICY, [], [], timedelta(days=8))
    assert look.decision is Decision.ROLLBACK
    assert "it has answered 0 of 50 runs" in look.why


def test_without_feedback_the_other_measures_promote():
    dice = random.Random(7)
    look, _seen = watched(dice, 900, every=300, canary={"judged": 0}, active={"judged": 0})
    assert (look.decision, verdicts(look)[Measure.FEEDBACK]) == (Decision.PROMOTE, Verdict.SILENT)


def test_unknown_prices_and_kept_answers_do_not_count():
    answers = [Answer(n % 2 == 0, new_id(), failed=False) for n in range(800)]
    look = judge(POLICY, answers, [], DAY)
    assert (verdicts(look)[Measure.COST], verdicts(look)[Measure.LATENCY]) == (Verdict.SILENT, Verdict.SILENT)
    assert look.decision is Decision.PROMOTE


def test_a_model_that_costs_nothing_costs_no_more():
    answers = [Answer(n % 2 == 0, new_id(), failed=False, usd=0.0, seconds=0.5) for n in range(800)]
    cost = judge(POLICY, answers, [], DAY).measures[2]
    assert (cost.measure, cost.verdict, cost.canary, cost.active) == (Measure.COST, Verdict.FINE, 0, 0)
    assert cost.difference == pytest.approx(1)


def test_one_long_chat_does_not_decide():
    """A hundred bad answers in one chat are three; in a hundred chats they end the canary."""
    good = [Opinion(canary=False, chat=new_id(), score=1) for _ in range(100)]
    chat = new_id()
    in_one = [Opinion(canary=True, chat=chat, score=0) for _ in range(100)]
    in_many = [Opinion(canary=True, chat=new_id(), score=0) for _ in range(100)]
    feedback = judge(POLICY, [], [*good, *in_one], DAY).measures[1]
    assert (feedback.canary_n, feedback.verdict) == (PER_CHAT, Verdict.SILENT)
    assert judge(POLICY, [], [*good, *in_many], DAY).decision is Decision.ROLLBACK


def test_one_run_of_an_hour_does_not_decide():
    answers = [Answer(n % 2 == 0, new_id(), failed=False, seconds=1.0) for n in range(400)]
    slow = judge(POLICY, [*answers, Answer(True, new_id(), failed=False, seconds=3_600.0)], [], DAY)
    assert verdicts(slow)[Measure.LATENCY] is Verdict.FINE


def test_a_policy_whose_times_are_out_of_order_is_refused():
    with pytest.raises(ValueError, match="hours_at_least is more than hours_at_most"):
        CanaryPolicy(hours_at_least=3, hours_at_most=2)
