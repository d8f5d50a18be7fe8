"""`millrace run` with options, `cancel`, `retry`, `fork`, `resume`, `budget`, against a real API by HTTP."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.settings import ApiSettings
from contracts.programs import VersionOrigin
from contracts.runs import EventKind, Waiting, WaitKind
from database.engine import Database
from database.learning.programs import NewProgram, NewVersion, register_programs
from database.learning.serving import programs_of, ship
from database.queue.events import append_events
from database.queue.parking import park_run
from database.queue.runs import get_run
from database.settings import DatabaseSettings
from runtime.clock import utcnow
from tests.api.served import served
from tests.api.worker import begin, fail, succeed
from tests.fixtures.project_files import ROOT

TEXT = ("--param", 'sources=[{"kind": "text", "name": "a.md", "text": "Yes."}]')
Command = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]


@pytest.fixture
async def app(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The API, in this process; commands know nothing of its database, so one kind is enough."""
    shutil.copy(migrated_sqlite, tmp_path / "test.db")
    database_url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    settings = ApiSettings(
        api_heartbeat_seconds=0.2, api_tail_seconds=0.01, prefect_api_url="http://127.0.0.1:9/api"
    )
    app = create_app(settings, DatabaseSettings(database_url=SecretStr(database_url)))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def store(app: FastAPI) -> Database:
    """Its database."""
    return app.state.resources.database


@pytest.fixture
async def millrace(app: FastAPI) -> AsyncIterator[Command]:
    """Run a command in a process of its own; gives its exit code, what it said, and what went wrong."""
    async with served(app) as address:

        async def command(*arguments: str) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "deployments.cli", *arguments),
                cwd=ROOT,
                env={**os.environ, "MILLRACE_API_URL": address},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said, wrong = await process.communicate()
            return process.returncode or 0, said.decode(), wrong.decode()

        yield command


async def started(millrace: Command, *options: str) -> dict[str, Any]:
    code, said, wrong = await millrace("run", "probe", "--param", "steps=1", "--json", *options)
    assert code == 0, wrong
    return json.loads(said)


async def test_each_option_of_a_run_reaches_it(millrace: Command):
    run = await started(
        millrace,
        *("--concurrency-key", "customer:1", "--priority", "2"),
        *("--start-at", "2030-01-05T09:30:00+01:00", "--deadline", "2030-01-05T10:30:00+01:00"),
        *("--webhook", "https://example.com/hook"),
    )
    assert (run["concurrency_key"], run["priority"]) == ("customer:1", 2)
    assert (run["start_at"][:16], run["deadline_at"][:16]) == ("2030-01-05T08:30", "2030-01-05T09:30")


async def test_a_key_that_is_taken_is_refused_in_one_sentence(millrace: Command):
    taken = ("--concurrency-key", "customer:1")
    await started(millrace, *taken)
    code, _, wrong = await millrace("run", "probe", *taken, "--on-busy", "reject")
    assert (code, "customer:1" in wrong, len(wrong.strip().splitlines())) == (2, True, 1)
    assert "Traceback" not in wrong


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--start-at", "soon", "is no time"),
        ("--on-busy", "panic", "on_busy"),
        ("--priority", "10", "--priority"),
        ("--webhook", "ftp://example.com", "webhook_url"),
    ],
)
async def test_an_option_that_makes_no_sense_is_named(millrace: Command, option: str, value: str, told: str):
    code, _, wrong = await millrace("run", "probe", option, value)
    assert (code, told in wrong) == (2, True), wrong


async def test_a_run_in_the_queue_is_cancelled_and_retried(millrace: Command):
    run = await started(millrace)
    code, said, _ = await millrace("cancel", run["id"], "--json")
    assert (code, json.loads(said)["status"]) == (0, "cancelled")
    code, _, wrong = await millrace("cancel", run["id"])
    assert (code, "ended already" in wrong) == (2, True)
    code, said, _ = await millrace("retry", run["id"], "--json")
    assert (code, json.loads(said)["status"]) == (0, "queued")


async def test_a_retry_that_is_waited_for_ends_as_the_run_does(store: Database, millrace: Command):
    run = await started(millrace)
    await fail(store, await begin(store))
    waiting = asyncio.create_task(millrace("retry", run["id"], "--wait", "--json"))
    await fail(store, await begin(store))
    code, said, _ = await waiting
    assert (code, json.loads(said)["error"]["code"]) == (1, "model_unavailable")

    waiting = asyncio.create_task(millrace("retry", run["id"], "--wait", "--json"))
    await succeed(store, await begin(store))
    code, said, _ = await waiting
    assert (code, json.loads(said)["status"], json.loads(said)["attempt"]) == (0, "succeeded", 3)


async def test_a_run_that_has_succeeded_is_not_retried_but_forked(store: Database, millrace: Command):
    run = await started(millrace)
    await succeed(store, await begin(store))
    code, _, wrong = await millrace("retry", run["id"])
    assert (code, "Fork it instead" in wrong) == (2, True)
    code, said, _ = await millrace("fork", run["id"], "--param", "steps=3", "--json")
    fork = json.loads(said)
    assert (code, fork["forked_from"], fork["params"]["steps"]) == (0, run["id"], 3)


async def test_a_fork_from_a_step_that_is_not_there_names_those_that_are(
    store: Database, millrace: Command, tmp_path: Path
):
    run = await started(millrace)
    claimed = await begin(store)
    begun = [(EventKind.STEP, {"step": "nothing[1]", "status": "started", "tries": 1}, utcnow())]
    await store.write(append_events, claimed.id, claimed.attempt, begun)
    await succeed(store, claimed)
    code, _, wrong = await millrace("fork", run["id"], "--from-step", "nothing[9]")
    assert (code, "nothing[1]" in wrong) == (2, True)

    changed = tmp_path / "changed.yaml"
    changed.write_text("steps: 2\n")
    asked = ("--from-step", "nothing", "--params-file", str(changed), "--json")
    code, said, _ = await millrace("fork", run["id"], *asked)
    assert (code, json.loads(said)["params"]["steps"]) == (0, 2)


