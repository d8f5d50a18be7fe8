"""What a stack does with the work of processes that were killed: it goes on, with nothing lost or repeated.

The leases here last ten minutes: what goes on in these tests goes on because the death was seen, and not
because a lease ran out.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.model_server import ModelServer
from tests.fixtures.stack import Stack, eventually, stack_running, written

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
SLOW = {"steps": 6, "calls_per_step": 1, "step_seconds": 1, "role": "judge"}


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    server = ModelServer().start()
    yield server
    server.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="millrace-recovery-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def settings(folder: Path, provider: ModelServer) -> dict[str, str]:
    return {"WORKER_LEASE_SECONDS": "600", "PROVIDERS_FILE": written(folder, provider)}


def test_the_runs_of_a_killed_worker_go_on_without_waiting_for_its_leases(
    folder: Path, settings: dict[str, str], provider: ModelServer
) -> None:
    with stack_running(folder, **settings) as stack:
        run = stack.trigger("probe", SLOW)
        eventually(lambda: provider.total().answers >= 2 or None)
        stack.process_of("worker", "interactive").kill()
        ended = stack.ended(run["id"])
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2), stack.logs()
        paid_once(stack, provider, [ended])
        assert stack.final_state(ended["flow_run_id"]) == "COMPLETED"


def test_a_stack_that_was_killed_whole_picks_up_all_that_was_under_way(
    folder: Path, settings: dict[str, str], provider: ModelServer
) -> None:
    with stack_running(folder, **settings) as stack:
        runs = [stack.trigger("probe", SLOW) for _ in range(3)]
        eventually(lambda: provider.total().answers >= 4 or None)
        # The workers first: what is accepted now waits in the table alone. New ones need seconds to begin.
        family = psutil.Process(stack.process.pid).children(recursive=True)
        for each in family:
            if "deployments.worker" in each.cmdline():
                each.kill()
        runs.append(stack.trigger("probe", {**SLOW, "steps": 1}))
        for each in [psutil.Process(stack.process.pid), *family]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        stack.process.wait()
    psutil.wait_procs(family, timeout=30)
    with stack_running(folder, **settings) as stack:
        ended = [stack.ended(run["id"]) for run in runs]
        assert [run["status"] for run in ended] == ["succeeded"] * 4, stack.logs()
        assert [run["attempt"] for run in ended] == [2, 2, 2, 1]
        paid_once(stack, provider, ended)
        for run in ended:
            assert stack.final_state(run["flow_run_id"]) == "COMPLETED"


def paid_once(stack: Stack, provider: ModelServer, runs: list[dict[str, Any]]) -> None:
    """Nothing that was finished was asked again; what was in flight at the kill is counted."""
    calls = [call for run in runs for call in stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]]
    assert [call["status"] for call in calls] == ["succeeded"] * sum(run["result"]["calls"] for run in runs)
    assert all(call["tries"] == 1 + call["lost"] for call in calls)
    assert sum(call["replays"] for call in calls) >= 1
    assert 0 <= provider.total().answers - len(calls) <= sum(call["lost"] for call in calls)
