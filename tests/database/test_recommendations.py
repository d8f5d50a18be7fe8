"""Recommendations: stored once, superseded, applied as a canary, and never out of date."""

import pytest

from contracts.approvals import Asking
from contracts.program_policies import PolicyMode, ProgramPolicy
from contracts.recommendations import RecommendationStatus
from contracts.runs import RunStatus, Waiting, WaitKind
from database.learning.policies import get_policy, set_policy
from database.learning.programs import get_version
from database.learning.recommendations import (
    apply_recommendation,
    get_recommendation,
    list_recommendations,
    recommendations_of,
    set_status,
)
from database.learning.serving import promote, start_canary
from database.people.audit import Doer, list_entries
from database.queue.approvals import ask, list_approvals
from database.queue.parking import park_run
from database.queue.runs import get_run, request_cancel
from runtime.errors import Conflict, NotFound
from tests.fixtures.made_programs import NAME, add, register
from tests.fixtures.made_recommendations import GATE, recommended
from tests.fixtures.made_runs import claimed

ADA = Doer("ada", "local")
APPROVED = {"status": RecommendationStatus.APPROVED, "reason": "Low risk."}


@pytest.fixture
async def versions(database):
    """Three versions, of which the first answers."""
    await register(database)
    made = [await add(database, text) for text in ("a", "b", "c")]
    await database.write(promote, "local", NAME, 1, by="ada", reason="first")
    return made


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def test_a_recommendation_is_stored_once_and_found(database, versions):
    first = await recommended(database, versions[1], versions[0])
    assert await recommended(database, versions[1], versions[0], run_id=first.run_id) == first
    assert (first.candidate, first.active, first.status, first.decided_by) == (2, 1, "open", None)
    page = await read(database, list_recommendations, "local", program=NAME, status=RecommendationStatus.OPEN)
    assert [one.id for one in page.items] == [first.id]
    assert await read(database, recommendations_of, "local", versions[1].id) == page.items
    with pytest.raises(NotFound, match="no recommendation"):
        await read(database, get_recommendation, "somebody else", first.id)


async def test_pages_come_newest_first(database, versions):
    made = [await recommended(database, versions[1], versions[0]) for _ in range(3)]
    one = await read(database, list_recommendations, "local", limit=2)
    two = await read(database, list_recommendations, "local", limit=2, cursor=one.next_cursor)
    assert [each.id for each in one.items + two.items] == [each.id for each in reversed(made)]
    assert two.next_cursor is None


async def test_a_newer_candidate_supersedes_what_is_open_and_wakes_its_run(database, versions):
    run = await claimed(database)
    old = await recommended(database, versions[1], versions[0], run_id=run.id)
    await database.write(park_run, run.id, run.attempt, Waiting(kind=WaitKind.APPROVAL, reason="?"))
    new = await recommended(database, versions[2], versions[0])
    found = await read(database, get_recommendation, "local", old.id)
    assert (found.status, found.decided_by) == ("superseded", "millrace")
    assert "Version 3" in found.reason
    assert (await read(database, get_run, "local", run.id)).status is RunStatus.QUEUED
    assert (await read(database, get_recommendation, "local", new.id)).status == "open"


async def test_another_active_version_ends_what_was_compared_with_the_one_before(database, versions):
    """And its question with it, in the same transaction; what is compared with the new one goes on."""
    runs = [await claimed(database) for _ in range(2)]
    old = await recommended(database, versions[1], versions[0], run_id=runs[0].id)
    for run in runs:
        question = {"asking": Asking.APPROVAL, "step": "flow/recommendation", "title": "?", "what": {}}
        await database.write(ask, run.id, "local", **question, digest="d" * 64)
        await database.write(park_run, run.id, run.attempt, Waiting(kind=WaitKind.APPROVAL, reason="?"))
    await database.write(promote, "local", NAME, 3, by="ada", reason="by hand")
    found = await read(database, get_recommendation, "local", old.id)
    assert (found.status, found.decided_by) == ("superseded", "ada")
    (gone,) = (await read(database, list_approvals, "local", run_id=runs[0].id)).items
    (kept,) = (await read(database, list_approvals, "local", run_id=runs[1].id)).items
    assert (gone.status, kept.status) == ("withdrawn", "pending")
    assert (await read(database, get_run, "local", runs[0].id)).status is RunStatus.QUEUED
    new = await recommended(database, versions[1], versions[2])
    await database.write(promote, "local", NAME, 3, by="ada", reason="again")
    assert (await read(database, get_recommendation, "local", new.id)).status == "open"


