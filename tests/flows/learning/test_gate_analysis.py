"""The gate on a pipeline of several calls: recorded analyses are done anew, whole, in lanes kept apart."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.analysis import AnalysisParams
from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.example_texts import input_hash, split_of
from contracts.examples import NewExample, Split
from contracts.gate import CALLS_A_REPLAY, Evidence, GateParams, NotReplayed
from contracts.pipelines import ANALYSIS, GATE, Pipeline
from contracts.programs import Version, VersionOrigin
from contracts.runs import Call, Origin
from database.engine import Database
from database.journal.calls import list_calls
from database.learning.examples import import_examples
from database.learning.gate_estimates import estimated_gate
from database.learning.programs import NewVersion, add_version, version_by_id
from database.learning.recommendations import get_recommendation, recommendation_of_run
from database.learning.recorded import recorded_cases
from database.learning.replayed import list_replayed
from database.learning.serving import programs_of
from database.queue.leases import claim_runs
from database.queue.parking import park_run
from database.queue.runs import accept_run
from database.spending.caps import set_cap
from database.talk.files import delete_file, store_file
from flows.analysis import analysis, asked_of, split_all
from flows.durable.event_log import EventLog
from flows.durable.parking import Parked
from flows.durable.run import Run, enter_run
from flows.durable.versions import Versions
from flows.gate import gate
from llm.door import Door
from llm.quiet_litellm import NOISE
from llm.settings import LlmSettings
from tests.fixtures.model_server import ModelServer
from tests.fixtures.optimizing import PROVIDERS
from tests.fixtures.pipelines_in_process import engine_of
from tests.fixtures.prefect_server import PrefectServer
from tools.documents import read_document

pytestmark = [
    pytest.mark.timeout(300),
    # Prefect closes the sockets of its event client late, in a thread of its own.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE),
]
QUESTION = "How long does a lease last?"
LEASES = {"kind": "text", "name": "leases.md", "text": "A lease lasts 15 s. A worker renews it every 5 s."}
OLD = {"kind": "text", "name": "old.md", "text": "In the first version a lease lasted 60 s: too long."}
KEYS = {"kind": "text", "name": "keys.md", "text": "A key is shown once. The server keeps its hash alone."}
ASKED = [
    {"question": QUESTION, "sources": [LEASES, OLD]},
    {"question": "What does the server keep of a key?", "sources": [KEYS, LEASES]},
]
CALLS = 3  # two parts and a report


@dataclass
class Stage:
    """A worker of one process: it runs pipelines in Prefect's engine, and their calls go to a paid model."""

    database: Database
    door: Door
    server: PrefectServer
    opened: list[EventLog] = field(default_factory=list)

    async def run(self, spec: Pipeline, params: dict[str, Any]) -> Run:
        """Accept a run, and be its attempt."""
        await self.database.write(
            accept_run, pipeline=spec.name, pool=spec.pool, params=params, owner="local", origin=Origin.API
        )
        return await self.attempt()

    async def attempt(self) -> Run:
        """Claim whatever waits, as a worker does."""
        (claim,) = await self.database.write(
            claim_runs, pool="batch", worker="worker-1", limit=1, lease_seconds=600
        )
        self.opened.append(EventLog(self.database))
        run = Run(
            *(claim.id, claim.attempt, "local", claim.pipeline, self.database, self.door, self.opened[-1]),
            Versions(self.database),
        )
        enter_run(run)
        return run

    async def analysed(self, params: dict[str, Any]) -> UUID:
        """Do an analysis, as people ask for them."""
        run = await self.run(ANALYSIS, params)
        with engine_of(self.server):
            await analysis(AnalysisParams.model_validate(params))
        return run.id

    async def candidate(self, program: str) -> Version:
        """Store a version of a program that says a little more than the active one."""
        source = Versions(self.database).source(program).new
        state = json.loads(json.dumps(source.state))
        for one in state.values():
            one["signature"]["instructions"] += " Be exact."
        new = NewVersion(state, source.signature, VersionOrigin.IMPORT)
        version, _ = await self.database.write(add_version, "local", program, new)
        return version

    async def gated(self, program: str, **params: Any) -> tuple[UUID, Evidence]:
        """Let the gate compare a candidate with the active version: its run, and what it has seen."""
        new = await self.candidate(program)
        asked = GateParams(program=program, version=new.version, **params)
        run = await self.run(GATE, asked.model_dump(mode="json"))
        await self.through(run, asked)
        return run.id, await self.evidence(run.id)

    async def through(self, run: Run, asked: GateParams) -> None:
        """Let the gate go on to its end, or until it waits."""
        with engine_of(self.server):
            try:
                await gate(asked)
            except Parked as parked:
                await run.events.drain(run.id)
                await self.database.write(park_run, run.id, run.attempt, parked.waiting, parked.until)

    async def evidence(self, run_id: UUID) -> Evidence:
        """Return what a run of the gate has seen."""
        async with self.database.read() as session:
            made = await recommendation_of_run(session, "local", run_id)
            assert made is not None
            return (await get_recommendation(session, "local", made.id)).evidence

    async def calls(self, run_id: UUID) -> list[Call]:
        """Return all calls of a run."""
        async with self.database.read() as session:
            return (await list_calls(session, "local", run_id, limit=200)).items


