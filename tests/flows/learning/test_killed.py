"""Optimizers whose process is killed, or whose money runs out, go on to the same program for the rest."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from contracts.budgets import BudgetPeriod, BudgetScope
from contracts.optimization import (
    Bootstrap,
    BootstrapRandomSearch,
    Copro,
    Gepa,
    Labeled,
    Mipro,
    Optimizer,
    Simba,
)
from contracts.program_states import content_hash
from contracts.runs import RunStatus
from database.engine import Database
from database.queue.parking import park_run
from database.queue.reaper import reap_workers
from database.queue.runs import get_run
from database.spending.caps import set_cap
from flows.durable.parking import Parked
from flows.learning.teaching import Taught
from llm.quiet_litellm import NOISE
from tests.fixtures.made_runs import accepted
from tests.fixtures.model_server import ModelServer
from tests.fixtures.optimizing import DOOMED, PROVIDERS, attempt, improved, ledger_of
from tests.fixtures.project_files import ROOT

pytestmark = [
    pytest.mark.timeout(600),
    *(pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE),
]
RANDOM_SEARCH = BootstrapRandomSearch(candidates=2, bootstrapped=2, labeled=4)
SHORT: list[Optimizer] = [RANDOM_SEARCH, Gepa(metric_calls=30)]
LONG: list[Optimizer] = [
    *(Bootstrap(bootstrapped=8), Mipro(candidates=2, trials=2, bootstrapped=2, labeled=4)),
    *(Copro(breadth=2, depth=1), Simba(batch=8, candidates=2, steps=2)),
]
# So that a kill finds calls under way, and not an optimizer that is done.
LATENCY_MS = 15


@pytest.fixture
async def provider() -> AsyncIterator[ModelServer]:
    """A paid model over HTTP; the offline one answers behind it."""
    server = ModelServer().start()
    server.behaviour["*"].latency_ms = LATENCY_MS
    yield server
    server.stop()


@pytest.fixture
def providers(provider: ModelServer, tmp_path: Path) -> Path:
    path = tmp_path / "providers.yaml"
    path.write_text(PROVIDERS % provider.url)
    return path


@pytest.mark.parametrize("choice", SHORT, ids=lambda one: one.name)
async def test_a_killed_optimizer_repeats_no_finished_call(
    database: Database, database_url: str, providers: Path, provider: ModelServer, choice: Optimizer
) -> None:
    await killed_and_resumed(database, database_url, providers, provider, choice, 1 / 3)


@pytest.mark.chaos
@pytest.mark.parametrize("share", [1 / 3, 2 / 3], ids=["a third", "two thirds"])
@pytest.mark.parametrize("choice", [*SHORT, *LONG], ids=lambda one: one.name)
async def test_each_optimizer_killed_at_a_third_and_at_two_thirds(
    database: Database,
    database_url: str,
    providers: Path,
    provider: ModelServer,
    choice: Optimizer,
    share: float,
) -> None:
    await killed_and_resumed(database, database_url, providers, provider, choice, share)


async def killed_and_resumed(
    database: Database, url: str, providers: Path, provider: ModelServer, choice: Optimizer, share: float
) -> None:
    """Kill -9 the process that runs an optimizer once so many of its calls are answered; then go on."""
    whole, made = await uninterrupted(database, providers, choice)
    assert whole.state is not None
    provider.stats.clear()
    run = await accepted(database)
    kill_at(url, providers, provider, choice, made * share)
    assert [one.id for one in await database.write(reap_workers, [DOOMED])] == [run.id]
    async with attempt(database, providers, "another") as again:
        finished = sum(call.status == "succeeded" for call in await ledger_of(again))
        found = await improved(again, choice)
        calls = await ledger_of(again)
    assert content_hash(found.state or {}) == content_hash(whole.state)
    assert (found.calls, len(calls)) == (whole.calls, made)
    lost = sum(call.lost for call in calls)
    assert sum(call.tries - 1 - call.lost for call in calls) == 0
    assert sum(call.replays for call in calls) == finished >= int(made * share) - 8
    # At the endpoint: each call once, and those again whose answers nobody was alive to write down.
    assert made <= provider.total().requests <= made + lost


def kill_at(url: str, providers: Path, provider: ModelServer, choice: Optimizer, answers: float) -> None:
    """Let a process run the optimizer, and kill it once it has so many answers."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.fixtures.optimizing", "--database", url),
            *("--providers", str(providers), "--optimizer", choice.model_dump_json()),
        ],
        cwd=ROOT,
    )
    try:
        while provider.total().answers < answers:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()


async def test_labeled_makes_no_call_that_could_be_repeated(
    database: Database, providers: Path, provider: ModelServer
) -> None:
    once, made = await uninterrupted(database, providers, Labeled())
    again, _ = await uninterrupted(database, providers, Labeled())
    assert (made, provider.total().requests) == (0, 0)
    assert content_hash(once.state or {}) == content_hash(again.state or {})


async def test_a_raised_budget_goes_on_where_an_optimization_parked(
    database: Database, providers: Path, provider: ModelServer
) -> None:
    whole, made = await uninterrupted(database, providers, RANDOM_SEARCH)
    assert whole.state is not None
    run = await accepted(database)
    capped = {"scope": BudgetScope.RUN, "subject": run.id, "period": BudgetPeriod.NONE}
    await database.write(set_cap, "local", **capped, cap_usd=whole.usd / 2)
    provider.stats.clear()
    async with attempt(database, providers, "first") as first:
        with pytest.raises(Parked) as parked:
            await improved(first, RANDOM_SEARCH)
        assert parked.value.waiting.kind == "budget"
        finished = sum(call.status == "succeeded" for call in await ledger_of(first))
        assert made / 4 < finished < made
        assert sum((call.cost_usd or 0 for call in await ledger_of(first)), Decimal(0)) <= whole.usd / 2
        await database.write(park_run, run.id, 1, parked.value.waiting, parked.value.until)
    # Raising it wakes the run.
    await database.write(set_cap, "local", **capped, cap_usd=whole.usd * 2)
    async with database.read() as session:
        assert (await get_run(session, "local", run.id)).status is RunStatus.QUEUED
    async with attempt(database, providers, "second") as second:
        found = await improved(second, RANDOM_SEARCH)
        calls = await ledger_of(second)
    assert content_hash(found.state or {}) == content_hash(whole.state)
    assert len(calls) == made == provider.total().requests
    assert sum(call.tries - 1 for call in calls) == 0
    assert sum(call.replays for call in calls) == finished


async def uninterrupted(database: Database, providers: Path, choice: Optimizer) -> tuple[Taught, int]:
    """What an optimizer comes to when nothing happens, and how many calls it made."""
    await accepted(database)
    async with attempt(database, providers, "whole") as run:
        found = await improved(run, choice)
        return found, len(await ledger_of(run))