async def test_what_is_no_gain_takes_no_place(database, versions):
    old = await recommended(database, versions[1], versions[0])
    await recommended(database, versions[2], versions[0], status=RecommendationStatus.REFUSED)
    assert (await read(database, get_recommendation, "local", old.id)).status == "open"


async def test_an_approved_one_begins_as_a_canary_once(database, versions):
    made = await recommended(database, versions[1], versions[0], **APPROVED)
    for _ in range(2):
        applied = await database.write(apply_recommendation, ADA, made.id)
        assert (applied.status, applied.decided_by) == ("applied", "millrace")
    found = await read(database, get_version, "local", NAME, 2)
    assert (found.status, found.program) == ("canary", NAME)
    log = await read(database, list_entries, target=f"recommendation:{made.id}")
    assert [line.action for line in log.items] == ["recommendation.applied", "recommendation.made"]
    changes = await read(database, list_entries, action="program.canary")
    assert [line.actor for line in changes.items] == ["ada"]


async def test_what_nobody_approved_is_not_applied(database, versions):
    made = await recommended(database, versions[1], versions[0])
    with pytest.raises(Conflict) as refused:
        await database.write(apply_recommendation, ADA, made.id)
    assert refused.value.code == "not_approved"


async def test_one_that_was_compared_with_a_version_of_the_past_is_superseded(database, versions):
    made = await recommended(database, versions[1], versions[0], **APPROVED)
    await database.write(promote, "local", NAME, 3, by="ada", reason="by hand")
    found = await database.write(apply_recommendation, ADA, made.id)
    assert found.status == "superseded"
    log = await read(database, list_entries, target=f"recommendation:{made.id}")
    assert [line.action for line in log.items] == ["recommendation.superseded", "recommendation.made"]
    assert (await read(database, get_version, "local", NAME, 2)).status == "candidate"


async def test_two_canaries_at_once_are_refused_and_the_second_can_be_applied_later(database, versions):
    await database.write(start_canary, "local", NAME, 3, percent=5, by="ada", reason="by hand")
    made = await recommended(database, versions[1], versions[0], **APPROVED)
    with pytest.raises(Conflict) as refused:
        await database.write(apply_recommendation, ADA, made.id)
    assert refused.value.code == "no_canary"
    assert (await read(database, get_recommendation, "local", made.id)).status == "approved"


async def test_nobody_is_asked_any_more_when_the_run_that_asks_has_ended(database, versions):
    made = await recommended(database, versions[1], versions[0])
    await database.write(request_cancel, "local", made.run_id)
    assert (await read(database, get_recommendation, "local", made.id)).status == "expired"
    page = await read(database, list_recommendations, "local", status=RecommendationStatus.OPEN)
    assert page.items == []


async def test_who_approved_stays_who_decided(database, versions):
    made = await recommended(database, versions[1], versions[0])
    await database.write(set_status, ADA, made.id, RecommendationStatus.APPROVED, "fine")
    applied = await database.write(apply_recommendation, GATE, made.id)
    assert (applied.status, applied.decided_by, applied.reason) == ("applied", "ada", "fine")


async def test_a_policy_is_the_usual_one_until_somebody_sets_it(database):
    await register(database)
    assert await read(database, get_policy, "local", NAME) == ProgramPolicy()
    mine = ProgramPolicy(mode=PolicyMode.AUTO_LOW_RISK, minimum_improvement=0.02)
    await database.write(set_policy, ADA, NAME, mine)
    assert await read(database, get_policy, "local", NAME) == mine
    assert await read(database, get_policy, "somebody else", NAME) == ProgramPolicy()
    (line,) = (await read(database, list_entries, action="program.policy_set")).items
    assert (line.actor, line.detail["after"]["mode"]) == ("ada", "auto_low_risk")
    with pytest.raises(NotFound):
        await database.write(set_policy, ADA, "no.such", mine)