@pytest.fixture
async def stage(database: Database, prefect_server: PrefectServer, tmp_path: Path) -> AsyncIterator[Stage]:
    provider = ModelServer().start()
    path = tmp_path / "providers.yaml"
    path.write_text(PROVIDERS % provider.url)
    made = Stage(database, Door.open(LlmSettings(providers_file=path)), prefect_server)
    await Versions(database).register()
    yield made
    for log in made.opened:
        await log.close()
    await made.door.close()
    provider.stop()


@pytest.mark.parametrize("program", ANALYSIS.programs)
async def test_a_program_of_an_analysis_is_compared_on_whole_runs(stage: Stage, program: str) -> None:
    recorded = [await stage.analysed(params) for params in ASKED]
    run_id, evidence = await stage.gated(program)
    replay = evidence.replay
    assert replay is not None
    assert evidence.not_replayed == {}
    assert (replay.observed.cases, replay.active.cases, replay.candidate.cases) == (2, 2, 2)
    assert (replay.active.failures, replay.candidate.failures) == (0, 0)
    # Each lane is all calls of the runs: what the active version's cost now is what they did cost then.
    spent = [sum((call.cost_usd or 0 for call in await stage.calls(each)), Decimal(0)) for each in recorded]
    for lane in (replay.observed, replay.active):
        assert lane.cost_usd is not None
        assert lane.cost_usd.value == pytest.approx(float(sum(spent)) / 2)
    assert replay.candidate.cost_usd is not None
    dearer = replay.candidate.cost_usd.value - replay.active.cost_usd.value
    # Longer instructions cost more, where the program was asked at all: so few notes are never merged.
    assert dearer == 0 if program == "analysis.merge" else dearer > 0
    # The model is a function of what it is asked: nothing has moved by itself.
    assert replay.drift.quality is not None
    assert replay.drift.quality.difference.value == 0
    calls = await stage.calls(run_id)
    for lane in ("active", "candidate"):
        mine = [call for call in calls if call.step.startswith(f"rethink[replay.{lane}.")]
        assert len(mine) == 2 * CALLS
        assert sum(".find." in call.step for call in mine) == 2 * (CALLS - 1)
    async with stage.database.read() as session:
        made = await recommendation_of_run(session, "local", run_id)
        assert made is not None
        cases = (await list_replayed(session, "local", made.id)).items
        others = await programs_of(session, "local", run_id)
    assert {case.run_id for case in cases} == set(recorded)
    assert all("answer" in (case.candidate.answer or {})["report"] for case in cases)
    # The other programs answer in both lanes as they do today.
    assert {one.program for one in others} == set(ANALYSIS.programs)


async def test_what_the_lanes_take_is_told_before(stage: Stage) -> None:
    for params in ASKED:
        await stage.analysed(params)
    new = await stage.candidate("analysis.find")
    asked = GateParams(program="analysis.find", version=new.version)
    async with stage.database.read() as session:
        estimate = await estimated_gate(session, "local", asked)
    verdicts = 4 * 2
    assert (estimate.replays, estimate.calls) == (2, 2 * 2 * CALLS + verdicts)


async def test_a_gate_that_waits_in_the_middle_of_a_run_pays_for_nothing_twice(stage: Stage) -> None:
    recorded = [await stage.analysed(params) for params in ASKED]
    spent = [call.cost_usd or Decimal(0) for each in recorded for call in await stage.calls(each)]
    new = await stage.candidate("analysis.find")
    asked = GateParams(program="analysis.find", version=new.version, at_once=1)
    run = await stage.run(GATE, asked.model_dump(mode="json"))
    capped = {"scope": BudgetScope.RUN, "subject": run.id, "period": BudgetPeriod.NONE}
    await stage.database.write(set_cap, "local", **capped, cap_usd=sum(spent, Decimal(0)))
    await stage.through(run, asked)
    before = {(call.step, call.fingerprint): call for call in await stage.calls(run.id)}
    finished = {key for key, call in before.items() if call.status == "succeeded"}
    assert 0 < len(finished) < 2 * 2 * CALLS
    await stage.database.write(set_cap, "local", **capped, cap_usd=Decimal(10))
    again = await stage.attempt()
    assert (again.id, again.attempt) == (run.id, 2)
    await stage.through(again, asked)
    after = {(call.step, call.fingerprint): call for call in await stage.calls(run.id)}
    assert all((after[key].tries, after[key].replays) == (1, 1) for key in finished)
    assert len([key for key in after if key[0].startswith("rethink")]) == 2 * 2 * CALLS


