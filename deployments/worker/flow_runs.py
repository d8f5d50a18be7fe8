"""A run's shadow in Prefect: one flow run, found or made, and brought in line with the run table."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow, FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed, Pending

from contracts.pipelines import PIPELINES
from database.engine import Database
from database.queue.attempts import retried_at
from database.queue.leases import Claimed
from flows.durable.pipeline import CANCELLED_BY_US
from runtime.errors import BadInput, MillraceError, Unavailable

# The deployment that runs of the API and of the command line belong to.
DEFAULT_DEPLOYMENT = "default"
REFUSED = "prefect_refused"
# The client repeats what fails, with pauses that double; after the third one the run is put back instead.
PATIENCE_SECONDS = 20.0
HEALTH_SECONDS = 2.0


class CancelledThere(MillraceError):
    """A flow run was cancelled in Prefect while its run stood in the queue."""

    code = "cancelled"


@dataclass(slots=True)
class FlowRuns:
    """Prefect's view of our runs, through one client. Deployments and flow names are read once."""

    client: PrefectClient
    database: Database
    deployments: dict[str, UUID] = field(default_factory=dict)
    flow_names: dict[UUID, str] = field(default_factory=dict)
    away: bool = False

    async def of(self, run: Claimed) -> FlowRun:
        """Return the pending flow run of a claimed run.

        The run's id is Prefect's idempotency key: a reply that was lost makes no second flow run.

        Raises:
            Unavailable: Prefect does not answer, or the pipeline's deployment is not registered.
            CancelledThere: somebody has cancelled it in Prefect, and no worker could hear of it.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if run.flow_run_id is not None:
                    with suppress(ObjectNotFound):  # somebody deleted it: the run gets another
                        return await self._again(run, run.flow_run_id)
                return await self._create(run)
        except (httpx.HTTPError, OSError) as cause:
            self.deployments.pop(run.pipeline, None)
            if refused(cause):
                raise BadInput("Prefect refused the run's parameters", code=REFUSED) from cause
            self.away = True
            raise Unavailable("Prefect does not answer", code="prefect_unavailable") from cause

    async def reachable(self) -> bool:
        """Return whether Prefect answers, by asking it only after it did not."""
        if self.away:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_SECONDS):
                    self.away = await self.client.api_healthcheck() is not None
        return not self.away

    async def pipeline_of(self, flow_run: FlowRun) -> str:
        """Return which pipeline a flow run of the UI or of a schedule is for.

        Raises:
            BadInput: `unknown_pipeline`.
        """
        if flow_run.flow_id not in self.flow_names:
            flow: Flow = await self.client.read_flow(flow_run.flow_id)
            self.flow_names[flow_run.flow_id] = flow.name
        name = self.flow_names[flow_run.flow_id]
        if name not in PIPELINES:
            raise BadInput(
                f"the flow {name!r} is not a pipeline of Millrace; "
                f"deploy one of {', '.join(sorted(PIPELINES))} to this pool",
                code="unknown_pipeline",
            )
        return name

    async def force(self, flow_run_id: UUID, state: State[Any]) -> None:
        """Set a flow run's state whatever it was: our table is the truth.

        Raises:
            Unavailable: `prefect_unavailable`, or `prefect_refused`, when it will say no again.
        """
        try:
            await self.client.set_flow_run_state(flow_run_id, state, force=True)
        except ObjectNotFound:
            return
        except (httpx.HTTPError, OSError) as cause:
            if refused(cause):
                raise Unavailable("Prefect refused a state", code=REFUSED) from cause
            raise Unavailable("Prefect does not answer", code="prefect_unavailable") from cause

    async def _create(self, run: Claimed) -> FlowRun:
        made = await self.client.create_flow_run_from_deployment(
            await self._deployment(run.pipeline),
            parameters={"params": run.params},
            state=Pending(),
            idempotency_key=str(run.id),
        )
        # The key may have found the flow run of an attempt that ended before it was bound to the row.
        pending = made.state is not None and made.state.is_pending()
        return made if pending else await self._again(run, made.id)

    async def _deployment(self, pipeline: str) -> UUID:
        if pipeline not in self.deployments:
            try:
                found = await self.client.read_deployment_by_name(f"{pipeline}/{DEFAULT_DEPLOYMENT}")
            except ObjectNotFound as cause:
                raise Unavailable(
                    f"the deployment {pipeline}/{DEFAULT_DEPLOYMENT} is not registered in Prefect; "
                    "run `millrace up` or `prefect deploy --all`",
                    code="not_deployed",
                ) from cause
            self.deployments[pipeline] = found.id
        return self.deployments[pipeline]

    async def _again(self, run: Claimed, flow_run_id: UUID) -> FlowRun:
        """Take the flow run of an earlier attempt back to pending, with the crash in its history."""
        flow_run = await self.client.read_flow_run(flow_run_id)
        if flow_run.state is not None and await self._cancelled_there(run, flow_run.state):
            raise CancelledThere(f"flow run {flow_run_id} was cancelled in Prefect")
        if flow_run.state is None or not flow_run.state.is_pending():
            if flow_run.state is not None and flow_run.state.is_running():
                await self.client.set_flow_run_state(
                    flow_run_id, Crashed(message="Its worker went away."), force=True
                )
            await self.client.set_flow_run_state(flow_run_id, Pending(), force=True)
            if await self._cancelled_since(run, flow_run):
                raise CancelledThere(f"flow run {flow_run_id} was cancelled in Prefect")
            flow_run = await self.client.read_flow_run(flow_run_id)
        return flow_run

    async def _cancelled_since(self, run: Claimed, read: FlowRun) -> bool:
        """Return whether somebody has cancelled a flow run between its reading and now.

        What we forced went over it, and only the history tells.
        """
        before = None if read.state is None else read.state.timestamp
        history = await self.client.read_flow_run_states(read.id)
        newer = [state for state in history if before is None or state.timestamp > before]
        return any([await self._cancelled_there(run, state) for state in newer])

    async def _cancelled_there(self, run: Claimed, state: State[Any]) -> bool:
        """Return whether a state is somebody's wish to end the run, and not the end of a run that is retried.

        Prefect takes a suspended flow run to Cancelled at once. If the run was woken meanwhile it does not
        wait any more, and whoever claims it is the first to see the wish.
        """
        cancelled = state.is_cancelled() or state.is_cancelling()
        if not cancelled or state.message == CANCELLED_BY_US:
            return False
        async with self.database.read() as session:
            retried = await retried_at(session, run.id)
        return retried is None or state.timestamp > retried


def refused(error: Exception) -> bool:
    """Return whether Prefect understood a request and will say no to it again."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {400, 409, 413, 422}
