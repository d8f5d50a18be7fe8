"""What a deployment tells the warm worker about its runs, as a job variable of Prefect: whose they are."""

from typing import Any, cast

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.workers.base import BaseJobConfiguration
from pydantic import Field, ValidationError

from contracts.people import LOCAL_SPACE
from runtime.errors import BadInput


class JobConfiguration(BaseJobConfiguration):
    """The job of a `millrace` work pool; its fields are the form in the Prefect UI."""

    owner: str = Field(
        default=LOCAL_SPACE,
        title="Owner",
        description="Whose the runs of this deployment are: `local`, `user:<id>` or `project:<id>`. A server"
        " that asks people who they are (AUTH) shows runs of `local` to nobody.",
    )


async def owner_of(flow_run: FlowRun, client: PrefectClient, base_job_template: dict[str, Any]) -> str:
    """Return the space that a flow run of the UI or of a schedule belongs to.

    Its deployment says it, or else the template of the work pool. A flow run cannot: to start a deployment
    is less than to say for whom it works.

    Raises:
        BadInput: `bad_owner`: the flow run names another one, its deployment is gone, or names none in words.
    """
    variables: dict[str, Any] = {}
    if flow_run.deployment_id is not None:
        try:
            deployment = await client.read_deployment(flow_run.deployment_id)
        except ObjectNotFound:
            raise BadInput("its deployment was deleted: nobody says whose run it is", "bad_owner") from None
        variables = deployment.job_variables or {}
    said = {"owner": variables["owner"]} if "owner" in variables else {}
    try:
        job = await JobConfiguration.from_template_and_values(base_job_template, said, client=client)
    except ValidationError:
        raise BadInput("the deployment's job variable `owner` is no text", "bad_owner") from None
    owner = cast("JobConfiguration", job).owner
    asked = (flow_run.job_variables or {}).get("owner", owner)
    if asked != owner:
        raise BadInput(
            f"the run asks for the owner {asked!r}, and only its deployment may name one"
            f" (it says {owner!r}): change the job variable `owner` there",
            "bad_owner",
        )
    return owner
