"""`prefect.yaml` as checked data: the part of Prefect's format that we use, and nothing else silently."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.pipelines import Pool
from runtime.errors import ConfigurationProblem
from runtime.home import PROJECT

BAD = "bad_prefect_yaml"
PREFECT_YAML = PROJECT / "prefect.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobVariables(_Strict):
    """What the warm worker is told about the runs."""

    owner: str = Field(description="Whose they are: `local`, `user:<id>` or `project:<id>`.")


class WorkPool(_Strict):
    """Which warm workers execute the runs."""

    name: Pool
    job_variables: JobVariables | None = Field(None, description="None: what Prefect knows already holds.")


class Schedule(_Strict):
    """When Prefect starts a run by itself. The slug keeps its identity when the time changes."""

    slug: str
    cron: str
    timezone: str = "UTC"
    active: bool = Field(True, description="How it begins; a switch in Prefect holds from then on.")
    parameters: dict[str, Any] = Field(default_factory=dict)


class Deployment(_Strict):
    """One thing that Prefect can start: a flow with a pool, and perhaps parameters and schedules."""

    name: str
    flow_name: str
    entrypoint: str = Field(
        pattern=r"^[\w.]+$",
        description="Module path. With a colon or a file path, Prefect would copy the working directory.",
    )
    description: str
    tags: list[str] = Field(default_factory=list)
    work_pool: WorkPool
    schedules: list[Schedule] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """`flow/deployment`, as Prefect's commands and pages write it."""
        return f"{self.flow_name}/{self.name}"


class _File(_Strict):
    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[dict[str, Any]] = Field(max_length=0)
    deployments: list[Deployment]


def read_deployments(path: Path = PREFECT_YAML) -> list[Deployment]:
    """Return the deployments of a `prefect.yaml`.

    Raises:
        ConfigurationProblem: the file is missing, is not YAML, or holds what we do not register.
    """
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).deployments
    except OSError as problem:
        raise ConfigurationProblem(
            f"Cannot read {path}: {problem.strerror}.", code="bad_prefect_yaml"
        ) from None
    except yaml.YAMLError as problem:
        raise ConfigurationProblem(f"{path} is not YAML: {problem}", code=BAD) from None
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationProblem(f"{path}: {place}: {first['msg']}", code=BAD) from None
