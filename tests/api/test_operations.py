"""Health, readiness, documentation pages, and what the process is made of."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from httpx2 import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.settings import ApiSettings
from database.engine import Database
from database.queue.workers import announce_worker
from database.settings import DatabaseSettings

PROJECT = Path(__file__).parents[2]


@asynccontextmanager
async def calling(settings: ApiSettings, url: str) -> AsyncIterator[AsyncClient]:
    app = create_app(settings, DatabaseSettings(database_url=SecretStr(url)))
    caller = AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1")
    async with app.router.lifespan_context(app), caller:
        yield caller


@asynccontextmanager
async def prefect_answering(status: int) -> AsyncIterator[str]:
    """An HTTP server that answers every request like Prefect's /health."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntrue".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"


async def live(store: Database, *pools: str) -> None:
    for pool in pools:
        await store.write(
            announce_worker,
            worker=f"{pool}-1",
            pool=pool,
            host="here",
            pid=1,
            capacity=4,
            running=1,
            models={"roles": {"chat": ["offline"], "judge": ["fast", "offline"]}, "problem": None},
        )


async def test_alive_asks_nothing_else(settings: ApiSettings, tmp_path: Path):
    """An outage of the database must not make anybody restart this process."""
    async with calling(settings, f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.db'}") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_ready_while_prefect_and_workers_are_away(client: AsyncClient):
    """Runs are accepted all the same and start later; the answer says what is missing, with its time."""
    answer = await client.get("/readyz")

    checks = answer.json()["checks"]
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": True,
        "prefect": False,
        "workers": False,
        "models": None,
    }
    assert all(check["milliseconds"] >= 0 and check["detail"] for check in checks.values())


async def test_not_ready_when_a_part_that_was_asked_for_is_away(client: AsyncClient, store: Database):
    """What starts the whole stack waits for all of it."""
    assert (await client.get("/readyz?need=prefect")).status_code == 503
    assert (await client.get("/readyz?need=workers")).status_code == 503
    await live(store, "interactive")
    assert (await client.get("/readyz?need=workers")).status_code == 503
    await live(store, "batch")
    answer = await client.get("/readyz?need=workers")

    assert answer.status_code == 200
    assert "batch: 1 alive, 1 of 4 places taken" in answer.json()["checks"]["workers"]["detail"]


async def test_models_are_those_that_workers_tell_of(client: AsyncClient, store: Database):
    """This process knows no model; who answers which role is the workers' word."""
    await live(store, "interactive")

    models = (await client.get("/readyz?need=models")).json()["checks"]["models"]
    assert (models["ok"], models["detail"]) == (True, "chat: offline; judge: fast, offline")


async def test_a_worker_that_was_silent_for_long_does_not_count(client: AsyncClient, store: Database):
    await live(store, "interactive", "batch")
    await store.write(
        lambda session: session.execute(text("UPDATE workers SET seen_at = '2026-01-01 00:00:00.000000'"))
    )

    assert (await client.get("/readyz?need=workers")).status_code == 503


@pytest.mark.parametrize(("status", "ok"), [(200, True), (503, False)])
async def test_prefect_is_asked_for_its_health(store_url: str, status: int, ok: bool):
    async with (
        prefect_answering(status) as url,
        calling(ApiSettings(prefect_api_url=url), store_url) as client,
    ):
        assert (await client.get("/readyz")).json()["checks"]["prefect"]["ok"] is ok


async def test_the_password_in_prefects_address_is_told_to_nobody(store_url: str):
    """/readyz asks nobody who they are."""
    async with prefect_answering(200) as url:
        for address in (url, "http://127.0.0.1:1/api"):
            secret = address.replace("//", "//me:se@cret@")
            async with calling(ApiSettings(prefect_api_url=secret), store_url) as client:
                told = (await client.get("/readyz")).json()["checks"]["prefect"]["detail"]
                assert told.startswith(f"{address}/health ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "not a url", "http://[::1", ""])
async def test_an_address_where_no_prefect_is_only_means_not_ok(store_url: str, url: str):
    async with calling(ApiSettings(prefect_api_url=url), store_url) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["prefect"]["ok"]) == (200, False)


async def test_a_database_that_is_away_is_503_everywhere(settings: ApiSettings, tmp_path: Path):
    """With the code and the hint to come back, and no word of where it is."""
    async with calling(settings, f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.db'}") as client:
        answers = [
            await client.get("/api/v1/runs"),
            await client.post("/api/v1/pipelines/probe/runs", json={}),
            await client.post("/api/v1/chats", json={}),
            await client.post("/api/v1/files", files={"files": ("a.txt", b"x")}),
        ]
        ready = await client.get("/readyz")

    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (503, "database_unavailable")
    ] * 4
    assert all("Retry-After" in each.headers and str(tmp_path) not in each.text for each in answers)
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)


async def test_a_database_without_tables_says_what_to_run(settings: ApiSettings, tmp_path: Path):
    async with calling(settings, f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}") as client:
        answer = await client.get("/api/v1/runs")
        ready = await client.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_not_migrated")
    assert "millrace migrate" in answer.json()["detail"]
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)


@pytest.mark.parametrize(
    ("environment", "docs", "status"),
    [
        ("development", None, 200),
        ("production", None, 404),
        ("development", False, 404),
    ],
)
async def test_documentation_pages_are_off_in_production(
    store_url: str, environment: str, docs: bool | None, status: int
):
    settings = ApiSettings.model_validate({"millrace_environment": environment, "api_docs": docs})
    async with calling(settings, store_url) as client:
        assert {(await client.get(path)).status_code for path in ("/docs", "/openapi.json")} == {status}


def test_the_process_is_made_without_pipeline_code():
    """It starts where neither is installed, and Prefect's client alone would be 2 s and 35 MB."""
    script = (
        "import sys, json, api.app, api.serve; api.app.create_app();"
        "foreign = ('prefect', 'dspy', 'litellm', 'flows', 'modules', 'llm', 'alembic');"
        "print(json.dumps([name for name in foreign if name in sys.modules]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, check=True, text=True
    )

    assert json.loads(found.stdout) == []
