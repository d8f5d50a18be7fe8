"""Which processes the stack has on this machine, with which ports and which environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from contracts.pipelines import Pool
from database.settings import default_url
from deployments.settings import PrefectSettings, StackSettings
from deployments.stack.address import LOOPBACK, ApiAddress
from deployments.stack.child import Command
from deployments.stack.ports import claim_port
from deployments.stack.presence import ended_badly
from deployments.worker.settings import WorkerSettings
from runtime.errors import ConfigurationProblem
from runtime.home import home
from runtime.settings import Slice

# The workers finish or put back their runs in this time before the stack would kill them.
MARGIN_SECONDS = 5
PATIENCE_SECONDS = 5


class Directory(Slice):
    """Whether another server knows people; the same name as in api/auth/settings.py."""

    appwrite_endpoint: str | None = Field(None, description="Sign in at this Appwrite server.")


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run. `prefect` is none when Prefect's server runs elsewhere."""

    folder: Path
    api_url: str
    prefect_api_url: str
    settings: StackSettings
    migrate: Command
    register: Command
    api: Command
    workers: tuple[Command, ...]
    prefect: Command | None

    @property
    def prefect_ui_url(self) -> str:
        """Prefect's pages for people."""
        return self.prefect_api_url.removesuffix("/api")


async def make_plan(*, free_ports: bool, alone: bool = False) -> Plan:
    """Read the settings, choose the ports and say what to run.

    Args:
        free_ports: take any free ports, whether or not the wanted ones are busy.
        alone: keep everything in the state folder, whatever DATABASE_URL and PREFECT_API_URL say.

    Raises:
        ConfigurationProblem: a port is busy, or the Prefect server of PREFECT_API_URL does not answer.
    """
    folder, settings, prefect, api = home(), StackSettings(), PrefectSettings(), ApiAddress()
    patience = settings.stack_stop_seconds if ended_badly(folder) else 0
    api_port = await claim_port(
        api.api_host, api.api_port, "API_PORT", any_free=free_ports, wait_seconds=patience
    )
    environment = {
        "MILLRACE_HOME": str(folder),
        "API_HOST": api.api_host,
        "API_PORT": str(api_port),
        "WORKER_DRAIN_SECONDS": str(_drain_seconds(settings)),
    }
    if alone:
        if Directory().appwrite_endpoint is not None:
            raise ConfigurationProblem(
                "The demo asks nobody who they are, and with APPWRITE_ENDPOINT everybody is asked: take it"
                " out of the environment and of .env.",
                "demo_asks_nobody",
            )
        environment |= {
            # Its folder is gone in a minute: there is nobody in it to ask who they are.
            "AUTH": "none",
            "DATABASE_URL": default_url().get_secret_value(),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect/prefect.db'}",
        }
    embedded = alone or await _embedded_wanted(prefect)
    if embedded:
        host, port = prefect.prefect_server_api_host, prefect.prefect_server_api_port
        port = await claim_port(
            host, port, "PREFECT_SERVER_API_PORT", any_free=free_ports, wait_seconds=patience
        )
        environment |= {"PREFECT_SERVER_API_HOST": host, "PREFECT_SERVER_API_PORT": str(port)}
        prefect_url = f"http://{_reachable(host)}:{port}/api"
    else:
        prefect_url = prefect.url.rstrip("/")
    environment["PREFECT_API_URL"] = prefect_url

    def command(name: str, module: str, *args: str) -> Command:
        return Command(name, module, args, environment)

    return Plan(
        folder=folder,
        api_url=f"http://{_reachable(api.api_host)}:{api_port}",
        prefect_api_url=prefect_url,
        settings=settings,
        migrate=command("migrate", "deployments.cli", "migrate"),
        register=command("register", "deployments.register"),
        api=command("api", "deployments.cli", "api"),
        workers=tuple(
            command(f"worker-{pool}", "deployments.worker", "--pool", pool) for pool in get_args(Pool)
        ),
        prefect=command("prefect", "deployments.server") if embedded else None,
    )


def _drain_seconds(settings: StackSettings) -> float:
    """Return what WORKER_DRAIN_SECONDS says, else what leaves the workers time to put runs back."""
    told = WorkerSettings()
    if "worker_drain_seconds" in told.model_fields_set:
        return told.worker_drain_seconds
    return max(0, settings.stack_stop_seconds - MARGIN_SECONDS)


async def _embedded_wanted(settings: PrefectSettings) -> bool:
    """Whether Prefect's server is ours to start.

    It is, too, when PREFECT_API_URL is where ours will listen: `millrace up` itself tells people to set it,
    for Prefect's own commands, and the next `millrace up` of that shell finds it.
    """
    told = settings.prefect_api_url
    if told is None:
        return True
    if await _prefect_answers(told):
        return False
    if urlsplit(told).port == settings.prefect_server_api_port and urlsplit(told).hostname in LOOPBACK:
        return True
    raise ConfigurationProblem(
        f"PREFECT_API_URL={told} does not answer. Start that server, or unset the variable:"
        " `millrace up` then starts one of its own.",
        code="prefect_unavailable",
    )


async def _prefect_answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as client:
            return (await client.get(f"{url.rstrip('/')}/health")).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _reachable(host: str) -> str:
    """Return an address to connect to for one to listen on."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
