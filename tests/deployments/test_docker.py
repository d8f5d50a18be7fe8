"""Docker files, kept in agreement with the code they start.

They are read here, not built: no Docker engine is needed to run the tests, and so none of these tests says
that an image builds. What they say is that ports, names, extras and commands are those of the code.
"""

import importlib.util
import re
import tomllib
from typing import Any, get_args

import pytest
import yaml
from typer.main import get_command

from api.settings import ApiSettings
from contracts.pipelines import Pool
from deployments.cli.app import app
from deployments.prefect_environment import FLAGS
from deployments.settings import PrefectSettings
from deployments.worker.settings import WorkerSettings
from tests.fixtures.project_files import ROOT, pins, slices

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
TARGETS = ("api", "worker", "migrate")


def stages() -> dict[str, str]:
    """Return each stage of the Dockerfile with its text."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return {name: f"FROM {base}\n{text}" for base, name, text in zip(*[iter(parts[1:])] * 3, strict=True)}


def commands() -> list[list[str]]:
    """Return every command that an image or a service runs."""
    images = [yaml.safe_load(found) for found in re.findall(r"CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)]
    return images + [service["command"] for service in OURS.values() if "command" in service]


def variables() -> set[str]:
    """Return the names of all settings."""
    return {name.upper() for each in slices() for name in each.model_fields}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_special(target: str):
    assert re.search(r"^USER millrace$", stages()[target], re.MULTILINE)
    assert "HEALTHCHECK" in stages()[target]
    assert stages()[target].startswith("FROM base")


def test_images_are_slim_and_of_the_python_that_the_code_is_written_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert stages()["base"].startswith("FROM python:3.11-slim")
    assert project["project"]["requires-python"] == ">=3.11"


def test_the_api_and_migrate_images_hold_the_api_lock_and_nothing_of_the_workers():
    assert "requirements/api.txt" in stages()["api-files"]
    assert "worker.txt" not in stages()["api-files"]
    for target in ("api", "migrate"):
        assert "--from=api-files" in stages()[target]
    assert {"dspy", "litellm", "prefect"} & pins("api").keys() == set()


def test_everything_is_installed_with_hashes_from_locks_that_exist():
    installs = [
        line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if "pip " in line and "RUN" in line
    ]

    assert len(installs) == 5
    for install in installs:
        assert "--require-hashes" in install or ("--no-deps" in install and "--build-constraint" in install)
        for lock in re.findall(r"requirements/[\w.]+", install):
            assert (ROOT / lock).exists()


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(command: list[str]):
    program, *arguments = command
    if program == "millrace":
        subcommand = get_command(app).get_command(None, arguments[0])  # type: ignore[attr-defined,arg-type]
        known = {option for parameter in subcommand.params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("-")} <= known
    else:
        assert (program, arguments[0]) in {("python", "-m"), ("python", "-c")}
        assert arguments[0] == "-c" or importlib.util.find_spec(arguments[1])


def test_the_console_script_that_images_start_is_that_of_pyproject():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert scripts == {"millrace": "deployments.cli:main"}


@pytest.mark.parametrize("service", OURS)
def test_every_variable_that_a_service_of_ours_gets_is_a_setting(service: str):
    """A misspelt variable is silently ignored by every program."""
    assert OURS[service]["environment"].keys() <= variables()


def test_every_variable_of_an_image_is_a_setting_or_pythons():
    named = set(
        re.findall(r"\b([A-Z][A-Z_]+)=", " ".join(re.findall(r"ENV [^\n]+(?:\\\n[^\n]+)*", DOCKERFILE)))
    )

    assert named - {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"} <= variables()
    assert {"API_HOST", "AUTH"} <= named


def test_prefects_own_image_is_of_the_pinned_version_and_just_as_silent():
    (version,) = [version for version, _ in pins("worker")["prefect"]]
    environment = SERVICES["prefect"]["environment"]
    silent = {name: value for name, value in FLAGS.items() if "CLIENT" not in name and "LOGGING" not in name}
    for_clients = {"PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS", "PREFECT_SERVER_EPHEMERAL_ENABLED"}

    assert SERVICES["prefect"]["image"].startswith(f"prefecthq/prefect:{version}-")
    assert {name: environment[name] for name in silent.keys() - for_clients} == {
        name: silent[name] for name in silent.keys() - for_clients
    }


def test_ports_are_those_of_the_settings_and_published_on_loopback_only():
    """The API speaks without TLS, and Prefect's server has one shared password at most."""
    api, prefect = ApiSettings.model_fields["api_port"].default, PrefectSettings().prefect_server_api_port
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"api": [f"127.0.0.1:{api}:{api}"], "prefect": [f"127.0.0.1:{prefect}:{prefect}"]}
    assert f"EXPOSE {api}\n" in DOCKERFILE
    assert f"http://127.0.0.1:{api}/healthz" in DOCKERFILE
    assert all(
        service["environment"]["PREFECT_API_URL"] == f"http://prefect:{prefect}/api"
        for service in OURS.values()
    )


def test_there_is_a_worker_for_each_pool_with_time_to_drain():
    drain = WorkerSettings.model_fields["worker_drain_seconds"].default
    workers = {service["command"][-1]: service for name, service in OURS.items() if name.startswith("worker")}

    assert set(get_args(Pool)) == workers.keys()
    for worker in workers.values():
        assert int(worker["stop_grace_period"].removesuffix("s")) > drain


def test_services_wait_for_what_they_need():
    """A worker before its tables or its pool would fail, start again and fill the log."""
    needs = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}

    assert needs["migrate"] == {"mariadb"}
    assert needs["api"] == {"migrate"}
    assert needs["worker-interactive"] == needs["worker-batch"] == {"migrate", "register"}
    assert {service["build"]["target"] for service in OURS.values()} == set(TARGETS)


def test_only_workers_are_given_the_keys_of_providers():
    given = {name: [each["path"] for each in service["env_file"]] for name, service in OURS.items()}

    for name, files in given.items():
        assert files == ["../.env", *(["../.env.workers"] if name.startswith("worker-") else [])]


def test_secrets_are_given_and_never_written_down():
    text = (ROOT / "docker" / "compose.yaml").read_text()
    passwords = re.findall(r"PASSWORD: (\S.*)$", text, re.MULTILINE)

    assert all(each.startswith(("${", '"yes"')) for each in passwords)
    ignored = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {".env", ".git", ".venv"} <= set(ignored)
