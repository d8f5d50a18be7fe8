"""What evidence comes to under a policy, and how much depends on a change."""

import pytest

from contracts.evaluation import Interval
from contracts.gate import Confidence, Difference, Evidence, Lane, Lineage, ReplayEvidence
from contracts.program_diff import diff
from contracts.program_policies import PolicyMode, ProgramPolicy, Severity
from contracts.programs import ProgramKind
from contracts.severity import Spread, severity_of
from flows.learning.statistics import compared
from flows.learning.verdict import verdict_of
from tests.fixtures.made_programs import state, unstored

AUTO = ProgramPolicy(mode=PolicyMode.AUTO_LOW_RISK)
BETTER, SAME, WORSE = [1.0] * 15 + [0.0] * 15, [0.0] * 30, [-1.0] * 15 + [0.0] * 15
ALONE = Spread(pipelines=1, chats=0, runs=10)


def exactly(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def replay(
    quality: list[float], cost: float = 0.0, time: float = 0.0, drift: list[float] | None = None
) -> Evidence:
    """Recorded runs whose answers cost 1 and take 100 ms today."""
    lane = Lane(cases=30, failures=0, quality=None, cost_usd=exactly(1), latency_ms=exactly(100))
    moved = Difference(
        quality=compared(drift, [0.0] * len(drift)) if drift else None, cost_usd=None, latency_ms=None
    )
    progress = Difference(
        quality=compared(quality, [0.0] * len(quality)), cost_usd=exactly(cost), latency_ms=exactly(time)
    )
    lanes = {"observed": lane, "active": lane, "candidate": lane}
    return Evidence(
        replay=ReplayEvidence(left_out=0, graded=0, judged=0, **lanes, progress=progress, drift=moved)
    )


def test_what_is_surely_better_and_of_low_severity_may_begin_by_itself():
    found = verdict_of(AUTO, Severity.LOW, replay(BETTER), BETTER, BETTER)
    assert (found.better, found.automatic, found.confidence) == (True, True, Confidence.HIGH)
    assert found.benefit is not None
    assert found.benefit.value == 0.5
    assert found.benefit.low > 0


@pytest.mark.parametrize(
    ("policy", "severity", "evidence", "on_test"),
    [
        (ProgramPolicy(), Severity.LOW, replay(BETTER), BETTER),
        (AUTO, Severity.MEDIUM, replay(BETTER), BETTER),
        (AUTO, Severity.LOW, replay(BETTER), BETTER[10:20]),
        (AUTO, Severity.LOW, replay(BETTER), [1.0, -1.0] * 12 + [1.0]),
        (AUTO, Severity.LOW, replay(BETTER, cost=0.3), BETTER),
        (AUTO, Severity.LOW, replay(BETTER, time=51), BETTER),
    ],
    ids=["approval", "medium", "few cases", "unsure", "dearer", "slower"],
)
def test_whatever_is_not_so_asks_a_person(policy, severity, evidence, on_test):
    found = verdict_of(policy, severity, evidence, on_test, [])
    assert (found.better, found.automatic) == (True, False)


def test_too_few_cases_are_told_and_give_no_confidence():
    found = verdict_of(AUTO, Severity.LOW, replay(BETTER), [1.0] * 5, [1.0] * 5)
    assert found.confidence is Confidence.LOW
    assert "Only 10 cases" in found.notes[0]


def test_recorded_runs_count_where_the_test_split_is_too_small():
    found = verdict_of(AUTO, Severity.LOW, replay(BETTER), [1.0] * 5, BETTER)
    assert found.confidence is Confidence.HIGH
    assert found.benefit is not None
    assert found.benefit.value == pytest.approx(20 / 35, abs=1e-5)


@pytest.mark.parametrize(
    ("evidence", "on_test", "why"),
    [
        (replay(SAME), SAME, "not better"),
        (replay(BETTER), WORSE, "not better"),
        (replay(WORSE), BETTER, "worse on recorded runs"),
        (Evidence(), [], "Nothing could be compared"),
    ],
)
def test_what_is_no_gain_is_refused_with_its_reason(evidence, on_test, why):
    found = verdict_of(AUTO, Severity.LOW, evidence, on_test, [])
    assert (found.better, found.automatic) == (False, False)
    assert why in found.reason


def test_a_small_gain_is_none_when_the_policy_wants_more():
    wanted = ProgramPolicy(minimum_improvement=0.6)
    found = verdict_of(wanted, Severity.LOW, replay(BETTER), BETTER, BETTER)
    assert (found.better, found.reason) == (False, "It gains +0.500, and the policy wants +0.600.")


def test_drift_is_told_and_counts_for_nobody():
    """The model got better by itself: the candidate is as good as the active version, and no better."""
    found = verdict_of(AUTO, Severity.LOW, replay(SAME, drift=BETTER), SAME, SAME)
    assert not found.better
    assert any("answers better today than was recorded (+0.500)" in note for note in found.notes)


def test_an_unknown_price_is_no_low_price():
    evidence = replay(BETTER)
    assert evidence.replay is not None
    evidence.replay.progress.cost_usd = None
    found = verdict_of(AUTO, Severity.LOW, evidence, BETTER, BETTER)
    assert (found.automatic, found.notes) == (False, ["The cost of an answer is not known on recorded runs."])


def changed(before: str, after: str, *demos: tuple[str, str]):
    return diff(unstored(1, state(before)), unstored(2, state(after, *demos)))


@pytest.mark.parametrize(
    ("change", "kind", "spread", "severity"),
    [
        (changed("Sort it.", "Sort it.", ("a", "billing")), ProgramKind.CLASSIFIER, ALONE, Severity.LOW),
        (changed("Sort it.", "Do quite another thing"), ProgramKind.CLASSIFIER, ALONE, Severity.MEDIUM),
        (changed("Sort it.", "Sort it.", ("a", "billing")), ProgramKind.CHAT, ALONE, Severity.MEDIUM),
        (
            *(changed("Sort it.", "Do quite another thing"), ProgramKind.CHAT),
            *(Spread(pipelines=1, chats=30, runs=40), Severity.HIGH),
        ),
        (changed("Sort it.", "Sort it."), ProgramKind.TOOLS, ALONE, Severity.MEDIUM),
        (
            *(changed("Sort it.", "Do quite another thing"), ProgramKind.WRITER),
            *(Spread(pipelines=4, chats=0, runs=40), Severity.HIGH),
        ),
    ],
)
def test_severity_comes_of_size_spread_and_kind(change, kind, spread, severity):
    found, reasons = severity_of(change, kind, spread)
    assert found is severity
    assert len(reasons) == 3


def test_another_model_that_is_as_good_and_cheaper_is_for_a_person_to_weigh():
    """Only there: a candidate that was meant to be better and is not is refused, however cheap."""
    cheaper = replay(SAME, cost=-0.5)
    moved = verdict_of(AUTO, Severity.LOW, cheaper, SAME, [], lineage=Lineage.RECOMPILE)
    assert (moved.better, moved.automatic) == (True, False)
    assert "surely cheaper and not surely worse" in moved.notes[-1]
    assert not verdict_of(AUTO, Severity.LOW, cheaper, SAME, []).better
    for evidence, on_test in ((replay(SAME, cost=0.1), SAME), (replay(WORSE, cost=-0.5), WORSE)):
        assert not verdict_of(AUTO, Severity.LOW, evidence, on_test, [], lineage=Lineage.RECOMPILE).better


def test_another_model_is_never_a_small_change():
    same = diff(unstored(1, state("a")), unstored(2, state("a")))
    assert severity_of(same, ProgramKind.CLASSIFIER, ALONE)[0] is Severity.LOW
    severity, reasons = severity_of(same, ProgramKind.CLASSIFIER, ALONE, model="cheap")
    assert (severity, reasons[-1]) == (Severity.MEDIUM, "It takes the program to another model: cheap.")
