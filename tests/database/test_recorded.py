"""Recorded runs of a chat's programs, as the gate takes them: which are answered anew, and which are told."""

from contracts.agents import NewAgent
from contracts.chat import ChatTurnResult
from contracts.gate import NotReplayed
from contracts.programs import VersionOrigin
from contracts.runs import RunStatus
from database.learning.programs import NewVersion, add_version
from database.learning.recorded import recorded_cases
from database.learning.serving import pin_versions
from database.people.audit import Doer
from database.queue.leases import claim_runs, finish_run
from database.talk.agents import create_agent
from database.talk.pins import pin_agent
from database.talk.sharing import Reader
from runtime.ids import new_id
from tests.fixtures.made_programs import SIGNATURE, register, state
from tests.fixtures.made_runs import accepted

DIRECT, CAREFUL = "chat.direct", "chat.careful"


async def answered(database, message, mode="direct", agent=None):
    """Let a turn succeed that is bound to both programs, as a fork to another mode is; its mode chose one."""
    run = await accepted(
        database,
        pipeline="chat_turn",
        pool="interactive",
        params={"message": message, "chat_id": None, "mode": mode, "context": ""},
        agent=agent,
    )
    versions = {}
    for program in (DIRECT, CAREFUL):
        await register(database, name=program)
        new = NewVersion(state(), SIGNATURE, VersionOrigin.SOURCE)
        versions[program] = (await database.write(add_version, "local", program, new))[0].id
    await database.write(pin_versions, run.id, versions)
    (claim,) = await database.write(claim_runs, pool="interactive", worker="w", limit=1, lease_seconds=600)
    said = ChatTurnResult(chat_id=new_id(), message_id=new_id(), answer="Yes.", models=["offline"])
    await database.write(finish_run, run.id, claim.attempt, RunStatus.SUCCEEDED, said.model_dump(mode="json"))
    return run


async def clerk(database):
    """Return an agent as a run is bound to it."""
    agent = await database.write(
        create_agent, Doer("user:me", "local"), NewAgent(name="clerk", instructions="Name the clause.")
    )
    async with database.read() as session:
        return await pin_agent(session, Reader("local"), agent.id)


async def recorded(database, program, most=50):
    async with database.read() as session:
        return await recorded_cases(session, "local", program, most)


async def test_a_program_that_answers_through_agents_alone_is_told_why_nothing_is_answered_anew(database):
    """There was no replay, and no reason for that either."""
    agent = await clerk(database)
    for message in ("What is due?", "When?"):
        await answered(database, message, agent=agent)
    found = await recorded(database, DIRECT)
    assert (found.cases, found.not_replayed) == ([], {NotReplayed.OF_AN_AGENT: 2})


async def test_answers_of_agents_are_counted_beside_those_that_are_answered_anew(database):
    await answered(database, "What is due?", agent=await clerk(database))
    plain = await answered(database, "When?")
    found = await recorded(database, DIRECT)
    assert [case.run_id for case in found.cases] == [plain.id]
    assert found.not_replayed == {NotReplayed.OF_AN_AGENT: 1}


async def test_runs_of_the_other_mode_are_none_of_the_program(database):
    """Whoever answered in them: the parameters chose another program."""
    await answered(database, "What is due?", mode="careful", agent=await clerk(database))
    await answered(database, "When?", mode="careful")
    found = await recorded(database, DIRECT)
    assert (found.cases, found.not_replayed) == ([], {NotReplayed.NONE_RECORDED: 0})
    assert (await recorded(database, CAREFUL)).not_replayed == {NotReplayed.OF_AN_AGENT: 1}
