"""Agents, their versions, and the version that a run is bound to."""

import asyncio
from uuid import uuid4

import pytest

from contracts.agents import AgentChange, NewAgent
from contracts.chat import ChatMode
from contracts.runs import Origin, RunOptions, RunStatus
from database.people.audit import Doer, list_entries
from database.queue.again import fork_run, retry_run
from database.queue.leases import adopt_run, claim_runs, finish_run
from database.queue.runs import get_run
from database.talk.agents import (
    change_agent,
    create_agent,
    delete_agent,
    get_agent,
    list_agents,
    list_versions,
)
from database.talk.chats import create_chat, get_chat, set_chat_agent
from database.talk.pins import agent_of_run, pin_agent, pin_for_fork, pin_for_turn
from database.talk.sharing import Reader
from runtime.errors import BadInput, Conflict, NotFound
from tests.fixtures.made_runs import accepted

ME, OTHER = Doer("user:me", "local"), Doer("user:other", "user:other")
MINE, THEIRS = Reader("local"), Reader("user:other")
TURN = {"pipeline": "chat_turn", "pool": "interactive"}
CLERK = NewAgent(name="clerk", instructions="Name the clause.")


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


def params(chat_id=None):
    return {"message": "Hi", "chat_id": str(chat_id) if chat_id else None, "mode": "direct", "context": ""}


async def bound(database, agent_id, **values):
    """Accept a turn that is bound to an agent as it is now."""
    pin = await read(database, pin_agent, MINE, agent_id)
    return await accepted(database, **{**TURN, "params": params(), "agent": pin, **values})


async def test_other_instructions_or_another_mode_are_the_next_version(database):
    agent = await database.write(create_agent, ME, CLERK)
    assert (agent.version, agent.instructions, agent.mode) == (1, "Name the clause.", ChatMode.DIRECT)
    for change, version in (
        (AgentChange(name="notary", description="For contracts."), 1),
        (AgentChange(instructions="Name the clause."), 1),
        (AgentChange(instructions="Name clause and page."), 2),
        (AgentChange(mode=ChatMode.CAREFUL), 3),
    ):
        agent = await database.write(change_agent, ME, MINE, agent.id, change)
        assert agent.version == version, change
    assert (agent.name, agent.description) == ("notary", "For contracts.")

    first = await read(database, list_versions, MINE, agent.id, limit=2)
    last = await read(database, list_versions, MINE, agent.id, limit=2, cursor=first.next_cursor)
    told = [(each.version, each.instructions, each.mode, each.made_by) for each in first.items + last.items]
    assert told == [
        (3, "Name clause and page.", "careful", "user:me"),
        (2, "Name clause and page.", "direct", "user:me"),
        (1, "Name the clause.", "direct", "user:me"),
    ]
    assert last.next_cursor is None
    with pytest.raises(BadInput):
        await read(database, list_versions, MINE, agent.id, cursor="bm8")


async def test_the_audit_log_tells_who_changed_what_and_not_the_words(database):
    agent = await database.write(create_agent, ME, CLERK)
    await database.write(change_agent, ME, MINE, agent.id, AgentChange(instructions="Be brief."))
    await database.write(delete_agent, ME, agent.id)
    lines = (await read(database, list_entries, target=f"agent:{agent.id}")).items
    assert [(line.action, line.detail) for line in lines] == [
        ("agent.deleted", {}),
        ("agent.changed", {"changed": ["instructions"], "version": 2}),
        ("agent.created", {"name": "clerk"}),
    ]


async def test_a_name_is_taken_once_in_a_space_until_it_is_free_again(database):
    agent = await database.write(create_agent, ME, CLERK)
    assert (await database.write(create_agent, OTHER, CLERK)).id != agent.id
    second = await database.write(create_agent, ME, CLERK.model_copy(update={"name": "Clerk"}))
    for taking in (
        database.write(create_agent, ME, CLERK),
        database.write(change_agent, ME, MINE, second.id, AgentChange(name="clerk")),
    ):
        with pytest.raises(Conflict) as caught:
            await taking
        assert caught.value.code == "agent_name_taken"
    await database.write(delete_agent, ME, agent.id)
    assert (await database.write(create_agent, ME, CLERK)).name == "clerk"
    assert [each.name for each in (await read(database, list_agents, MINE)).items] == ["clerk", "Clerk"]


async def test_changes_at_the_same_time_are_versions_one_after_the_other(database):
    agent = await database.write(create_agent, ME, CLERK)
    await asyncio.gather(
        *(
            database.write(change_agent, ME, MINE, agent.id, AgentChange(instructions=f"Version {n}."))
            for n in range(8)
        )
    )
    numbers = [each.version for each in (await read(database, list_versions, MINE, agent.id)).items]
    assert numbers == list(range(9, 0, -1))


async def test_the_agent_of_another_does_not_exist(database):
    agent = await database.write(create_agent, ME, CLERK)
    run = await bound(database, agent.id)
    for query in (get_agent, list_versions, pin_agent):
        with pytest.raises(NotFound):
            await read(database, query, THEIRS, agent.id)
    with pytest.raises(NotFound):
        await database.write(change_agent, OTHER, THEIRS, agent.id, AgentChange(description="x"))
    with pytest.raises(NotFound):
        await database.write(delete_agent, OTHER, agent.id)
    with pytest.raises(NotFound):
        await read(database, pin_for_fork, THEIRS, agent.id, run.id)
    assert await read(database, pin_for_fork, THEIRS, None, run.id) is None
    assert (await read(database, list_agents, THEIRS)).items == []


