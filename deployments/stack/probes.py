"""Ask the stack's processes whether they are ready: over HTTP, and workers by their row in the database."""

from typing import Any

import httpx

from database.engine import Database, open_database
from database.queue.workers import SEEN_WITHIN_SECONDS, live_workers
from database.settings import DatabaseSettings
from deployments.stack.child import Child
from runtime.errors import MillraceError

TIMEOUT_SECONDS = 3


class Probes:
    """One HTTP client and one database for all questions; a question that fails is a no."""

    def __init__(self, api_url: str, prefect_api_url: str) -> None:
        self._api_url = api_url
        self._prefect_api_url = prefect_api_url
        # No proxy from the environment: everything asked is on this machine or beside it.
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._database: Database | None = None

    async def prefect_answers(self, _child: Child) -> bool:
        """Whether Prefect's API answers."""
        return await self._ask(f"{self._prefect_api_url}/health") is True

    async def api_answers(self, _child: Child) -> bool:
        """Whether our API's process answers."""
        return await self._ask(f"{self._api_url}/healthz") is not None

    async def worker_works(self, child: Child) -> bool:
        """Whether this very process has told that it looks for work."""
        if self._database is None:
            self._database = open_database(DatabaseSettings())
        try:
            async with self._database.read() as session:
                alive = await live_workers(session, SEEN_WITHIN_SECONDS)
        except MillraceError:
            return False
        return child.process is not None and child.process.pid in {worker.pid for worker in alive}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._database:
            await self._database.close()

    async def _ask(self, url: str) -> Any:
        try:
            answer = await self._http.get(url)
            return answer.json() if answer.is_success else None
        except (httpx.HTTPError, ValueError):
            return None
