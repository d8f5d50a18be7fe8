"""`millrace recommendations`, `programs policy` and `programs trace`, against a real API over HTTP."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.settings import ApiSettings
from contracts.approvals import Asking
from contracts.people import Scope
from contracts.programs import VersionOrigin
from database.learning.serving import pin_versions, promote
from database.migrate import upgrade
from database.queue.approvals import ask
from database.settings import DatabaseSettings
from tests.api.served import served
from tests.fixtures.made_programs import NAME, add, register
from tests.fixtures.made_recommendations import recommended
from tests.fixtures.made_runs import accepted, claimed
from tests.fixtures.project_files import ROOT

Command = Callable[..., Coroutine[None, None, tuple[int, str]]]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The API, in this process."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'api.db'}"
    await asyncio.to_thread(upgrade, url)
    application = create_app(ApiSettings(), DatabaseSettings(database_url=SecretStr(url)))
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def millrace(app: FastAPI) -> AsyncIterator[Command]:
    """Run a command in a process of its own; gives its exit code and what it said."""
    async with served(app) as address:

        async def command(*arguments: str) -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "deployments.cli", *arguments),
                cwd=ROOT,
                env={**os.environ, "MILLRACE_API_URL": address, "COLUMNS": "200"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
            return process.returncode or 0, said.decode()

        yield command


async def test_what_is_recommended_is_shown_approved_and_traced(app: FastAPI, millrace: Command):
    store = app.state.resources.database
    await register(store)
    first = await add(store, "Sort it.")
    await store.write(promote, "local", NAME, 1, by="ada", reason="first")
    second = await add(store, "Sort it well.", parent_id=first.id, imported_by="local")
    run = await claimed(store)
    made = await recommended(store, second, first, run_id=run.id)
    await store.write(
        ask,
        *(run.id, "local"),
        asking=Asking.APPROVAL,
        step="flow/recommendation",
        title=made.title,
        what={},
        digest=made.digest,
        needs_scope=Scope.PROGRAMS_PROMOTE,
    )
    code, listed = await millrace("recommendations", "list")
    assert (code, str(made.id) in listed, "+0.200 (+0.100 to +0.300)" in listed) == (0, True, True), listed
    code, shown = await millrace("recommendations", "show", str(made.id))
    assert (code, "+Sort it well." in shown) == (0, True), shown
    code, said = await millrace("recommendations", "approve", str(made.id), "-m", "good")
    assert (code, f"{made.title}: approved" in said) == (0, True), said
    code, said = await millrace("recommendations", "refuse", str(made.id))
    assert (code != 0, "waits for no decision" in said) == (True, True), said
    answer = await accepted(store)
    await store.write(pin_versions, answer.id, {NAME: second.id})
    code, traced = await millrace("programs", "trace", str(answer.id))
    assert code == 0, traced
    assert f"{NAME} version 2 ({VersionOrigin.IMPORT}, candidate)" in traced
    assert "from version 1" in traced
    assert "imported by local" in traced
    assert f"recommendation {made.id}: approved by local" in traced


async def test_a_policy_is_shown_and_changed(app: FastAPI, millrace: Command):
    await register(app.state.resources.database)
    code, shown = await millrace("programs", "policy", NAME)
    assert (code, "mode=approval" in shown) == (0, True), shown
    code, changed = await millrace("programs", "policy", NAME, "mode=auto_low_risk", "minimum_cases=40")
    assert (code, "mode=auto_low_risk" in changed, "minimum_cases=40" in changed) == (0, True, True), changed
    code, said = await millrace("programs", "policy", NAME, "mood=good")
    assert (code != 0, "setting of the policy" in said) == (True, True), said
