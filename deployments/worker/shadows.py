"""Flow runs of a pool as Prefect shows them: those under way, and those that may be shown wrongly."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from contracts.pipelines import Pool
from runtime.clock import utcnow
from runtime.errors import Unavailable

MOST_AT_ONCE = 200
UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
# How long a flow run that Prefect calls crashed is compared with its row: workers look every few seconds.
CRASHES_SEEN = timedelta(hours=1)


async def under_way(client: PrefectClient, pool: Pool) -> list[FlowRun]:
    """Return the flow runs that Prefect believes to be executed or about to be, oldest first.

    Raises:
        Unavailable: Prefect does not answer; as all of these.
    """
    return await _read(client, _in(UNDER_WAY), pool)


async def set_aside(client: PrefectClient, pool: Pool, waiting: Collection[UUID]) -> list[FlowRun]:
    """Return what a worker that knew no better may have set aside: suspended or crashed, newest first.

    Args:
        client: of Prefect.
        pool: whose flow runs.
        waiting: those that are rightly suspended.
    """
    others: dict[str, Any] = {"id": {"not_any_": list(waiting)}} if waiting else {}
    suspended = await _read(client, _in([StateType.PAUSED]) | others, pool, newest_first=True)
    lately = {"end_time": {"after_": utcnow() - CRASHES_SEEN}}
    return suspended + await _read(client, _in([StateType.CRASHED]) | lately, pool, newest_first=True)


async def cancelled_of(client: PrefectClient, waiting: Collection[UUID]) -> list[FlowRun]:
    """Return those of some waiting flow runs that somebody has cancelled in Prefect."""
    ours = {"id": {"any_": list(waiting)}}
    return await _read(client, _in([StateType.CANCELLING, StateType.CANCELLED]) | ours)


def _in(states: list[StateType]) -> dict[str, Any]:
    return {"state": {"type": {"any_": states}}}


async def _read(
    client: PrefectClient, wanted: dict[str, Any], pool: Pool | None = None, *, newest_first: bool = False
) -> list[FlowRun]:
    order = FlowRunSort.EXPECTED_START_TIME_DESC if newest_first else FlowRunSort.EXPECTED_START_TIME_ASC
    try:
        return await client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(wanted),
            work_pool_filter=pool and WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
            sort=order,
            limit=MOST_AT_ONCE,
        )
    except (httpx.HTTPError, OSError) as cause:
        raise Unavailable("Prefect does not answer", code="prefect_unavailable") from cause
