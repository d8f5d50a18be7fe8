"""The whole OpenAPI document, asked what it allows and what it does not, on a live server on MariaDB.

Short in `make test`; `make fuzz` asks each operation MILLRACE_FUZZ_EXAMPLES times.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from api.auth.settings import AuthSettings
from api.auth.tokens import hashed
from api.settings import ApiSettings
from contracts.people import Role, Scope
from database.engine import open_database
from database.migrate import upgrade
from database.people.audit import COMMAND_LINE, Doer
from database.people.keys import make_key
from database.people.users import create_user
from database.settings import DatabaseSettings
from tests.fixtures.mariadb import MariaDbServer

EXAMPLES = int(os.environ.get("MILLRACE_FUZZ_EXAMPLES", "6"))
KEY = "mlr_fuzz"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class Quiet(uvicorn.Server):
    """A server in a thread leaves the signals to pytest."""

    def capture_signals(self) -> Any:
        return nullcontext()


@pytest.fixture(scope="module")
def live(mariadb_server: MariaDbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks who calls; KEY is an administrator's."""
    url = mariadb_server.new_database()
    upgrade(url)
    database = DatabaseSettings(database_url=SecretStr(url))
    asyncio.run(let_in(database))
    folder = tmp_path_factory.mktemp("fuzz")
    patch = pytest.MonkeyPatch()
    for kind in ("READ", "WRITE", "START", "REFUSED", "LOGIN_ADDRESS", "LOGIN_ACCOUNT"):
        patch.setenv(f"RATE_LIMIT_{kind}", "off")
    app = create_app(
        ApiSettings(api_wait_max_seconds=0, api_heartbeat_seconds=1),
        database,
        AuthSettings(auth="embedded", auth_keys_file=folder / "keys.json"),
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = Quiet(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        deadline = time.monotonic() + 60
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=60)
    patch.undo()


async def let_in(settings: DatabaseSettings) -> None:
    """Make an administrator with a key that may do everything."""
    database = open_database(settings)
    user = await database.write(
        create_user, COMMAND_LINE, email="a@example.org", name="", role=Role.ADMIN, password_hash=None
    )
    by = Doer(f"user:{user.id}", f"user:{user.id}")
    await database.write(
        make_key,
        by,
        user.id,
        project_id=None,
        name="fuzz",
        prefix=KEY,
        key_hash=hashed(KEY),
        scopes=list(Scope),
        expires_at=None,
    )
    await database.close()


DOCUMENT = create_app(ApiSettings()).openapi()
OPERATIONS = [each.ok() for each in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]


# The server lives in a thread of this process, and may draw a random number while a question is made up.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_question_breaks_the_server_or_the_document(operation: Any, live: str):
    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="MILLRACE_FUZZ_EXAMPLES" not in os.environ,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        # To say 503 when a part is missing is what this one is for.
        checks = CHECKS[1:] if operation.path == "/readyz" else CHECKS
        case.call_and_validate(base_url=live, headers=headers, checks=checks, timeout=60)

    ask()
