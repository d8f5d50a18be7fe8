"""Registering with a real Prefect server."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.definitions import Deployment, read_deployments
from deployments.register import register
from runtime.errors import ConfigurationProblem, Unavailable
from tests.fixtures.prefect_server import PrefectServer, free_port
from tests.fixtures.project_files import ROOT


async def registered(client: PrefectClient) -> dict[str, dict[str, Any]]:
    """Return what the server knows of each deployment, without what changes with time."""
    found = {
        each.full_name: await client.read_deployment_by_name(each.full_name) for each in read_deployments()
    }
    fields = {
        "id",
        "entrypoint",
        "work_pool_name",
        "parameters",
        "parameter_openapi_schema",
        "enforce_parameter_schema",
        "tags",
        "description",
    }
    return {name: each.model_dump(mode="json", include=fields) for name, each in found.items()}


async def test_registering_again_changes_nothing(client: PrefectClient):
    """`millrace up` registers at each start."""
    names = await register(read_deployments())
    first = await registered(client)

    assert await register(read_deployments()) == names
    assert await registered(client) == first
    assert {(pool.name, pool.type) for pool in await client.read_work_pools()} >= {
        ("interactive", "millrace"),
        ("batch", "millrace"),
    }


async def test_the_ui_gets_a_form_and_the_server_refuses_what_does_not_fit_it(client: PrefectClient):
    await register(read_deployments())
    deployment = await client.read_deployment_by_name("analysis/default")

    schema = deployment.parameter_openapi_schema
    assert {"question", "sources"} <= schema["definitions"]["AnalysisParams"]["properties"].keys()
    with pytest.raises(Exception, match=r"question") as caught:
        await client.create_flow_run_from_deployment(deployment.id, parameters={"params": {"sources": []}})
    assert "409" in str(caught.value) or "422" in str(caught.value)


async def test_the_form_offers_every_kind_of_source_and_none_is_taken_without_its_kind(client: PrefectClient):
    """Prefect's UI knows no `oneOf` with a discriminator: it would show nothing to choose from."""
    await register(read_deployments())
    deployment = await client.read_deployment_by_name("analysis/default")

    schema = deployment.parameter_openapi_schema
    assert "oneOf" not in json.dumps(schema)
    assert "discriminator" not in json.dumps(schema)
    assert len(schema["definitions"]["AnalysisParams"]["properties"]["sources"]["items"]["anyOf"]) == 3
    for source in ({"text": "words"}, {"kind": "text", "text": "words", "colour": "red"}):
        parameters = {"params": {"question": "Why?", "sources": [source]}}
        with pytest.raises(PrefectHTTPStatusError, match=r"409|422"):
            await client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
    fitting = {"params": {"question": "Why?", "sources": [{"kind": "text", "text": "words"}]}}
    made = await client.create_flow_run_from_deployment(deployment.id, parameters=fitting)
    await client.delete_flow_run(made.id)


async def test_a_schedule_that_someone_paused_stays_paused(client: PrefectClient):
    """Else every restart would start the nightly work again that a person had stopped."""
    (written,) = [each for each in read_deployments() if each.full_name == "analysis/nightly-docs"]
    nightly = [each.model_copy(update={"active": True}) for each in written.schedules]
    active = written.model_copy(update={"name": "active-here", "schedules": nightly})
    await register([active])
    deployment = await client.read_deployment_by_name(active.full_name)
    (schedule,) = deployment.schedules
    assert (schedule.active, schedule.slug, schedule.schedule.cron) == (True, "nightly", "0 3 * * *")
    await client.update_deployment_schedule(deployment.id, schedule.id, active=False)

    await register([active])

    (schedule,) = (await client.read_deployment_by_name(active.full_name)).schedules
    assert schedule.active is False
    await client.delete_deployment(deployment.id)


async def test_a_schedule_that_someone_switched_on_stays_on(client: PrefectClient):
    """It is off in the file, because it spends money; whoever wants it says so once."""
    await register(read_deployments())
    deployment = await client.read_deployment_by_name("cross_pollinate/weekly-chat")
    (schedule,) = deployment.schedules
    assert (schedule.active, schedule.slug) == (False, "weekly")
    await client.update_deployment_schedule(deployment.id, schedule.id, active=True)

    await register(read_deployments())

    (schedule,) = (await client.read_deployment_by_name("cross_pollinate/weekly-chat")).schedules
    assert schedule.active is True
    await client.update_deployment_schedule(deployment.id, schedule.id, active=False)


async def test_prefects_own_deploy_command_registers_the_same(
    client: PrefectClient, prefect_server: PrefectServer
):
    """Whoever works with Prefect's tools need not learn ours."""
    await register(read_deployments())
    ours = await registered(client)

    done = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "prefect", "--no-prompt", "deploy", "--all"),
        cwd=ROOT,
        env=os.environ | {"PREFECT_API_URL": prefect_server.url, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await done.communicate()

    assert done.returncode == 0, said.decode()
    assert await registered(client) == ours


async def test_a_server_that_does_not_answer_is_named():
    address = f"http://127.0.0.1:{free_port()}/api"

    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(Unavailable) as caught:
        await register([], wait_seconds=0.3)

    assert address in caught.value.message
    assert caught.value.code == "prefect_unavailable"


@pytest.mark.parametrize(
    "entrypoint", ["flows.nowhere.nowhere", "flows.probe.nowhere", "flows.catalogue.load_flow"]
)
async def test_an_entrypoint_that_is_no_flow_is_named(entrypoint: str):
    deployment = Deployment.model_validate(
        {
            "name": "default",
            "flow_name": "probe",
            "entrypoint": entrypoint,
            "description": "",
            "work_pool": {"name": "batch"},
        }
    )

    with pytest.raises(ConfigurationProblem, match=entrypoint):
        await register([deployment])
