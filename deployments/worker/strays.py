"""Leases that this worker has and knows nothing of: the answer to a claim was lost after its commit."""

import time
from contextlib import suppress
from uuid import UUID

import structlog

from database.errors import Fenced
from database.queue.leases import leases_of, unclaim_run
from deployments.worker.executions import Executions

# Younger ones may be claims whose answer is on its way.
STRAY_SECONDS = 3.0

Attempt = tuple[UUID, int]

log = structlog.get_logger()


class Strays:
    """Finds runs that are leased to this worker and that nobody executes, and gives them back blameless.

    Left alone, each would wait for the end of its lease and lose an attempt that never began.
    """

    def __init__(self, executions: Executions, worker: str, seconds: float = STRAY_SECONDS) -> None:
        self._executions = executions
        self._worker = worker
        self._seconds = seconds
        self._seen: dict[Attempt, float] = {}

    async def give_back(self) -> None:
        """Give back what an earlier look has found already, some seconds ago.

        An attempt that was here and ended without giving up its lease is no stray: it counts, so that
        what breaks every worker is not begun for ever. Its lease runs out.
        """
        executions, gone = self._executions, set(self._executions.let_go)
        async with executions.database.read() as session:
            leased = set((await leases_of(session, self._worker)).items())
        executions.let_go -= gone - leased
        strays = leased - set(executions.held().items()) - executions.let_go
        now = time.monotonic()
        self._seen = {stray: self._seen.get(stray, now) for stray in strays}
        for (run_id, attempt), since in self._seen.items():
            if since < now and now - since >= self._seconds:
                with suppress(Fenced):
                    await executions.database.write(unclaim_run, run_id, attempt, 0)
                    log.warning("a claim nobody heard of given back", run_id=str(run_id), attempt=attempt)
