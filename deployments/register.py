"""Tell Prefect what may be started: work pools, and the deployments of `prefect.yaml`.

`python -m deployments.register` does it once. Doing it again changes nothing, except that it brings back
what the file says; a schedule that someone switched off or on stays so, and so does an owner that only
Prefect knows.
"""

import asyncio
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

import structlog

from contracts.pipelines import Pool
from deployments.definitions import Deployment, read_deployments
from deployments.prefect_environment import apply_prefect_environment
from runtime.errors import ConfigurationProblem, Unavailable
from runtime.log import configure_logging

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse

WORKER_TYPE = "millrace"
OWNER = "owner"
log = structlog.get_logger(__name__)


def main() -> None:
    """Register everything with the Prefect server of `PREFECT_API_URL`."""
    configure_logging("register")
    apply_prefect_environment()
    asyncio.run(register(read_deployments()))


async def register(deployments: Iterable[Deployment], wait_seconds: float = 180) -> list[str]:
    """Create or update both work pools and these deployments.

    Args:
        deployments: what to register; their flows are imported.
        wait_seconds: how long an absent server is waited for; on a busy machine it starts in minutes.

    Returns:
        The full names of the deployments, in the given order.

    Raises:
        Unavailable: Prefect did not answer in time.
        ConfigurationProblem: an entrypoint names no flow, or a flow of another name.
    """
    from prefect.client.orchestration import get_client

    flows = {deployment.full_name: (deployment, _flow_of(deployment)) for deployment in deployments}
    async with get_client() as client:
        await _wait_for(client, wait_seconds)
        await _put_pools(client)
        for deployment, flow in flows.values():
            await _put_deployment(client, deployment, flow)
            log.info("deployment_registered", name=deployment.full_name, pool=deployment.work_pool.name)
    return list(flows)


async def _wait_for(client: "PrefectClient", seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while (problem := await client.api_healthcheck()) is not None:
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(
                f"Prefect at {client.api_url} does not answer ({type(problem).__name__}):"
                " check PREFECT_API_URL, or start it with `millrace up`.",
                code="prefect_unavailable",
            )
        await asyncio.sleep(0.2)


async def _put_pools(client: "PrefectClient") -> None:
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists

    for name in get_args(Pool):
        pool = WorkPoolCreate(
            name=name,
            type=WORKER_TYPE,
            description=f"Warm workers: `millrace worker --pool {name}`.",
            base_job_template=base_job_template(),
        )
        try:
            await client.create_work_pool(pool)
        except ObjectAlreadyExists:
            found = await client.read_work_pool(name)
            if found.type != WORKER_TYPE:
                raise ConfigurationProblem(
                    f"Prefect has a work pool {name!r} of type {found.type!r}, not {WORKER_TYPE!r}."
                    " Delete that pool, or use another Prefect server.",
                    code="work_pool_taken",
                ) from None
            if OWNER not in found.base_job_template.get("job_configuration", {}):
                told = WorkPoolUpdate(base_job_template=_with_owner(found.base_job_template))
                await client.update_work_pool(name, told)


def _with_owner(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a pool from before deployments had owners, its own changes kept."""
    ours, variables = base_job_template(), template.get("variables", {})
    asked = {OWNER: ours["variables"]["properties"][OWNER], **variables.get("properties", {})}
    return {
        "job_configuration": {
            **template.get("job_configuration", {}),
            OWNER: ours["job_configuration"][OWNER],
        },
        "variables": {**ours["variables"], **variables, "properties": asked},
    }


def base_job_template() -> dict[str, Any]:
    """Return what the warm worker says a job is: what the Prefect UI offers when a pool is edited."""
    from prefect.utilities.dispatch import lookup_type
    from prefect.workers.base import BaseWorker

    importlib.import_module("deployments.worker.prefect_worker")
    template: dict[str, Any] = lookup_type(BaseWorker, WORKER_TYPE).get_default_base_job_template()
    return template


async def _put_deployment(client: "PrefectClient", deployment: Deployment, flow: "Flow[Any, Any]") -> None:
    from prefect.utilities.callables import parameter_schema

    found = await _known(client, deployment)
    told = deployment.work_pool.job_variables
    await client.create_deployment(
        flow_id=await client.create_flow_from_name(flow.name),
        name=deployment.name,
        description=deployment.description,
        tags=deployment.tags,
        work_pool_name=deployment.work_pool.name,
        job_variables=(found.job_variables if found else {}) | (told.model_dump() if told else {}),
        entrypoint=deployment.entrypoint,
        pull_steps=[],
        parameters=deployment.parameters,
        # The UI makes its form from this, and the server refuses parameters that do not fit it.
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
        schedules=_schedules(deployment, found),
    )


async def _known(client: "PrefectClient", deployment: Deployment) -> "DeploymentResponse | None":
    from prefect.exceptions import ObjectNotFound

    try:
        return await client.read_deployment_by_name(deployment.full_name)
    except ObjectNotFound:
        return None


def _schedules(
    deployment: Deployment, found: "DeploymentResponse | None"
) -> list["DeploymentScheduleCreate"]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    active = {schedule.slug: schedule.active for schedule in found.schedules} if found else {}
    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=schedule.cron, timezone=schedule.timezone),
            active=active.get(schedule.slug, schedule.active),
            parameters=schedule.parameters,
            slug=schedule.slug,
        )
        for schedule in deployment.schedules
    ]


def _flow_of(deployment: Deployment) -> "Flow[Any, Any]":
    from prefect import Flow

    module, _, name = deployment.entrypoint.rpartition(".")
    try:
        flow = getattr(importlib.import_module(module), name)
    except (AttributeError, ModuleNotFoundError) as problem:
        raise ConfigurationProblem(
            f"{deployment.full_name}: entrypoint {deployment.entrypoint}: {problem}", code="bad_entrypoint"
        ) from problem
    if not isinstance(flow, Flow) or flow.name != deployment.flow_name:
        raise ConfigurationProblem(
            f"{deployment.full_name}: {deployment.entrypoint} is not a flow named {deployment.flow_name}.",
            code="bad_entrypoint",
        )
    return flow


if __name__ == "__main__":
    main()
