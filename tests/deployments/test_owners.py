"""Whose the runs of schedules and of the Prefect UI are: their deployment says it, with a real Prefect."""

from typing import Any
from uuid import uuid4

import anyio
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled

from contracts.people import LOCAL_SPACE, Role, project_space, user_space
from database.engine import Database
from database.people.audit import COMMAND_LINE
from database.people.projects import create_project, delete_project
from database.people.users import create_user
from database.tables import RunRow, core
from deployments.definitions import Deployment, read_deployments
from deployments.register import base_job_template, register
from deployments.worker.executions import Executions
from deployments.worker.flow_runs import FlowRuns
from deployments.worker.prefect_worker import MillraceWorker

RUNS = core(RunRow)


def nightly(owner: str | None) -> Deployment:
    """A deployment as `prefect.yaml` may have it, with a name of its own."""
    (written,) = [each for each in read_deployments() if each.full_name == "probe/default"]
    told = {} if owner is None else {"job_variables": {"owner": owner}}
    return Deployment.model_validate(
        {**written.model_dump(), "name": f"of-{uuid4().hex}", "work_pool": {"name": "interactive", **told}}
    )


async def started(client: PrefectClient, deployment: Deployment, **asked: Any) -> FlowRun:
    """Register a deployment and start it as the Prefect UI does."""
    await register([deployment])
    found = await client.read_deployment_by_name(deployment.full_name)
    parameters = {"params": {"steps": 1}}
    return await client.create_flow_run_from_deployment(
        found.id, parameters=parameters, state=Scheduled(), **asked
    )


async def adopted(database: Database, client: PrefectClient, flow_run: FlowRun) -> sa.Row[Any] | None:
    """Let a worker that begins nothing take a flow run; return its row."""
    worker = MillraceWorker("interactive")
    worker._limiter = anyio.CapacityLimiter(5)  # noqa: SLF001  setup() would begin to look for work
    worker._work_pool = await client.read_work_pool("interactive")  # noqa: SLF001  as above
    worker._client = client  # noqa: SLF001  as above
    # No model is asked here.
    worker.executions = Executions(database, object(), FlowRuns(client, database))  # type: ignore[arg-type]
    worker.executions.start = lambda *_, **__: None  # type: ignore[method-assign]
    worker._submitting_flow_run_ids.add(flow_run.id)  # noqa: SLF001  as the base class does
    await worker._submit_run(flow_run)  # noqa: SLF001  as above
    async with database.read() as session:
        query = sa.select(RUNS.c.owner, RUNS.c.grants).where(RUNS.c.flow_run_id == flow_run.id)
        return (await session.execute(query)).one_or_none()


async def test_the_runs_of_a_deployment_are_its_owners(database: Database, client: PrefectClient) -> None:
    """They were all `local`: where people sign in, nobody saw them, and nobody's examples were found."""
    ada = await database.write(
        create_user, COMMAND_LINE, email="ada@example.org", name="", role=Role.USER, password_hash=None
    )
    project = await database.write(create_project, COMMAND_LINE, ada.id, "nightly")
    for owner in (user_space(ada.id), project_space(project.id), LOCAL_SPACE):
        row = await adopted(database, client, await started(client, nightly(owner)))
        # Nobody's scopes stand behind it: what writes outside is put to a person of that space.
        assert (row.owner, row.grants) == (owner, None)
    unsaid = await adopted(database, client, await started(client, nightly(None)))
    assert unsaid.owner == LOCAL_SPACE


@pytest.mark.parametrize("owner", ["project:gone", "user:", f"user:{uuid4()}", "{{ owner }}"])
async def test_an_owner_that_is_nobodys_space_is_named_with_what_to_change(
    database: Database, client: PrefectClient, owner: str
) -> None:
    flow_run = await started(client, nightly(owner))
    assert await adopted(database, client, flow_run) is None
    state = (await client.read_flow_run(flow_run.id)).state
    assert state.is_failed()
    assert "job variable `owner`" in state.message


async def test_a_project_that_was_put_away_owns_no_more_runs(
    database: Database, client: PrefectClient
) -> None:
    ada = await database.write(
        create_user, COMMAND_LINE, email="eve@example.org", name="", role=Role.USER, password_hash=None
    )
    project = await database.write(create_project, COMMAND_LINE, ada.id, "over")
    await database.write(delete_project, COMMAND_LINE, ada.id, project.id)
    flow_run = await started(client, nightly(project_space(project.id)))
    assert await adopted(database, client, flow_run) is None


async def test_whoever_starts_a_deployment_cannot_say_for_whom_it_works(
    database: Database, client: PrefectClient
) -> None:
    flow_run = await started(client, nightly(None), job_variables={"owner": f"user:{uuid4()}"})
    assert await adopted(database, client, flow_run) is None
    state = (await client.read_flow_run(flow_run.id)).state
    assert state.is_failed()
    assert "only its deployment may name one" in state.message


async def test_an_owner_that_only_prefect_knows_stays_and_the_file_has_the_last_word(
    client: PrefectClient,
) -> None:
    """Every start registers again: what was said in the UI would be lost."""
    theirs = nightly(f"user:{uuid4()}")
    silent = theirs.model_copy(update={"work_pool": nightly(None).work_pool})
    for told, owner in ((theirs, theirs), (silent, theirs), (nightly("local"), nightly("local"))):
        again = told.model_copy(update={"name": theirs.name})
        await register([again])
        found = await client.read_deployment_by_name(theirs.full_name)
        assert found.job_variables == owner.work_pool.job_variables.model_dump()


async def test_a_pool_of_before_learns_to_ask_for_the_owner_and_keeps_the_rest(client: PrefectClient) -> None:
    await register([])
    old = base_job_template()
    del old["job_configuration"]["owner"], old["variables"]["properties"]["owner"]
    old["job_configuration"]["labels"] = {"kept": "yes"}
    await client.update_work_pool("batch", WorkPoolUpdate(base_job_template=old))
    await register([])
    template = (await client.read_work_pool("batch")).base_job_template
    assert template["job_configuration"]["owner"] == "{{ owner }}"
    assert template["variables"]["properties"]["owner"]["default"] == LOCAL_SPACE
    assert template["job_configuration"]["labels"] == {"kept": "yes"}
