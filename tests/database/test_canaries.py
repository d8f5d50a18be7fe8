"""Canaries: whose results count, who looks, and what follows."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from contracts.canaries import CanaryPolicy, CanaryStatus, Decision, Look
from contracts.chat import Author
from contracts.examples import NewFeedback
from contracts.program_policies import ProgramPolicy
from contracts.runs import RunError, RunStatus
from database.journal.calls import commit_call, reserve_call
from database.learning.canaries import due_canaries, get_canary, list_canaries, list_looks, take_look
from database.learning.feedback import give_message_feedback, give_run_feedback
from database.learning.policies import set_policy
from database.learning.serving import list_changes, pin_versions, promote, rollback, serving_of, start_canary
from database.learning.watching import answers_of, conclude, opinions_of
from database.people.audit import COMMAND_LINE, list_entries
from database.queue.leases import finish_run, mark_running
from database.tables import CanaryRow, RunRow, core
from database.talk.chats import create_chat
from database.talk.messages import add_message
from deployments.worker.canaries import watch_canaries
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id
from runtime.personal import unmasked
from tests.fixtures.made_programs import NAME, add, register
from tests.fixtures.made_runs import ANSWER, CALL, claimed


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def change(database, what, *args, owner="local", **values):
    return await database.write(what, owner, NAME, *args, by="ada", reason="because", **values)


@pytest.fixture
async def served(database):
    """Version 1 is active, and version 2 its canary."""
    await register(database)
    versions = [await add(database, text) for text in ("one", "two", "three")]
    await change(database, promote, 1)
    await change(database, start_canary, 2, percent=50, policy=CanaryPolicy(fewest=5, hours_at_least=0))
    return versions


async def due(database):
    (found,) = await read(database, due_canaries)
    return found


async def answered(database, version, *, status=RunStatus.SUCCEEDED, chat=None, **call):
    """Return a run that this version has answered."""
    claim = await claimed(database)
    await database.write(mark_running, claim.id, claim.attempt)
    await database.write(pin_versions, claim.id, {NAME: version.id})
    if status is RunStatus.SUCCEEDED:
        said = replace(ANSWER, **{"cost_usd": Decimal("0.001"), "latency_ms": 500.0, **call})
        await database.write(reserve_call, claim.id, claim.attempt, CALL)
        await database.write(commit_call, claim.id, claim.attempt, CALL, said)
    error = None if status is RunStatus.SUCCEEDED else RunError(code="x", message="no")
    await database.write(finish_run, claim.id, claim.attempt, status, {}, error)
    # Of a pipeline whose feedback teaches nothing: these runs have no result to learn from.
    told = {"pipeline": "probe", **({"chat_id": chat} if chat else {})}
    await altered(database, core(RunRow), core(RunRow).c.id == claim.id, **told)
    return claim.id


async def altered(database, table, where, **values):
    if not values:
        return

    async def alter(session):
        await session.execute(sa.update(table).where(where).values(values))

    await database.write(alter)


async def thought(database, run_id, **given):
    return await database.write(give_run_feedback, "local", run_id, NewFeedback(**given), unmasked)


def look(decision=Decision.WAIT, why="Because."):
    return Look(answers=1, active_answers=1, measures=[], decision=decision, why=why)


async def test_a_run_counts_for_the_version_that_it_is_bound_to(database, served):
    one, two, three = served
    good = await answered(database, one)
    await answered(database, two, status=RunStatus.FAILED)
    await answered(database, three)
    await answered(database, two, status=RunStatus.CANCELLED)
    (first, second) = await read(database, answers_of, await due(database))
    assert (first.canary, first.failed, first.chat) == (False, False, good)
    assert (first.usd, first.seconds) == (0.001, 0.5)
    assert (second.canary, second.failed, second.usd) == (True, True, None)


async def test_what_began_before_the_canary_and_what_was_forked_does_not_count(database, served):
    one, *_ = served
    runs = core(RunRow)
    early, forked = await answered(database, one), await answered(database, one)
    await altered(database, runs, runs.c.id == early, started_at=utcnow() - timedelta(hours=1))
    await altered(database, runs, runs.c.id == forked, forked_from=early)
    assert await read(database, answers_of, await due(database)) == []


async def test_a_kept_answer_and_an_unknown_price_say_nothing_about_cost(database, served):
    one, two, _ = served
    await answered(database, one, cached=True, cost_usd=Decimal(0))
    await answered(database, two, cost_usd=None)
    kept, unpriced = await read(database, answers_of, await due(database))
    assert (kept.usd, kept.seconds) == (None, None)
    assert (unpriced.usd, unpriced.seconds) == (None, 0.5)


async def test_feedback_on_a_canarys_answer_counts_and_the_last_word_holds(database, served):
    one, two, _ = served
    chat = new_id()
    mine, theirs = await answered(database, two, chat=chat), await answered(database, one)
    await thought(database, mine, score=1)
    await thought(database, theirs, comment="hm")
    await thought(database, theirs, correction="Better so.")
    await thought(database, mine, score=0.25)
    opinions = await read(database, opinions_of, await due(database))
    assert [(one.canary, one.score) for one in opinions] == [(False, 0), (True, 0.25)]
    assert opinions[1].chat == chat


async def test_what_is_said_of_a_message_counts_for_the_version_that_answered_it(database, served):
    run_id, chat_id = await answered(database, served[1]), new_id()

    async def talk(session):
        await create_chat(session, "local", "Hello", chat_id=chat_id)
        return await add_message(
            session,
            "local",
            chat_id=chat_id,
            author=Author.ASSISTANT,
            content="Yes.",
            run_id=run_id,
            message_id=new_id(),
        )

    message = await database.write(talk)
    given = NewFeedback(score=0.5)
    await database.write(give_message_feedback, "local", message.id, given, unmasked)
    (opinion,) = await read(database, opinions_of, await due(database))
    assert (opinion.canary, opinion.score) == (True, 0.5)


@pytest.mark.usefixtures("served")
async def test_one_of_several_workers_looks(database):
    found = await due(database)
    took = await asyncio.gather(*(database.write(take_look, found, 60) for _ in range(5)))
    assert sorted(took) == [False, False, False, False, True]
    assert await read(database, due_canaries) == []


@pytest.mark.usefixtures("served")
async def test_looks_are_kept_and_numbered_and_shown(database):
    found = await due(database)
    for why in ("Few.", "Still few."):
        assert (await database.write(conclude, found, look(why=why))).why == why
    shown = await read(database, get_canary, "local", NAME)
    assert (shown.version, shown.against, shown.percent, shown.status) == (2, 1, 50, CanaryStatus.WATCHED)
    assert (shown.looks, shown.last.number, shown.last.why) == (2, 2, "Still few.")
    page = await read(database, list_looks, "local", NAME, limit=1)
    rest = await read(database, list_looks, "local", NAME, limit=1, cursor=page.next_cursor)
    assert [one.number for one in page.items + rest.items] == [2, 1]
    assert rest.next_cursor is None


async def test_a_decision_is_made_once_and_stands_in_the_trail(database, served):
    found = await due(database)
    good = look(Decision.PROMOTE, "No worse than allowed.")
    ends = await asyncio.gather(*(database.write(conclude, found, good) for _ in range(4)))
    assert [end is not None for end in ends].count(True) == 1
    shown = await read(database, get_canary, "local", NAME)
    assert (shown.status, shown.ended_by, shown.looks) == (CanaryStatus.PROMOTED, "millrace", 1)
    assert shown.reason == "No worse than allowed."
    serving = (await read(database, serving_of, "local"))[NAME]
    assert (serving.active, serving.canary) == (served[1].id, None)
    newest, *_ = (await read(database, list_changes, "local", NAME)).items
    assert (newest.action, newest.by, newest.reason) == ("promote", "millrace", "No worse than allowed.")
    audited = (await read(database, list_entries, action="canary.promoted")).items
    assert [(line.actor, line.target, line.owner) for line in audited] == [
        ("millrace", f"program:{NAME}", "local")
    ]


async def test_a_canary_that_is_rolled_back_answers_no_more(database, served):
    await database.write(conclude, await due(database), look(Decision.ROLLBACK, "It is worse."))
    serving = (await read(database, serving_of, "local"))[NAME]
    assert (serving.active, serving.canary) == (served[0].id, None)
    shown = await read(database, get_canary, "local", NAME)
    assert (shown.status, shown.reason) == (CanaryStatus.ROLLED_BACK, "It is worse.")
    assert await read(database, due_canaries) == []


async def test_what_a_person_decides_meanwhile_holds(database, served):
    found = await due(database)
    await change(database, rollback)
    assert await database.write(conclude, found, look(Decision.PROMOTE)) is None
    assert (await read(database, serving_of, "local"))[NAME].active == served[0].id
    shown = await read(database, get_canary, "local", NAME)
    assert (shown.status, shown.ended_by, shown.looks) == (CanaryStatus.ROLLED_BACK, "ada", 0)


async def test_a_canary_is_compared_anew_when_another_version_becomes_active(database, served):
    await change(database, promote, 3)
    newer, older = (await read(database, list_canaries, "local", NAME)).items
    assert (older.status, older.against, older.ended_by) == (CanaryStatus.RESTARTED, 1, "ada")
    assert (newer.status, newer.version, newer.against) == (CanaryStatus.WATCHED, 2, 3)
    assert newer.policy == older.policy
    assert (await due(database)).against_id == served[2].id


@pytest.mark.usefixtures("served")
async def test_another_share_goes_on_with_the_same_canary(database):
    await change(database, start_canary, 2, percent=5)
    (shown,) = (await read(database, list_canaries, "local", NAME)).items
    assert (shown.percent, shown.policy.fewest) == (5, 5)


async def test_a_canary_follows_the_programs_policy(database, served):
    await change(database, rollback)
    rules = ProgramPolicy(canary=CanaryPolicy(fewest=7))
    await database.write(set_policy, COMMAND_LINE, NAME, rules)
    await change(database, start_canary, served[2].version, percent=5)
    assert (await read(database, get_canary, "local", NAME)).policy == rules.canary


async def test_a_worker_promotes_what_is_good_enough(database, served):
    """The whole duty: results of both versions, then one look."""
    one, two, _ = served
    policy = CanaryPolicy(fewest=5, hours_at_least=0, failures=0.5, cost=8, latency=8)
    await change(database, start_canary, 2, percent=50, policy=policy)
    for version in (one, two):
        for _ in range(30):
            await answered(database, version)
    await asyncio.gather(*(watch_canaries(database, 60) for _ in range(2)))
    shown = await read(database, get_canary, "local", NAME)
    assert (shown.status, shown.last.decision, shown.looks) == (CanaryStatus.PROMOTED, Decision.PROMOTE, 1)


async def test_a_look_that_says_the_same_again_is_not_kept(database, served):
    await answered(database, served[1])
    for _ in range(2):
        await watch_canaries(database, 0.001)
        await altered(database, core(CanaryRow), sa.true(), due_at=utcnow() - timedelta(seconds=5))
    assert (await read(database, get_canary, "local", NAME)).looks == 1


@pytest.mark.usefixtures("served")
async def test_somebody_elses_canary_does_not_exist(database):
    with pytest.raises(NotFound) as caught:
        await read(database, get_canary, "eve", NAME)
    assert caught.value.code == "canary_not_found"
    with pytest.raises(NotFound) as caught:
        await read(database, list_looks, "local", "no.such")
    assert caught.value.code == "unknown_program"