async def test_a_run_whose_upload_was_deleted_is_told_and_left_out(stage: Stage) -> None:
    stored = await stage.database.write(
        store_file, "local", name="up.md", media_type="text/markdown", content=b"A lease lasts 15 s."
    )
    await stage.analysed({"question": QUESTION, "sources": [{"kind": "file", "file_id": str(stored.id)}]})
    await stage.analysed(ASKED[0])
    await stage.database.write(delete_file, "local", stored.id)
    _, evidence = await stage.gated("analysis.report")
    assert evidence.not_replayed == {NotReplayed.SOURCES_GONE: 1}
    assert evidence.replay is not None
    assert evidence.replay.active.cases == 1


async def test_a_run_with_a_part_that_an_optimizer_has_seen_proves_nothing(stage: Stage) -> None:
    """One part of the first analysis is an example; whether it is one to learn from, its hash says."""
    (part,) = split_all([read_document(LEASES["name"], LEASES["text"].encode(), "text/markdown")])
    numbers = iter(range(1_000))
    question = next(
        asked
        for asked in (f"{QUESTION} Ask number {number}." for number in numbers)
        if split_of(input_hash(asked_of(part, asked))) is Split.TRAIN
    )
    example = NewExample(inputs=asked_of(part, question), expected={"findings": []})
    await stage.database.write(import_examples, "local", "analysis.find", [example])
    await stage.analysed({"question": question, "sources": [LEASES, OLD]})
    await stage.analysed(ASKED[1])
    _, evidence = await stage.gated("analysis.find")
    assert evidence.not_replayed == {NotReplayed.LEARNED_FROM: 1}
    assert evidence.replay is not None
    assert (evidence.replay.active.cases, evidence.replay.left_out) == (1, 1)


async def test_runs_of_many_calls_are_taken_as_far_as_was_asked_for(stage: Stage) -> None:
    many = [{**KEYS, "name": f"{number}.md"} for number in range(CALLS_A_REPLAY)]
    long = await stage.analysed({"question": QUESTION, "sources": many})
    short = await stage.analysed(ASKED[0])
    async with stage.database.read() as session:
        one = await recorded_cases(session, "local", "analysis.find", 1)
        some = await recorded_cases(session, "local", "analysis.find", 2)
    assert [case.run_id for case in one.cases] == [short]
    assert one.not_replayed == {}
    assert [case.run_id for case in some.cases] == [short, long]
    await stage.analysed({"question": "Which key?", "sources": many})
    async with stage.database.read() as session:
        newest = await recorded_cases(session, "local", "analysis.find", 1)
    assert [case.run_id for case in newest.cases] == [short]
    assert newest.not_replayed == {NotReplayed.TOO_MANY_CALLS: 1}


@pytest.mark.parametrize(
    ("program", "most", "why"),
    [
        ("analysis.find", 50, NotReplayed.NONE_RECORDED),
        ("analysis.find", 0, NotReplayed.NOT_WANTED),
        ("no.pipeline", 50, NotReplayed.NO_PIPELINE),
    ],
)
async def test_where_no_lane_can_be_made_the_reason_is_said(
    stage: Stage, program: str, most: int, why: NotReplayed
) -> None:
    async with stage.database.read() as session:
        found = await recorded_cases(session, "local", program, most)
    assert (found.cases, found.not_replayed) == ([], {why: 0})


async def test_another_version_beside_the_compared_one_is_no_drift(stage: Stage) -> None:
    """Since the run, the report has been promoted: what differs from then is not the found part's doing."""
    from database.learning.serving import promote

    await stage.analysed(ASKED[0])
    report = await stage.candidate("analysis.report")
    await stage.database.write(promote, "local", "analysis.report", report.version, by="ada", reason="a test")
    run_id, evidence = await stage.gated("analysis.find")
    assert evidence.replay is not None
    assert (evidence.replay.active.cases, evidence.replay.drift.quality) == (1, None)
    async with stage.database.read() as session:
        used = {one.program: one.version_id for one in await programs_of(session, "local", run_id)}
        assert (await version_by_id(session, "local", used["analysis.report"])).version == report.version
