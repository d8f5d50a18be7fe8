"""The gate on the example program: what is better asks or begins, what is not is refused."""

from decimal import Decimal
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from contracts.approvals import ApprovalStatus, Decision
from contracts.examples import NewFeedback
from contracts.gate import GateParams, GateResult
from contracts.program_policies import PolicyMode, ProgramPolicy
from contracts.programs import VersionOrigin
from database.learning.examples import all_examples
from database.learning.feedback import give_run_feedback
from database.learning.policies import set_policy
from database.learning.programs import NewVersion, add_version, get_version
from database.learning.replayed import list_replayed
from database.learning.serving import promote
from database.queue.approvals import decide, get_approval, list_approvals
from flows.durable.run import Run
from flows.learning.recommending import see_through
from modules.programs import build, signature_of
from runtime.errors import BadInput, Conflict, MillraceError, NotAllowed
from runtime.personal import masked
from tests.fixtures.deciders import decider
from tests.fixtures.gate_stage import ADA, AUTO, NAME, SHIPPED, Stage

pytestmark = [
    pytest.mark.timeout(300),
    # Prefect closes the sockets of its event client late, in a thread of its own.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def test_a_better_candidate_asks_and_begins_when_somebody_approves_it(stage: Stage):
    run = await stage.gated(2)
    assert isinstance(run, Run)
    made = await stage.recommendation()
    assert (made.status, made.severity, made.confidence) == ("open", "low", "high")
    assert made.benefit is not None
    assert made.benefit.low > 0.1
    assert made.evidence.test is not None
    assert made.evidence.test.progress.quality is not None
    assert made.evidence.test.candidate.cases == made.evidence.test.active.cases > 20
    assert len(made.diff.predictors[0].demos_added) == 12
    assert all(case.difference < 0 for case in made.worse)
    async with stage.database.read() as session:
        (asked,) = (await list_approvals(session, "local")).items
    assert (asked.digest, asked.needs_scope) == (made.digest, "programs:promote")
    spent = await stage.calls(run.id)
    yes = (Decision.APPROVE, asked.digest)
    with pytest.raises(Conflict, match="something else"):
        await stage.database.write(decide, "local", asked.id, Decision.APPROVE, "0" * 64, by=decider("bob"))
    await stage.database.write(decide, "local", asked.id, *yes, by=decider("bob"), comment="good")
    found = await stage.gone_on(GateParams(program=NAME, version=2))
    assert isinstance(found, GateResult)
    assert (found.outcome, found.recommendation_id) == ("applied", made.id)
    assert await stage.calls(run.id) == spent
    async with stage.database.read() as session:
        candidate = await get_version(session, "local", NAME, 2)
    assert candidate.status == "canary"
    applied = await stage.recommendation()
    assert (applied.status, applied.decided_by, applied.reason) == ("applied", "bob", "good")


async def test_who_imported_a_version_may_not_approve_it_under_four_eyes(stage: Stage):
    """Otto lets the gate compare what Uma imported: it takes somebody else to approve it."""
    await stage.database.write(set_policy, ADA, NAME, ProgramPolicy(four_eyes=True))
    theirs = NewVersion(
        {"sort": {**stage.better.state["sort"], "demos": stage.better.state["sort"]["demos"][:11]}},
        *(stage.better.signature, VersionOrigin.IMPORT),
        imported_by="user:uma",
    )
    version, _ = await stage.database.write(add_version, "local", NAME, theirs)
    await stage.gated(version.version, started_by="user:otto")
    async with stage.database.read() as session:
        (one,) = (await list_approvals(session, "local")).items
        asked = await get_approval(session, "local", one.id)
    assert asked.not_by == ["user:otto", "user:uma"]
    yes = (Decision.APPROVE, asked.digest)
    for name in ("user:uma", "user:otto"):
        with pytest.raises(NotAllowed, match="your own work"):
            await stage.database.write(decide, "local", asked.id, *yes, by=decider(name))
    decided = await stage.database.write(decide, "local", asked.id, *yes, by=decider("user:ada"))
    assert decided.status is ApprovalStatus.APPROVED


async def test_a_refusal_ends_it(stage: Stage):
    await stage.gated(2)
    async with stage.database.read() as session:
        (asked,) = (await list_approvals(session, "local")).items
    no = (Decision.REJECT, asked.digest)
    await stage.database.write(decide, "local", asked.id, *no, by=decider("bob"), comment="not now")
    found = await stage.gone_on(GateParams(program=NAME, version=2))
    assert isinstance(found, GateResult)
    assert (found.outcome, found.reason) == ("refused", "not now")


async def test_a_policy_lets_what_is_surely_better_begin_by_itself(stage: Stage):
    await stage.database.write(set_policy, ADA, NAME, AUTO)
    found = await stage.gated(2)
    assert isinstance(found, GateResult)
    assert found.outcome == "applied"
    assert (await stage.recommendation()).decided_by == "millrace"


async def test_too_few_cases_are_no_reason_to_do_anything_by_itself(stage: Stage):
    await stage.database.write(set_policy, ADA, NAME, AUTO.model_copy(update={"minimum_cases": 100}))
    run = await stage.gated(2)
    assert isinstance(run, Run)
    made = await stage.recommendation()
    assert (made.status, made.confidence) == ("open", "low")
    assert "100 are wanted" in made.notes[0]


async def test_what_is_no_better_is_refused_and_the_recommendation_says_so(stage: Stage):
    await stage.database.write(promote, "local", NAME, 2, by="ada", reason="better")
    found = await stage.gated(1)
    assert isinstance(found, GateResult)
    assert (found.outcome, found.confidence) == ("refused", "medium")
    assert "not better" in found.reason
    made = await stage.recommendation()
    assert (made.status, made.decided_by) == ("refused", "millrace")
    assert len(made.worse) > 5


async def test_a_newer_recommendation_ends_the_wait_of_the_older_one(stage: Stage):
    waiting = await stage.gated(2)
    assert isinstance(waiting, Run)
    old = await stage.recommendation()
    await stage.gated(2)
    found = await stage.gone_on(GateParams(program=NAME, version=2))
    assert isinstance(found, GateResult)
    assert (found.outcome, found.recommendation_id) == ("superseded", old.id)
    async with stage.database.read() as session:
        questions = (await list_approvals(session, "local", run_id=waiting.id)).items
    assert [one.status for one in questions] == [ApprovalStatus.WITHDRAWN]


async def test_nobody_is_asked_about_what_was_superseded_before_the_question_was_put(stage: Stage):
    """A newer recommendation came after this one was stored, and before its run asked."""
    waiting = await stage.gated(2)
    assert isinstance(waiting, Run)
    stale = await stage.recommendation()
    await stage.gated(2)
    run = await stage.attempt()
    assert run.id == waiting.id
    with temporary_settings({PREFECT_API_URL: stage.server.url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        found = await see_through(stale)
    assert (stale.status, found.status) == ("open", "superseded")
    async with stage.database.read() as session:
        questions = (await list_approvals(session, "local", run_id=waiting.id)).items
    assert [one.status for one in questions] == [ApprovalStatus.WITHDRAWN]


async def test_recorded_runs_are_answered_anew_in_lanes_kept_apart(stage: Stage):
    """What was said then was right; today the active version says otherwise: drift, and no progress."""
    trained = next(
        one for one in SHIPPED if one.inputs["message"] == stage.better.state["sort"]["demos"][0]["message"]
    )
    await stage.recorded(trained.inputs["message"], trained.expected["label"])
    messages = [f"My parcel number {number} has not arrived, where is it?" for number in range(4)]
    for message in messages:
        run_id = await stage.recorded(message, "shipping")
        await stage.database.write(
            give_run_feedback, "local", run_id, NewFeedback(correction={"label": "shipping"}), masked
        )
    liked = [await stage.recorded(f"You are great, number {number}!", "praise") for number in range(3)]
    await stage.gated(2)
    made = await stage.recommendation()
    replay = made.evidence.replay
    assert replay is not None
    async with stage.database.read() as session:
        known = await all_examples(session, "local", NAME)
    splits = {one.inputs["message"]: one.split for one in known}
    graded = [message for message in messages if splits[message] == "test"]
    assert replay.left_out == 1 + len(messages) - len(graded)
    assert replay.observed.cases == replay.active.cases == replay.candidate.cases == len(graded) + len(liked)
    assert replay.graded == len(graded)
    if graded:
        assert replay.observed.quality is not None
        assert replay.observed.quality.value == 1
    assert replay.observed.latency_ms is not None
    assert replay.observed.latency_ms.value == 250
    assert replay.active.latency_ms is not None
    assert replay.active.latency_ms.value != 250
    assert replay.drift.quality is not None
    assert replay.progress.quality is not None
    total = replay.progress.quality
    assert total.better + total.worse + total.equal == len(graded) + len(liked)
    async with stage.database.read() as session:
        first = await list_replayed(session, "local", made.id, limit=2)
        rest = await list_replayed(session, "local", made.id, cursor=first.next_cursor)
    cases = [*first.items, *rest.items]
    assert [one.run_id for one in cases if one.run_id in liked] == list(reversed(liked))
    assert len(cases) == len(graded) + len(liked)
    assert {one.observed.answer["label"] for one in cases if one.observed.answer} <= {"shipping", "praise"}
    assert all(one.active.answer and one.candidate.answer for one in cases)


@pytest.mark.parametrize(
    ("params", "policy", "code"),
    [
        ({"version": 1}, ProgramPolicy(), "nothing_to_compare"),
        ({"version": 9}, ProgramPolicy(), "program_version_not_found"),
        ({"version": 2, "metric": "os:getcwd"}, ProgramPolicy(), "unknown_metric"),
    ],
)
async def test_what_cannot_be_compared_is_refused_before_any_money_is_spent(
    stage: Stage, params: dict[str, Any], policy: ProgramPolicy, code: str
):
    await stage.database.write(set_policy, ADA, NAME, policy)
    with pytest.raises(MillraceError) as refused:
        await stage.gated(**params)
    assert refused.value.code == code


async def test_what_would_cost_more_than_its_cap_is_not_begun(stage: Stage):
    """Recorded calls tell what such calls cost."""
    await stage.recorded("Where is it?", "shipping", price=Decimal("0.50"))
    with pytest.raises(BadInput) as refused:
        await stage.gated(2, cap_usd=Decimal("1.00"))
    assert refused.value.code == "estimate_over_cap"


async def test_a_policy_that_refuses_spends_nothing(stage: Stage):
    await stage.database.write(set_policy, ADA, NAME, ProgramPolicy(mode=PolicyMode.REFUSE))
    found = await stage.gated(2)
    assert isinstance(found, GateResult)
    assert (found.outcome, found.recommendation_id, found.models) == ("refused", None, [])


async def test_a_candidate_of_other_code_is_refused(stage: Stage):
    signature = signature_of(build(NAME))
    other = {"sort": [one for one in signature["sort"] if one.name != "label"]}
    stored, _ = await stage.database.write(
        add_version, "local", NAME, NewVersion(stage.better.state, other, VersionOrigin.IMPORT)
    )
    with pytest.raises(Conflict) as refused:
        await stage.gated(stored.version)
    assert refused.value.code == "signature_changed"