async def test_a_run_keeps_the_version_that_it_was_bound_to(database):
    """Whatever becomes of the agent: changed, renamed, deleted; and through a retry."""
    agent = await database.write(create_agent, ME, CLERK)
    run = await bound(database, agent.id)
    assert (run.agent_id, run.agent_version) == (agent.id, 1)
    await database.write(change_agent, ME, MINE, agent.id, AgentChange(instructions="Be brief."))
    await database.write(delete_agent, ME, agent.id)
    (claim,) = await database.write(
        claim_runs, pool="interactive", worker="worker-1", limit=1, lease_seconds=15
    )
    assert claim.agent_id == agent.id
    await database.write(finish_run, run.id, 1, RunStatus.FAILED)
    assert (await database.write(retry_run, "local", run.id)).agent_version == 1
    told = await read(database, agent_of_run, "local", run.id)
    assert (told.id, told.name, told.version, told.instructions) == (agent.id, "clerk", 1, "Name the clause.")


async def test_a_child_runs_in_its_parents_agent_and_version(database):
    agent = await database.write(create_agent, ME, CLERK)
    parent = await bound(database, agent.id)
    child = await accepted(database, parent_id=parent.id)
    assert (child.agent_id, child.agent_version) == (agent.id, 1)


async def test_a_fork_has_the_version_of_its_run_or_the_newest_of_the_named_agent(database):
    agent = await database.write(create_agent, ME, CLERK)
    run = await bound(database, agent.id)
    await database.write(claim_runs, pool="interactive", worker="worker-1", limit=1, lease_seconds=15)
    await database.write(finish_run, run.id, 1, RunStatus.SUCCEEDED, {})
    await database.write(change_agent, ME, MINE, agent.id, AgentChange(instructions="Be brief."))
    versions = []
    for named in (None, agent.id):
        pin = await read(database, pin_for_fork, MINE, named, run.id)
        fork, _ = await database.write(fork_run, "local", run.id, params=params(), agent=pin)
        versions.append((await read(database, get_run, "local", fork.id)).agent_version)
    assert versions == [1, 2]
    await database.write(delete_agent, ME, agent.id)
    with pytest.raises(NotFound):
        await read(database, pin_for_fork, MINE, None, run.id)


async def test_a_chats_own_agent_answers_in_it_and_no_other(database):
    agent = await database.write(create_agent, ME, CLERK)
    chat = await database.write(create_chat, "local", agent_id=agent.id)
    plain = await database.write(create_chat, "local")
    assert chat.agent_id == agent.id
    for named, where, answers in (
        (None, chat.id, agent.id),
        (agent.id, chat.id, agent.id),
        (agent.id, plain.id, agent.id),
        (agent.id, None, agent.id),
        (None, plain.id, None),
        (None, None, None),
    ):
        pin = await read(database, pin_for_turn, MINE, named, where)
        assert (pin and pin.agent_id) == answers, (named, where)
    with pytest.raises(Conflict) as caught:
        await read(database, pin_for_turn, MINE, uuid4(), chat.id)
    assert caught.value.code == "chat_of_other_agent"
    await database.write(delete_agent, ME, agent.id)
    with pytest.raises(NotFound):
        await read(database, pin_for_turn, MINE, None, chat.id)
    await database.write(set_chat_agent, "local", chat.id, None)
    assert (await read(database, get_chat, "local", chat.id)).agent_id is None
    with pytest.raises(NotFound):
        await database.write(set_chat_agent, "user:other", chat.id, None)


async def test_a_turn_that_prefect_started_is_bound_when_it_is_taken(database):
    agent = await database.write(create_agent, ME, CLERK)
    chat = await database.write(create_chat, "local", agent_id=agent.id)

    async def taken():
        return await database.write(
            adopt_run,
            **{**TURN, "params": params(chat.id), "flow_run_id": uuid4(), "owner": "local"},
            origin=Origin.UI,
            worker="worker-1",
            lease_seconds=15,
        )

    claim = await taken()
    run = await read(database, get_run, "local", claim.id)
    assert (run.agent_id, run.agent_version) == (agent.id, 1)
    await database.write(finish_run, claim.id, 1, RunStatus.SUCCEEDED, {})
    await database.write(delete_agent, ME, agent.id)
    late = await taken()
    with pytest.raises(NotFound) as caught:
        await read(database, agent_of_run, "local", late.id)
    assert caught.value.code == "agent_not_found"


async def test_a_request_is_the_same_one_after_its_agent_has_changed(database):
    """The mode that the agent chose is in the parameters and not in what the request has asked for."""
    agent = await database.write(create_agent, ME, CLERK)
    asked = {**params(), "mode": None}
    same = {"idempotency_key": "once", "asked": asked, "options": RunOptions(agent_id=agent.id)}
    first = await bound(database, agent.id, **same)
    await database.write(change_agent, ME, MINE, agent.id, AgentChange(mode=ChatMode.CAREFUL))
    again = await bound(database, agent.id, **{**same, "params": {**params(), "mode": "careful"}})
    assert (again.id, again.agent_version, again.params["mode"]) == (first.id, 1, "direct")
