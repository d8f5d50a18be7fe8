"""`prefect.yaml` says the same as the catalogue of pipelines, to us and to Prefect's own command."""

import json
from pathlib import Path

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel

from contracts.pipelines import PIPELINES, Pipeline
from deployments.definitions import PREFECT_YAML, Deployment, read_deployments
from runtime.errors import ConfigurationProblem

DEPLOYMENTS = {deployment.full_name: deployment for deployment in read_deployments()}


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=lambda pipeline: pipeline.name)
def test_every_pipeline_has_a_default_deployment_in_its_pool(pipeline: Pipeline):
    """The worker creates flow runs of `<pipeline>/default`; without it a run can never start."""
    deployment = DEPLOYMENTS[f"{pipeline.name}/default"]

    assert deployment.work_pool.name == pipeline.pool
    assert deployment.description == pipeline.description
    assert deployment.parameters == {}


@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=lambda deployment: deployment.full_name)
def test_every_deployment_starts_the_flow_of_a_pipeline_with_parameters_that_it_takes(deployment: Deployment):
    """A schedule with wrong parameters would fail at night, every night."""
    pipeline = PIPELINES[deployment.flow_name]

    assert deployment.entrypoint == f"flows.{pipeline.name}.{pipeline.name}"
    # A schedule's own parameters replace the deployment's of the same name.
    for given in (deployment.parameters, *(schedule.parameters for schedule in deployment.schedules)):
        if given:
            assert given.keys() == {"params"}
            # Prefect keeps them as JSON.
            pipeline.params.model_validate_json(json.dumps(given["params"]), strict=True)


def test_what_spends_money_on_a_schedule_is_off_until_somebody_switches_it_on():
    """Whoever enables a paid provider has not asked for an analysis of these documents every night."""
    scheduled = {
        name: [one.active for one in deployment.schedules]
        for name, deployment in DEPLOYMENTS.items()
        if deployment.schedules
    }

    assert scheduled == {
        "analysis/nightly-docs": [False],
        "optimize/nightly-sort": [False],
        "cross_pollinate/weekly-chat": [False],
    }


def test_prefects_own_reader_finds_the_same_deployments():
    """`prefect deploy --all` must not do something else than `millrace up`."""
    theirs = PrefectYamlModel.model_validate(yaml.safe_load(PREFECT_YAML.read_text()))

    assert theirs.pull == []
    for read in theirs.deployments:
        ours = DEPLOYMENTS[f"{read.flow_name}/{read.name}"]
        assert (read.entrypoint, read.tags, read.parameters) == (ours.entrypoint, ours.tags, ours.parameters)
        assert read.work_pool
        assert read.work_pool.name == ours.work_pool.name
    assert len(theirs.deployments) == len(DEPLOYMENTS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("name: interactive", "name: gpu"), "deployments.0.work_pool.name: Input should be 'interactive'"),
        (("entrypoint: flows.chat_turn.chat_turn", "entrypoint: flows/chat_turn.py:chat_turn"), "entrypoint"),
        (("tags: [millrace]", "concurrency_limit: 1"), "concurrency_limit: Extra inputs are not permitted"),
        (("name: interactive", "name: interactive\n      job_variables: {image: x}"), "job_variables"),
        (("deployments:", "deployments: ["), "is not YAML"),
    ],
)
def test_what_we_would_not_register_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], told: str
):
    """Prefect knows more keys than we hand over; a key that is silently ignored misleads."""
    file = tmp_path / "prefect.yaml"
    file.write_text(PREFECT_YAML.read_text().replace(*change, 1))

    with pytest.raises(ConfigurationProblem) as caught:
        read_deployments(file)

    assert told in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationProblem, match=r"Cannot read .*nowhere\.yaml"):
        read_deployments(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=lambda pipeline: pipeline.name)
def test_no_pipeline_takes_a_parameter_that_it_does_not_know(pipeline: Pipeline):
    """Prefect reads the schema: a misspelt name would be dropped in silence and the default taken."""
    schema = pipeline.params.model_json_schema()
    objects = [schema, *(each for each in schema.get("$defs", {}).values() if each.get("type") == "object")]

    assert all(each["additionalProperties"] is False for each in objects)
