"""What a later attempt finds of the calls before it, and what no longer fits."""

from dataclasses import replace

from contracts.replays import Replay
from database.journal.calls import commit_call, reserve_call
from database.journal.replays import recorded_places, replay_of, step_name
from database.queue.leases import claim_runs, release_run
from tests.fixtures.made_runs import ANSWER, CALL, claimed


def call(step, prompt="a", n=0):
    return replace(CALL, step=step, n=n, fingerprint=prompt * 64, request={"prompt": prompt})


async def made(database, run, *calls):
    """Ask for calls one after the other; return which of them the ledger answered."""
    answered = []
    for each in calls:
        found = await database.write(reserve_call, run.id, run.attempt, each)
        answered.append(found is not None)
        if found is None:
            await database.write(commit_call, run.id, run.attempt, each, ANSWER)
    return answered


async def next_attempt(database, run):
    await database.write(release_run, run.id, run.attempt)
    (run,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=15)
    return run


async def replay(database, run, *, to_the_end=True):
    async with database.read() as session:
        return await replay_of(session, run.id, run.attempt, to_the_end=to_the_end)


async def test_an_attempt_that_goes_on_where_the_last_one_died_has_changed_nothing(database):
    run = await claimed(database)
    await made(database, run, call("read#1"), call("write#1"))
    run = await next_attempt(database, run)
    assert await made(database, run, call("read#1"), call("write#1"), call("check#1")) == [True, True, False]
    assert await replay(database, run) == Replay(replayed=2, changed=0, left_behind=0)


async def test_a_step_whose_prompt_has_changed_is_made_again_and_counted(database):
    """Another version of the program: no old answer may pass for one to the new question."""
    run = await claimed(database)
    await made(database, run, call("read#1"), call("write#1", "a"))
    run = await next_attempt(database, run)
    assert await made(database, run, call("read#1"), call("write#1", "b")) == [True, False]
    assert await replay(database, run) == Replay(replayed=1, changed=1, left_behind=1, steps=["write"])


async def test_a_step_that_the_code_no_longer_has_is_left_behind(database):
    run = await claimed(database)
    await made(database, run, call("read#1"), call("translate#1"), call("write#1"))
    run = await next_attempt(database, run)
    await made(database, run, call("read#1"), call("write#1"))
    assert await replay(database, run) == Replay(replayed=2, changed=0, left_behind=1, steps=["translate"])


async def test_calls_that_an_attempt_had_no_time_to_ask_for_are_not_left_behind(database):
    run = await claimed(database)
    await made(database, run, call("read#1"), call("write#1"))
    run = await next_attempt(database, run)
    await made(database, run, call("read#1"))
    assert await replay(database, run, to_the_end=False) == Replay(replayed=1, changed=0, left_behind=0)


async def test_a_failed_attempt_still_tells_what_took_the_place_of_what(database):
    run = await claimed(database)
    await made(database, run, call("part[1]", "a"), call("part[2]", "a"))
    run = await next_attempt(database, run)
    await made(database, run, call("part[1]", "b"))
    found = await replay(database, run, to_the_end=False)
    assert found == Replay(replayed=0, changed=1, left_behind=1, steps=["part[1]"])


async def test_a_third_attempt_still_sees_what_the_second_one_changed(database):
    """The second one died before it could say so."""
    run = await claimed(database)
    await made(database, run, call("write#1", "a"))
    run = await next_attempt(database, run)
    await made(database, run, call("write#1", "b"))
    run = await next_attempt(database, run)
    await made(database, run, call("write#1", "b"))
    assert await replay(database, run) == Replay(replayed=1, changed=1, left_behind=1, steps=["write"])


async def test_a_call_in_flight_at_a_crash_is_neither_replayed_nor_left_behind(database):
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, call("write#1"))
    run = await next_attempt(database, run)
    await made(database, run, call("write#1"))
    assert await replay(database, run) == Replay(replayed=0, changed=0, left_behind=0)


async def test_the_places_of_earlier_calls_come_in_the_order_in_which_they_were_asked_for(database):
    run = await claimed(database)
    await made(database, run, call("b#1"), call("a#1"), call("a#1", n=1))
    async with database.read() as session:
        places = await recorded_places(session, run.id)
    assert places == [("b#1", 0, "a" * 64), ("a#1", 0, "a" * 64), ("a#1", 1, "a" * 64)]


def test_a_key_is_part_of_a_steps_name_and_a_number_is_not():
    assert [step_name(step) for step in ("part#12", "part[1]", "part[a#1]", "part")] == [
        "part",
        "part[1]",
        "part[a#1]",
        "part",
    ]
