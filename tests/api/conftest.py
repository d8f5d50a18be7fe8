"""An API with a database of its own: in process, and behind a real server for what streams."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.typing import EventDict

from api import edge, problems, tail
from api.app import create_app
from api.auth import embedded
from api.resources import Resources
from api.settings import ApiSettings
from contracts.people import Role
from database.engine import Database
from database.migrate import upgrade
from database.settings import DatabaseSettings
from tests.api.people import Town, asking
from tests.api.served import served

HERE = "http://127.0.0.1"


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> list[EventDict]:
    """What this test's requests log. Unconfigured, structlog would spend seconds on drawing tracebacks."""
    capture = structlog.testing.LogCapture()
    steps = [structlog.contextvars.merge_contextvars, capture]
    for module in (edge, problems, tail, embedded):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(None, steps))
    return capture.entries


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: quicker than migrating one for each test."""
    path = tmp_path_factory.mktemp("api") / "empty.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def store_url(migrated: Path, tmp_path: Path) -> str:
    """The URL of this test's database; a module may override it."""
    shutil.copy(migrated, tmp_path / "api.db")
    return f"sqlite+aiosqlite:///{tmp_path / 'api.db'}"


@pytest.fixture
def settings() -> ApiSettings:
    """The API's settings; a module may override them. No Prefect listens at port 9."""
    return ApiSettings(
        api_heartbeat_seconds=0.2, api_tail_seconds=0.01, prefect_api_url="http://127.0.0.1:9/api"
    )


@pytest.fixture
async def app(settings: ApiSettings, store_url: str) -> AsyncIterator[FastAPI]:
    """A started application."""
    application = create_app(settings, DatabaseSettings(database_url=SecretStr(store_url)))
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def resources(app: FastAPI) -> Resources:
    """What the application opened."""
    return app.state.resources


@pytest.fixture
def store(resources: Resources) -> Database:
    """The application's own database."""
    return resources.database


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller in the same process."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HERE) as caller:
        yield caller


@pytest.fixture
async def town(store_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """An API that asks who calls: Ada administers it, Uma and Otto use it."""
    async with asking(store_url, tmp_path) as started:
        await started.settle("ada", Role.ADMIN)
        await started.settle("uma", Role.USER)
        await started.settle("otto", Role.USER)
        yield started


@pytest.fixture
async def remote(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A caller over TCP: what streams or breaks off needs real connections."""
    async with served(app) as address, httpx2.AsyncClient(base_url=address, timeout=60) as caller:
        yield caller
