"""An API that asks who calls, with people on it: for the tests of everything that depends on who that is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.auth.settings import AuthSettings
from api.resources import Resources
from api.settings import ApiSettings
from contracts.people import Role
from database.people.audit import COMMAND_LINE
from database.people.users import create_user
from database.settings import DatabaseSettings

PASSWORD = "correct horse battery"
V1 = "/api/v1"


@cache
def stored_password() -> str:
    """The hash of everybody's password, made once: it takes a tenth of a second."""
    return PasswordHasher().hash(PASSWORD)


@dataclass
class Somebody:
    """A person of the test's server, with a client that sends their credential."""

    email: str
    client: httpx2.AsyncClient
    tokens: dict[str, Any] = field(default_factory=dict)
    id: str = ""

    async def call(
        self, method: str, path: str, project: str | None = None, **request: Any
    ) -> httpx2.Response:
        """Send a request as this person, in a project when one is given."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", **request.pop("headers", {})}
        if project is not None:
            headers["Millrace-Project"] = project
        return await self.client.request(method, f"{V1}{path}", headers=headers, **request)

    async def get(self, path: str, project: str | None = None, **request: Any) -> httpx2.Response:
        return await self.call("GET", path, project, **request)

    async def post(self, path: str, body: Any = None, project: str | None = None) -> httpx2.Response:
        return await self.call("POST", path, project, json={} if body is None else body)

    async def key(self, *scopes: str, project: str | None = None, **more: Any) -> str:
        """Make an API key and return its secret."""
        made = await self.post("/api-keys", {"name": "test", "scopes": list(scopes), **more}, project)
        assert made.status_code == 201, made.text
        return made.json()["secret"]


@dataclass
class Town:
    """The server, its insides, and its people by their first name."""

    app: FastAPI
    client: httpx2.AsyncClient
    resources: Resources
    people: dict[str, Somebody] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Somebody:
        return self.people[name]

    async def settle(self, name: str, role: Role) -> Somebody:
        """Let somebody in, and begin a sign-in of theirs without the slow part."""
        assert self.resources.people is not None
        email = f"{name}@example.org"
        made = await self.resources.database.write(
            create_user, COMMAND_LINE, email=email, name=name, role=role, password_hash=stored_password()
        )
        tokens = await self.resources.people.directory.begin(made.id, COMMAND_LINE)
        told = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
        self.people[name] = Somebody(email, self.client, told, str(made.id))
        return self.people[name]

    async def login(self, email: str, password: str = PASSWORD) -> httpx2.Response:
        return await self.client.post(f"{V1}/auth/login", json={"email": email, "password": password})

    async def with_credential(self, credential: str, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {credential}", **more.pop("headers", {})}
        return await self.client.request(method, f"{V1}{path}", headers=headers, **more)


@asynccontextmanager
async def asking(
    url: str,
    folder: Path,
    settings: ApiSettings | None = None,
    database: dict[str, Any] | None = None,
    **auth: Any,
) -> AsyncIterator[Town]:
    """Start an API that asks who calls, on a migrated database."""
    keys_file = folder / "auth-keys.json"
    app = create_app(
        settings or ApiSettings(api_heartbeat_seconds=0.2, api_tail_seconds=0.01),
        DatabaseSettings(database_url=SecretStr(url), **(database or {})),
        AuthSettings(**{"auth": "embedded", "auth_keys_file": keys_file, **auth}),
    )
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://api.example") as client,
    ):
        yield Town(app, client, app.state.resources)