async def test_a_fork_takes_the_options_of_a_run_and_is_made_once_under_its_key(
    store: Database, millrace: Command
):
    run = await started(millrace)
    await succeed(store, await begin(store))
    asked = ("fork", run["id"], "--priority", "2", "--budget", "0.50", "--idempotency-key", "f-1", "--json")
    forks = [json.loads((await millrace(*asked))[1]) for _ in range(2)]
    assert forks[0]["id"] == forks[1]["id"] != run["id"]
    assert forks[0]["priority"] == 2
    _, said, _ = await millrace("budgets", "--json")
    assert [(each["scope"], each["subject"]) for each in json.loads(said)["items"]] == [
        ("run", forks[0]["id"])
    ]


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("analysis.report", "PROGRAM=VERSION"),
        ("analysis.report=newest", "PROGRAM=VERSION"),
        ("nobody.knows=3", "nobody.knows"),
        (f"analysis.report={UUID(int=7)}", str(UUID(int=7))),
    ],
)
async def test_a_version_that_cannot_answer_a_fork_is_named(
    store: Database, millrace: Command, version: str, told: str
):
    run = await started(millrace)
    await succeed(store, await begin(store))
    code, _, wrong = await millrace("fork", run["id"], "--version", version)
    assert (code, told in wrong, len(wrong.strip().splitlines())) == (2, True, 1), wrong


async def test_a_fork_is_answered_by_the_version_that_was_named(store: Database, millrace: Command):
    program = NewProgram("analysis.report", "Write the report", "analyst", {}, [], ["report"])
    await store.write(register_programs, [program])
    source = NewVersion({}, {}, VersionOrigin.SOURCE)
    shipped = await store.write(ship, "local", "analysis.report", source)
    code, said, wrong = await millrace("run", "analysis", "--param", "question=Why?", "--json", *TEXT)
    assert code == 0, wrong
    await succeed(store, await begin(store, "batch"))
    by_number = ("--version", "analysis.report=1", "--json")
    code, said, wrong = await millrace("fork", json.loads(said)["id"], *by_number)
    assert code == 0, wrong
    async with store.read() as session:
        (use,) = await programs_of(session, "local", UUID(json.loads(said)["id"]))
    assert use.version_id == shipped.id


async def test_a_waiting_run_is_resumed_and_another_one_is_told_that_it_does_not_wait(
    store: Database, millrace: Command
):
    run = await started(millrace)
    code, _, wrong = await millrace("resume", run["id"])
    assert (code, "does not wait" in wrong, len(wrong.strip().splitlines())) == (2, True, 1)
    claimed = await begin(store)
    await store.write(
        park_run, claimed.id, claimed.attempt, Waiting(kind=WaitKind.PERSON, reason="Anna must say yes")
    )
    code, said, _ = await millrace("resume", run["id"])
    assert (code, said.strip()) == (0, f"run {run['id']} queued")


async def test_a_budget_is_set_shown_raised_and_removed(store: Database, millrace: Command):
    run = await started(millrace)
    assert (await millrace("budget", "set", "owner", "5", "--period", "day"))[0] == 0
    assert (await millrace("budget", "set", "run", run["id"], "0.10"))[0] == 0
    claimed = await begin(store)
    about = Waiting(kind=WaitKind.BUDGET, reason="No money", about=await only(millrace, "run", "id"))
    await store.write(park_run, claimed.id, claimed.attempt, about)
    code, said, _ = await millrace("budget", "set", "run", run["id"], "1.00")
    assert (code, run["id"] in said, "1" in said.split()) == (0, True, True)
    async with store.read() as session:
        assert (await get_run(session, "local", UUID(run["id"]))).status == "queued"
    code, said, _ = await millrace("budgets")
    assert (code, "you" in said, "day" in said, len(said.strip().splitlines())) == (0, True, True, 3)
    assert await only(millrace, "owner", "left_usd") == "5"
    assert (await millrace("budget", "remove", await only(millrace, "owner", "id")))[0] == 0
    code, _, wrong = await millrace("budget", "remove", str(uuid4()))
    assert (code, "no budget" in wrong) == (2, True)
    _, said, _ = await millrace("budgets", "--json")
    assert [each["scope"] for each in json.loads(said)["items"]] == ["run"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("owner", "much"), "Give a cap in US dollars"),
        (("run", "1", "2", "3"), "Give a cap in US dollars"),
        (("owner", "5", "--period", "year"), "period"),
        (("run", "5"), "subject"),
        (("run", str(UUID(int=7)), "5"), str(UUID(int=7))),
    ],
)
async def test_a_budget_that_makes_no_sense_is_told_so(millrace: Command, words: tuple[str, ...], told: str):
    code, _, wrong = await millrace("budget", "set", *words)
    assert (code, told in wrong, "Traceback" in wrong) == (2, True, False), wrong


async def only(millrace: Command, scope: str, name: str) -> str:
    """Return something about the only budget of a scope."""
    _, said, _ = await millrace("budgets", "--json")
    (found,) = [each for each in json.loads(said)["items"] if each["scope"] == scope]
    return str(found[name])


@pytest.mark.parametrize("command", ["cancel", "retry", "fork", "resume"])
async def test_a_run_that_is_not_there_is_told_so(millrace: Command, command: str):
    missing = str(uuid4())
    code, _, wrong = await millrace(command, missing)
    assert (code, missing in wrong, len(wrong.strip().splitlines())) == (2, True, 1)
