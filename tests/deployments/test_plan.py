"""What `millrace up` decides before it starts anything."""

from pathlib import Path

import pytest

from deployments.stack.plan import make_plan
from runtime.errors import ConfigurationProblem
from tests.fixtures.prefect_server import PrefectServer, free_port


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Ports that nobody uses, and no address of Prefect."""
    chosen = {"API_PORT": free_port(), "PREFECT_SERVER_API_PORT": free_port()}
    for name, port in chosen.items():
        monkeypatch.setenv(name, str(port))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return chosen


async def test_without_an_address_a_prefect_server_of_our_own_is_started(ports: dict[str, int]):
    plan = await make_plan(free_ports=False)

    assert plan.prefect
    assert plan.prefect_api_url == f"http://127.0.0.1:{ports['PREFECT_SERVER_API_PORT']}/api"
    assert plan.api_url == f"http://127.0.0.1:{ports['API_PORT']}"
    for command in (plan.api, plan.migrate, plan.register, plan.prefect, *plan.workers):
        assert command.environment["PREFECT_API_URL"] == plan.prefect_api_url
    assert [command.args for command in plan.workers] == [("--pool", "interactive"), ("--pool", "batch")]


async def test_a_prefect_server_that_runs_elsewhere_is_used_and_none_is_started(
    prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server.url)

    plan = await make_plan(free_ports=False)

    assert plan.prefect is None
    assert plan.prefect_api_url == prefect_server.url


async def test_the_address_that_up_itself_told_people_to_set_does_not_keep_it_from_starting(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
):
    """`export PREFECT_API_URL=...` is its own advice; in that shell the next `millrace up` must work too."""
    monkeypatch.setenv("PREFECT_API_URL", f"http://localhost:{ports['PREFECT_SERVER_API_PORT']}/api")

    assert (await make_plan(free_ports=False)).prefect


async def test_an_address_where_nobody_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    address = f"http://127.0.0.1:{free_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)

    with pytest.raises(ConfigurationProblem, match="unset the variable") as caught:
        await make_plan(free_ports=False)

    assert address in caught.value.message


async def test_a_stack_that_is_alone_uses_no_server_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`millrace demo` promises to leave nothing behind, on whatever machine it is tried."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "mysql+aiomysql://me:secret@production/millrace")
    monkeypatch.setenv("PREFECT_API_URL", "http://production:4200/api")
    monkeypatch.setenv("PREFECT_HOME", "/home/me/.prefect")
    monkeypatch.setenv("AUTH", "embedded")

    plan = await make_plan(free_ports=True, alone=True)

    assert plan.prefect
    for command in (plan.api, plan.migrate, plan.register, plan.prefect, *plan.workers):
        assert command.environment["DATABASE_URL"] == f"sqlite+aiosqlite:///{tmp_path / 'millrace.db'}"
        assert command.environment["PREFECT_HOME"] == str(tmp_path / "prefect")
        assert command.environment["AUTH"] == "none"
        assert command.environment["PREFECT_API_URL"] == plan.prefect_api_url
    assert "production" not in plan.prefect_api_url


async def test_a_demo_where_appwrite_would_ask_everybody_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else it starts everything and is refused by its own API."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setenv("APPWRITE_ENDPOINT", "https://appwrite.example.org/v1")

    with pytest.raises(ConfigurationProblem, match="APPWRITE_ENDPOINT") as refused:
        await make_plan(free_ports=True, alone=True)
    assert refused.value.code == "demo_asks_nobody"


async def test_a_drain_time_of_the_settings_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("WORKER_DRAIN_SECONDS=3\n")

    plan = await make_plan(free_ports=False)

    assert float(plan.workers[0].environment["WORKER_DRAIN_SECONDS"]) == 3


async def test_workers_get_less_time_to_drain_than_the_stack_has_to_stop(monkeypatch: pytest.MonkeyPatch):
    """Else they would be killed while they still put their runs back."""
    monkeypatch.setenv("STACK_STOP_SECONDS", "12")

    plan = await make_plan(free_ports=False)

    assert float(plan.workers[0].environment["WORKER_DRAIN_SECONDS"]) == 7
