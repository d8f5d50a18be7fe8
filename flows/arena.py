"""Arena: let models and versions answer the same tasks, and compare them two by two."""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from contracts.arena import (
    ArenaParams,
    ArenaResult,
    ArenaTask,
    Choice,
    Contestant,
    Said,
    Verdict,
    agreed,
    pairs_of,
)
from contracts.pipelines import ARENA
from contracts.programs import Version
from contracts.runs import EventKind
from database.engine import WriteSession
from database.learning.arena import judge_match, keep_answers, leaderboard, match_counts, open_match
from database.learning.evaluations import step_costs
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import in_parallel, step, step_calls
from flows.durable.thinking import thinking
from flows.learning.answering import counted
from flows.learning.caps import Caps
from flows.learning.contesting import answer_to, question_of, refuse_unfit
from flows.learning.material import version_of
from flows.policies import MODEL_CALL, STORE
from llm.routing import Wanted, chain_of
from modules.judging import BothOrders
from runtime.errors import MillraceError
from runtime.ids import derived_id


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant that can answer: with the version that it thinks with, if it does with one."""

    told: Contestant
    version: Version | None

    @property
    def name(self) -> str:
        """What it is called in ratings."""
        return self.told.name


@dataclass(frozen=True, slots=True)
class Pairing:
    """A match that a judge has to decide."""

    match_id: UUID
    task: ArenaTask
    one: str
    other: str


@pipeline(ARENA)
async def arena(params: ArenaParams) -> ArenaResult:
    """Let every contestant answer every task, compare the answers without names, and rate."""
    entrants = await prepare(params)
    caps = Caps(usd=params.cap_usd)
    tasks_at_once = max(1, params.at_once // len(entrants))
    await in_parallel(partial(play, params, entrants, caps), params.tasks, at_most=tasks_at_once)
    return await sum_up(params)


@step(STORE)
async def prepare(params: ArenaParams) -> list[Entrant]:
    """Find who answers, and refuse what nobody can answer before any money is spent."""
    run, found = current_run(), []
    for told in params.contestants:
        if told.deployment is not None:
            chain_of(run.door.providers, params.role, Wanted(told.deployment, alone=True))
        version = None
        if told.program is not None:
            version = await version_of(run, told.program, told.version)
            refuse_unfit(told.program, params.tasks)
        found.append(Entrant(told, version))
    return found


async def play(
    params: ArenaParams, entrants: list[Entrant], caps: Caps, number: int, task: ArenaTask
) -> None:
    """Let all answer one task at the same time, and decide its matches."""

    async def one(_: int, entrant: Entrant) -> Said:
        try:
            text = await answer(f"{number}.{entrant.name}", params.role, entrant, task, caps)
        except MillraceError as error:
            return Said(error=counted(error))
        return Said(answer=text)

    said = await in_parallel(one, entrants, at_most=len(entrants))
    names = [entrant.name for entrant in entrants]
    undecided = await keep(number, task, dict(zip(names, said, strict=True)), params.matches_per_task)
    if params.judge:
        texts = {name: each.answer or "" for name, each in zip(names, said, strict=True)}

        async def decide(_: int, match: Pairing) -> None:
            await judge(str(match.match_id), match, texts[match.one], texts[match.other], caps)

        await in_parallel(decide, undecided, at_most=params.at_once)
    current_run().tell(EventKind.PROGRESS, done=number + 1, total=len(params.tasks), of="tasks")


@step(MODEL_CALL, key="place")
async def answer(
    place: str,  # noqa: ARG001  it is the key
    role: str,
    entrant: Entrant,
    task: ArenaTask,
    caps: Caps,
) -> str:
    """Let one contestant answer one task."""
    caps.guard(step_calls())
    return await answer_to(task.input, role, entrant.told.deployment, entrant.version)


@step(STORE, key="number")
async def keep(number: int, task: ArenaTask, said: dict[str, Said], matches: int | None) -> list[Pairing]:
    """Store the answers with what they took, open the matches, and return those that need a judge."""
    run = current_run()
    steps = {name: f"answer[{number}.{name}]" for name in said}
    paid = await run.read(step_costs, run.id, list(steps.values()))
    for name, each in said.items():
        each.cost_usd, each.latency_ms = paid.get(steps[name], (None, None))
    task_id = derived_id(run.id, f"task {number}")

    async def stored(session: WriteSession) -> list[Pairing]:
        ids = await keep_answers(session, run.owner, run.id, number, task, said)
        undecided = []
        for one, other in pairs_of(list(said), str(task_id), matches):
            match_id = derived_id(task_id, f"{one} and {other}")
            pair = ((one, ids[one], said[one]), (other, ids[other], said[other]))
            verdict = await open_match(
                session, run.owner, run.id, task, match_id=match_id, task_id=task_id, pair=pair
            )
            if verdict is None:
                undecided.append(Pairing(match_id, task, one, other))
        return undecided

    return await run.write(stored)


@step(MODEL_CALL, key="place")
async def judge(
    place: str,  # noqa: ARG001  it is the key
    match: Pairing,
    one: str,
    other: str,
    caps: Caps,
) -> Verdict:
    """Let the judge compare two answers in both orders, and store what it said."""
    caps.guard(step_calls())
    question, reference = question_of(match.task.input), match.task.reference
    with thinking("judge"):
        said = await BothOrders().acall(question=question, answer=one, other=other, reference=reference)
    verdict, consistent = agreed(Choice(said.there), Choice(said.back))
    await current_run().write(judge_match, match.match_id, verdict, consistent=consistent)
    return verdict


@step(STORE)
async def sum_up(params: ArenaParams) -> ArenaResult:
    """Rate by this run's matches, and count them."""
    run = current_run()
    board = await run.read(leaderboard, run.owner, run_id=run.id)
    counts = await run.read(match_counts, run.owner, run.id)
    return ArenaResult(
        tasks=len(params.tasks),
        answers=sum(one.answers for one in board.items),
        failures=sum(one.failures for one in board.items),
        matches=board.matches,
        **counts,
        standings=board.items,
        models=sorted(run.deployments),
    )
