"""A client of the session's real Prefect server."""

from collections.abc import AsyncIterator

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.fixtures.prefect_server import PrefectServer


@pytest.fixture
async def client(prefect_server: PrefectServer) -> AsyncIterator[PrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        async with get_client() as opened:
            yield opened
