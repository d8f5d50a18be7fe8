"""The Prefect worker type `millrace`: flow runs inside this process, many at once.

`millrace worker --pool interactive` and `prefect worker start --type millrace --pool interactive` both
start it. Work comes by two roads: rows of the run table (API, command line), claimed with a lease, and
flow runs that Prefect scheduled (UI, schedules), adopted into the table. From there on they are alike.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import anyio.abc
import httpx
import structlog
from prefect.client.schemas.objects import FlowRun
from prefect.context import AsyncClientContext
from prefect.states import Failed
from prefect.workers.base import BaseVariables, BaseWorker, BaseWorkerResult

from contracts.pipelines import PIPELINES, Pool
from contracts.runs import Origin, RunError, RunStatus
from database.engine import open_database
from database.patience import outlast
from database.queue.leases import Claimed, adopt_run, bind_flow_run, finish_run, unclaim_run
from database.settings import DatabaseSettings
from deployments.worker.engine_seams import own_the_process
from deployments.worker.executions import LEAVE_SECONDS, PREFECT_RETRY_SECONDS, Executions
from deployments.worker.flow_runs import CancelledThere, FlowRuns, refused
from deployments.worker.job import JobConfiguration, owner_of
from deployments.worker.models import Answers, Models
from deployments.worker.neighbours import Neighbours
from deployments.worker.reconnecting import reconnect
from deployments.worker.roads import claim_forever, wake_on_events
from deployments.worker.settings import WorkerSettings
from deployments.worker.upkeep import Upkeep
from deployments.worker.webhooks import Webhooks
from flows.catalogue import load_flow
from llm.door import Door
from runtime.errors import BadInput, MillraceError, Unavailable
from runtime.home import home
from runtime.ids import new_id

T = TypeVar("T")

log = structlog.get_logger()


def worker_name(pool: str) -> str:
    """Return a name that says where a worker runs and that no other process has."""
    return f"{pool}-{socket.gethostname()}-{os.getpid()}-{new_id().hex[-6:]}"


def known_pool(name: str) -> Pool:
    """Return the pool of that name.

    Raises:
        BadInput: `unknown_pool`.
    """
    pools = {pipeline.pool for pipeline in PIPELINES.values()}
    for pool in pools:
        if pool == name:
            return pool
    raise BadInput(f"there is no pool {name!r}; use one of {', '.join(sorted(pools))}", code="unknown_pool")


class WarmRunResult(BaseWorkerResult):
    """Prefect asks for a result of the infrastructure; here that is this process."""


class MillraceWorker(BaseWorker[JobConfiguration, BaseVariables, WarmRunResult]):
    """Runs flow runs of a `millrace` work pool in this process."""

    type = "millrace"
    job_configuration = JobConfiguration
    _description = "Runs Millrace pipelines inside a warm process: milliseconds from trigger to first line."

    def __init__(self, work_pool_name: str, *args: Any, **kwargs: Any) -> None:
        self.settings = WorkerSettings()
        if kwargs.get("limit") is None:
            kwargs["limit"] = self.settings.worker_concurrency
        super().__init__(work_pool_name, *args, **kwargs)
        self._pool = known_pool(work_pool_name)
        self.executions: Executions
        self._upkeep: Upkeep
        self._claims: asyncio.Task[None] | None = None
        self._duties: list[asyncio.Task[None]] = []

    @property
    def pool(self) -> Pool:
        """The work pool, which is also the pool of the run table."""
        return self._pool

    def free_slots(self) -> int:
        """Return how many more runs fit in."""
        return int(self.limiter.available_tokens)

    def take_slot(self, claimed: Claimed) -> None:
        """Hold a slot for one attempt: an earlier one of the same run may still be on its way out."""
        self.limiter.acquire_on_behalf_of_nowait((claimed.id, claimed.attempt))

    def free_slot(self, claimed: Claimed) -> None:
        """Give the attempt's slot back."""
        self.limiter.release_on_behalf_of((claimed.id, claimed.attempt))

    async def setup(self) -> None:
        """Open everything that runs need, then look for work."""
        own_the_process()
        for pipeline in PIPELINES.values():
            if pipeline.pool == self.pool:
                load_flow(pipeline.name)
        await super().setup()
        database = open_database(DatabaseSettings())
        self._exit_stack.push_async_callback(database.close)
        door = Door.open(answers=Answers(database))
        self._exit_stack.push_async_callback(door.close)
        # One client for all runs: the TLS context that each new client builds was half of a run's CPU.
        shared = await self._exit_stack.enter_async_context(AsyncClientContext())
        for client in (shared.client, self.client):
            reconnect(client)
        self.executions = Executions(database, door, FlowRuns(shared.client, database))
        neighbours = Neighbours(home() / "workers", self.name)
        neighbours.move_in()
        self._exit_stack.callback(neighbours.move_out)
        models = Models(database, door)
        webhooks = Webhooks(database)
        self._exit_stack.push_async_callback(webhooks.close)
        watching = (self.limiter, neighbours, models, webhooks)
        self._upkeep = Upkeep(self.name, self.pool, self.executions, self.settings, *watching)
        await outlast(self._upkeep.announce)
        await outlast(models.register)
        await self.executions.versions.register()
        self._claims = asyncio.create_task(claim_forever(self), name="claims")
        self._duties = [asyncio.create_task(wake_on_events(self), name="events"), *self._upkeep.tasks()]

    async def teardown(self, *exc_info: Any) -> None:
        """Take no more work, let what runs finish or go back to the queue, and leave."""
        if self._claims is not None:
            self.executions.draining = True
            # Not cancelled: in the middle of its commit a claim may be written or not.
            await asyncio.wait({self._claims}, timeout=LEAVE_SECONDS)
            await self.executions.drain(self.settings.worker_drain_seconds)
            for duty in (self._claims, *self._duties):
                duty.cancel()
            await asyncio.gather(self._claims, *self._duties, return_exceptions=True)
            with suppress(Unavailable):
                await self._upkeep.leave()
        await super().teardown(*exc_info)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take what Prefect has scheduled; none while it does not answer, or while this worker stops.

        The base class ends the worker, and with it every run in flight, after a dozen failures in a row.
        """
        if self.executions.draining:
            return []
        return await self._unless_away(super().get_and_submit_flow_runs()) or []

    async def _sync_and_initialize(self) -> None:
        await self._unless_away(super()._sync_and_initialize())

    async def _unless_away(self, asking: Awaitable[T]) -> T | None:
        try:
            return await asking
        except httpx.HTTPError as error:
            if refused(error):
                raise
            log.warning("Prefect does not answer", error=type(error).__name__)
            return None

    async def run(
        self,
        flow_run: FlowRun,
        configuration: JobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> WarmRunResult:
        """Not the way in: every run goes through the table first, see `_submit_run`."""
        del configuration, task_status
        await self._submit_run(flow_run)
        return WarmRunResult(identifier=str(flow_run.id), status_code=0)

    async def take(self, claimed: Claimed) -> None:
        """Execute a row that this worker has claimed and holds a slot for."""
        started = False
        if (task := asyncio.current_task()) is not None:
            self.executions.starting[claimed.id, claimed.attempt] = task
        try:
            started = await self.start_claimed(claimed)
        except MillraceError as error:
            # Fenced: another worker has the run.
            log.warning("could not start a run", run_id=str(claimed.id), code=error.code)
        except Exception:
            # Whatever it was, the lease runs out and the reaper takes it from there.
            log.exception("could not start a run", run_id=str(claimed.id))
        finally:
            self.executions.starting.pop((claimed.id, claimed.attempt), None)
            if not started:
                self.executions.let_go.add((claimed.id, claimed.attempt))
                self.free_slot(claimed)

    async def start_claimed(self, claimed: Claimed) -> bool:
        """Execute a claimed row, unless Prefect is away, refuses it, or says that it was cancelled there.

        Returns:
            Whether it is being executed.

        Raises:
            Fenced: another worker has the run.
        """
        executions, flow_runs = self.executions, self.executions.flow_runs
        try:
            flow_run = await flow_runs.of(claimed)
        except Unavailable as error:
            log.warning("run put back", run_id=str(claimed.id), code=error.code, reason=error.message)
            await executions.outcomes.write(unclaim_run, claimed.id, claimed.attempt, PREFECT_RETRY_SECONDS)
            return False
        except BadInput as error:
            why = RunError(code=error.code, message=error.message)
            failed = (claimed.id, claimed.attempt, RunStatus.FAILED)
            await executions.outcomes.write(finish_run, *failed, error=why, told=False)
            return False
        except CancelledThere:
            await executions.outcomes.write(
                finish_run, claimed.id, claimed.attempt, RunStatus.CANCELLED, told=False
            )
            return False
        if claimed.flow_run_id != flow_run.id:
            await executions.outcomes.write(bind_flow_run, claimed.id, claimed.attempt, flow_run.id)
        executions.start(claimed, flow_run, when_done=lambda: self.free_slot(claimed))
        return True

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Adopt a flow run that Prefect scheduled; the base class holds a slot for it."""
        started = False
        try:
            with self.executions.adoption():
                if not self.executions.draining and await self._propose_pending_state(flow_run):
                    started = await self._adopt(flow_run)
        except MillraceError as error:
            log.warning("scheduled flow run left for later", flow_run_id=str(flow_run.id), code=error.code)
        except Exception:
            # Raised, it would end the worker and all that it executes; `straighten` schedules it again.
            log.exception("scheduled flow run left for later", flow_run_id=str(flow_run.id))
        finally:
            self._submitting_flow_run_ids.discard(flow_run.id)
            if not started:
                self._release_limit_slot(flow_run.id)

    async def _adopt(self, flow_run: FlowRun) -> bool:
        """Give a flow run of the UI or of a schedule its row, and start it."""
        executions = self.executions
        try:
            claimed = await executions.outcomes.write(
                adopt_run,
                flow_run_id=flow_run.id,
                pipeline=await executions.flow_runs.pipeline_of(flow_run),
                pool=self.pool,
                params=flow_run.parameters.get("params") or {},
                owner=await owner_of(flow_run, executions.flow_runs.client, self.work_pool.base_job_template),
                origin=Origin.SCHEDULE if flow_run.auto_scheduled else Origin.UI,
                worker=self.name,
                lease_seconds=self.settings.worker_lease_seconds,
            )
        except BadInput as error:
            await executions.flow_runs.force(flow_run.id, Failed(message=error.message))
            return False
        if claimed is None:
            return False
        if executions.draining:
            await executions.outcomes.put_back(claimed.id, claimed.attempt, 0)
            return False
        executions.start(claimed, flow_run, when_done=lambda: self._release_limit_slot(flow_run.id))
        return True
