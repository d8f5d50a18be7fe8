"""Experiments in the database: one at a time, arms that stay, and what became of the runs."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from contracts.examples import NewFeedback
from contracts.experiments import By, Experiment, ExperimentStatus, NewExperiment
from contracts.pipelines import ANALYSIS, CLASSIFY, EVALUATION
from contracts.runs import RunStatus
from database.engine import Database
from database.gateway.models import register_models
from database.gateway.overrides import list_overrides
from database.journal.calls import commit_call, reserve_call
from database.learning.arms import Pin, arms_of, claim_look, meet, outcomes_of, pin_arms
from database.learning.experiments import (
    get_experiment,
    list_experiments,
    promote_arm,
    start_experiment,
    stop_experiment,
)
from database.learning.feedback import give_run_feedback
from database.learning.serving import promote, rollback, start_canary
from database.people.audit import Doer, list_entries
from database.queue.again import fork_run
from database.queue.leases import claim_runs, finish_run, release_run
from deployments.worker.decisions import Decisions
from flows.durable.arms import Experiments, arm_for, tell_met
from flows.durable.event_log import EventLog
from flows.durable.places import canary_place
from flows.durable.run import Run
from flows.durable.versions import Versions
from runtime.errors import BadInput, Conflict, NotFound
from runtime.personal import unmasked
from tests.database.test_models import entry
from tests.fixtures.made_programs import NAME, add, register
from tests.fixtures.made_runs import ANSWER, CALL, accepted

ADA = Doer("user:ada", "local")
MODELS = NewExperiment.model_validate(
    {"role": "analyst", "arms": [{"deployment": "gpt"}, {"deployment": "claude"}], "metric": "success"}
)
PROGRAM = NewExperiment.model_validate({"program": NAME, "arms": [{"version": 1}, {"version": 2}]})


async def read(database: Database, query: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def two_versions(database: Database) -> None:
    await register(database)
    for instructions in ("a", "b"):
        await add(database, instructions)
    await database.write(promote, "local", NAME, 1, by="ada", reason="")


async def two_models(database: Database) -> Experiment:
    await database.write(register_models, [entry(), entry("claude")])
    return await database.write(start_experiment, MODELS, by=ADA)


async def attempt(database: Database, **changes: Any) -> Run:
    """Accept a run, claim it, and return its first attempt."""
    run = await accepted(database, **changes)
    return await next_attempt(database, run.id)


async def next_attempt(database: Database, run_id: UUID) -> Run:
    (claim,) = await database.write(claim_runs, pool="batch", worker="w", limit=1, lease_seconds=60)
    assert claim.id == run_id
    parts = (database, object(), EventLog(database), Versions(database))
    return Run(claim.id, claim.attempt, claim.owner, claim.pipeline, *parts)  # type: ignore[arg-type]


async def test_one_experiment_of_the_same_at_a_time_and_none_beside_a_canary(database: Database):
    await two_versions(database)
    started = await database.write(start_experiment, PROGRAM, by=ADA)
    assert [(arm.name, arm.version) for arm in started.arms] == [("v1", 1), ("v2", 2)]

    with pytest.raises(Conflict) as again:
        await database.write(start_experiment, PROGRAM, by=ADA)
    with pytest.raises(Conflict) as canary:
        await database.write(start_canary, "local", NAME, 2, percent=5, by="ada", reason="")
    assert (again.value.code, canary.value.code) == ("experiment_running", "experiment_running")

    await database.write(stop_experiment, started.id, by=ADA, why="enough")
    await database.write(start_canary, "local", NAME, 2, percent=5, by="ada", reason="")
    with pytest.raises(Conflict) as beside:
        await database.write(start_experiment, PROGRAM, by=ADA)
    assert beside.value.code == "canary_running"
    await database.write(rollback, "local", NAME, by="ada", reason="")
    await database.write(start_experiment, PROGRAM, by=ADA)


async def test_another_owner_sees_and_ends_nothing(database: Database):
    started = await two_models(database)
    eve = Doer("user:eve", "user:eve")

    with pytest.raises(NotFound):
        await read(database, get_experiment, "user:eve", started.id)
    with pytest.raises(NotFound):
        await database.write(stop_experiment, started.id, by=eve)
    assert (await read(database, list_experiments, "user:eve")).items == []
    await database.write(start_experiment, MODELS, by=eve)  # their own runs are their own affair


async def test_unknown_arms_are_refused(database: Database):
    await two_versions(database)
    await database.write(register_models, [entry()])
    with pytest.raises(BadInput) as model:
        await database.write(start_experiment, MODELS, by=ADA)
    far = PROGRAM.model_copy(update={"arms": [replaced_version(9), replaced_version(1)]})
    with pytest.raises(NotFound) as version:
        await database.write(start_experiment, far, by=ADA)
    assert (model.value.code, version.value.code) == ("unknown_deployment", "program_version_not_found")


def replaced_version(number: int) -> Any:
    return PROGRAM.arms[0].model_copy(update={"version": number})


async def test_a_version_that_won_is_promoted_by_one_call(database: Database):
    await two_versions(database)
    started = await database.write(start_experiment, PROGRAM, by=ADA)

    ended = await database.write(promote_arm, started.id, "v2", by=ADA, reason="better")

    assert (ended.status, ended.winner, ended.ended_why) == (ExperimentStatus.PROMOTED, "v2", "better")
    versions = Versions(database)
    await versions.register()
    run = await attempt(database)
    with pytest.raises(BadInput):
        await database.write(promote_arm, started.id, "v7", by=ADA)
    lines = (await read(database, list_entries, target=f"experiment:{started.id}")).items
    assert [line.action for line in lines] == ["experiment.promoted", "experiment.started"]
    assert run.arms == {}


async def test_a_model_that_won_overrides_the_roles_routing(database: Database):
    started = await two_models(database)

    await database.write(promote_arm, started.id, "claude", by=ADA)

    (override,) = await read(database, list_overrides)
    assert (override.role, override.ask, override.source) == ("analyst", ["claude"], "experiment")
    assert override.about == str(started.id)


async def test_arms_are_shared_out_by_weight_and_stay_with_their_subject(database: Database):
    started = await two_models(database)
    heavy = started.model_copy(update={"arms": [replace_weight(started, 0, 3), started.arms[1]]})

    met = [arm_for(heavy, f"chat:{n}").name for n in range(2_000)]

    assert met == [arm_for(heavy, f"chat:{n}").name for n in range(2_000)]
    assert 0.7 < met.count("gpt") / len(met) < 0.8
    # The same places as a canary's: one mechanism decides who meets which side.
    assert all(
        (canary_place(heavy.id, f"chat:{n}") < 75) == (arm == "gpt") for n, arm in enumerate(met[:200])
    )


def replace_weight(experiment: Experiment, number: int, weight: int) -> Any:
    return experiment.arms[number].model_copy(update={"weight": weight})


async def test_a_run_keeps_its_arm_in_every_attempt_also_when_the_experiment_is_over(database: Database):
    started = await two_models(database)
    run = await attempt(database)
    first = await Experiments(database).pin(run, ANALYSIS, ANALYSIS.programs, "chat:1")
    await database.write(release_run, run.id, run.attempt)
    await database.write(stop_experiment, started.id, by=ADA)

    again = await next_attempt(database, run.id)
    second = await Experiments(database).pin(again, ANALYSIS, ANALYSIS.programs, "chat:1")

    assert again.attempt > 1
    assert first == second
    assert first["model:analyst"].arm == arm_for(started, "chat:1")


async def test_a_run_that_had_begun_before_takes_no_part(database: Database):
    """Its first half was answered as usual: what it shows is of no arm."""
    run = await attempt(database)
    await database.write(release_run, run.id, run.attempt)
    again = await next_attempt(database, run.id)
    await two_models(database)

    assert await Experiments(database).pin(again, ANALYSIS, ANALYSIS.programs, "chat:1") == {}


async def test_what_measures_takes_no_part_and_only_runs_of_the_program_do(database: Database):
    await two_versions(database)
    await database.write(start_experiment, PROGRAM, by=ADA)
    run, experiments = await attempt(database), Experiments(database)

    assert await experiments.pin(run, EVALUATION, EVALUATION.programs, "x") == {}
    assert await experiments.pin(run, ANALYSIS, ANALYSIS.programs, "x") == {}
    assert set(await experiments.pin(run, CLASSIFY, CLASSIFY.programs, "x")) == {f"program:{NAME}"}


async def test_users_are_the_subjects_when_it_says_so_and_runs_of_nobody_take_no_part(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    started = await database.write(start_experiment, MODELS.model_copy(update={"by": By.USER}), by=ADA)
    run = await attempt(database, started_by="user:uma")

    met = (await Experiments(database).pin(run, ANALYSIS, ANALYSIS.programs, "chat:1"))["model:analyst"]

    assert (met.subject, met.arm) == ("user:uma", arm_for(started, "user:uma"))
    await database.write(finish_run, run.id, run.attempt, RunStatus.SUCCEEDED)
    nobody = await attempt(database)
    assert await Experiments(database).pin(nobody, ANALYSIS, ANALYSIS.programs, "chat:1") == {}


async def test_an_exposure_is_told_once_and_only_when_the_arm_was_asked(database: Database):
    started = await two_models(database)
    run = await attempt(database)
    run.arms = await Experiments(database).pin(run, ANALYSIS, ANALYSIS.programs, "chat:1")
    await tell_met(run)
    assert (await read(database, outcomes_of, started.id))[0] == []

    for _ in range(3):
        run.arm_of("model:analyst")
        await tell_met(run)

    outcomes, full = await read(database, outcomes_of, started.id)
    assert ([one.subject for one in outcomes], full) == (["chat:1"], False)
    assert run.met == [run.arms["model:analyst"]]


async def test_a_fork_keeps_the_arm_and_counts_nowhere(database: Database):
    started = await two_models(database)
    run = await attempt(database)
    run.arms = await Experiments(database).pin(run, ANALYSIS, ANALYSIS.programs, "chat:1")
    await database.write(finish_run, run.id, run.attempt, RunStatus.SUCCEEDED)
    fork, _ = await database.write(fork_run, "local", run.id, params={"question": "?", "sources": []})

    again = await next_attempt(database, fork.id)
    again.forked = True
    again.arms = await Experiments(database).pin(again, ANALYSIS, ANALYSIS.programs, "chat:2")
    again.arm_of("model:analyst")
    await tell_met(again)

    assert again.arms == run.arms
    assert (await read(database, outcomes_of, started.id))[0] == []


async def finished(database: Database, experiment: Experiment, subject: str, status: RunStatus) -> UUID:
    """Let a run meet its arm, make one priced call, and end."""
    run = await attempt(database)
    pin = Pin(experiment.id, arm_for(experiment, subject).name, subject)
    await database.write(pin_arms, run.id, [pin])
    await database.write(meet, run.id, pin)
    await database.write(reserve_call, run.id, run.attempt, CALL)
    await database.write(commit_call, run.id, run.attempt, CALL, ANSWER)
    await database.write(finish_run, run.id, run.attempt, status)
    return run.id


async def test_outcomes_are_what_is_stored_already(database: Database):
    started = await two_models(database)
    run_id = await finished(database, started, "chat:1", RunStatus.SUCCEEDED)
    await finished(database, started, "chat:2", RunStatus.FAILED)
    for score in (0.25, 1.0):
        await database.write(give_run_feedback, "local", run_id, NewFeedback(score=score), unmasked)

    (good, bad), _ = await read(database, outcomes_of, started.id)

    assert (good.succeeded, bad.succeeded) == (True, False)
    assert good.cost_usd == ANSWER.cost_usd == Decimal("0.0000123456")
    assert (good.latency_ms, good.unpriced) == (812.5, 0)
    assert (good.score, bad.score) == (0.25, None)  # the first opinion counts
    assert (await read(database, arms_of, run_id))[started.id].subject == "chat:1"


async def test_a_worker_ends_what_is_decided_and_promotes_nothing(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    sure = MODELS.model_copy(update={"alpha": 0.2})
    started = await database.write(start_experiment, sure, by=ADA)
    await Decisions(database, every_seconds=0).look()
    assert (await read(database, get_experiment, "local", started.id)).status == "running"

    for n in range(40):
        subject = f"chat:{n}"
        good = arm_for(started, subject).name == "claude"
        await finished(database, started, subject, RunStatus.SUCCEEDED if good else RunStatus.FAILED)
    await Decisions(database, every_seconds=0).look()

    ended = await read(database, get_experiment, "local", started.id)
    assert (ended.status, ended.winner, ended.ended_why) == ("stopped", "claude", "decided")
    assert await read(database, list_overrides) == []
    assert await database.write(claim_look, 0) == []


async def test_one_worker_looks_at_a_time(database: Database):
    started = await two_models(database)

    assert [one.id for _, one in await database.write(claim_look, 60)] == [started.id]
    assert await database.write(claim_look, 60) == []
