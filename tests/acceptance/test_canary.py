"""The whole way of a program that learns, once with the offline model and once with a model behind HTTP.

The shipped classifier starts poor, gets better on examples that no optimizer saw, passes the gate, goes
through a canary to active, and a sabotaged version is rolled back; all by itself but for the people who say
what they think of answers.
"""

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.fixtures.model_server import ModelServer
from tests.fixtures.project_files import ROOT
from tests.fixtures.stack import PATIENCE, Stack, eventually, stack_running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

NAME = "support.sort"
BASE = f"/api/v1/programs/{NAME}"
SHIPPED = ROOT / "modules/examples/support_messages.jsonl"
PROVIDERS = """
providers:
  loopback:
    kind: openai_compatible
    model: loop
    base_url: "%s"
    max_tokens: 200
    cost: {input_per_million: 1, output_per_million: 2}
routing: {default: [offline], analyst: [%s]}
policies: {timeout_seconds: 60, allowed_fails: 1000}
"""
# Decided by tens of results instead of hundreds. Demos make a better version's prompts longer, and so dearer
# and slower than a bare instruction by more than is usually let through.
POLICY = (
    *("mode=auto_low_risk", "most_cost_increase=100", "most_latency_increase=100", "canary_percent=50"),
    *("canary.fewest=20", "canary.fewest_feedback=10", "canary.hours_at_least=0"),
    *("canary.failures=0.4", "canary.feedback=0.4", "canary.cost=8", "canary.latency=8"),
)
MOST_MESSAGES = 600


@dataclass
class Town:
    """A stack, who answers in it, and people who know what their messages are about."""

    stack: Stack
    answers: str
    messages: list[dict[str, Any]]

    def talk(self, number: int) -> None:
        """Send messages and say of each answer whether it was right."""

        def send(one: dict[str, Any]) -> None:
            run = self.stack.trigger("classify", one["inputs"], wait=60)
            assert run["status"] == "succeeded", (run, self.stack.logs())
            right = run["result"]["label"] == one["expected"]["label"]
            said = self.stack.post(f"/api/v1/runs/{run['id']}/feedback", {"score": float(right)})
            assert said.status_code == 201, said.text

        with ThreadPoolExecutor(4) as people:
            list(people.map(send, islice(cycle(self.messages), number)))

    def until_decided(self) -> dict[str, Any]:
        """Let people talk until the canary has ended by itself; return it as the API shows it."""
        for _ in range(MOST_MESSAGES // 40):
            self.talk(40)
            canary = self.stack.get(f"{BASE}/canary")
            if canary["status"] != "watched":
                return canary
        raise AssertionError((canary, self.stack.logs()))

    def millrace(self, *arguments: str) -> str:
        """Run the command line as on a terminal and return what stood there."""
        terminal, end = pty.openpty()
        environment = {**self.stack.environment, "MILLRACE_API_URL": self.stack.api_url, "TERM": "xterm"}
        command = [sys.executable, "-m", "deployments.cli", *arguments]
        with subprocess.Popen(
            command, env={**environment, "COLUMNS": "160"}, stdin=end, stdout=end, stderr=end
        ) as process:
            os.close(end)
            shown = b""
            while piece := read(terminal):
                shown += piece
        os.close(terminal)
        assert process.returncode == 0, shown.decode()
        return shown.decode()


def read(terminal: int) -> bytes:
    """Return what comes next; nothing once the other side has closed, which Linux tells as an error."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


@pytest.fixture(scope="module", params=["offline", "http"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    """A stack of its own: what is active here would answer in other tests."""
    provider = ModelServer().start()
    settings = {"CANARY_LOOK_SECONDS": "1"}
    answers = "offline"
    if request.param == "http":
        answers = "loopback"
        settings["DATABASE_URL"] = request.getfixturevalue("mariadb_server").new_database()
    with tempfile.TemporaryDirectory(prefix="millrace-canary-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "providers.yaml"
        file.write_text(PROVIDERS % (provider.url, answers))
        with stack_running(Path(folder), **settings, PROVIDERS_FILE=str(file)) as running:
            running.provider = provider
            sent = running.post(f"{BASE}/examples", {"content": SHIPPED.read_text()})
            # Before the first worker has registered its programs there is none to import for.
            assert sent.status_code == 200, sent.text
            page = running.get(f"{BASE}/examples", split="test", limit=200)
            yield Town(running, answers, page["items"])
    provider.stop()


def test_a_poor_program_gets_better_and_a_sabotaged_one_is_rolled_back(town: Town, tmp_path: Path) -> None:
    stack = town.stack
    poor = stack.trigger("classify", town.messages[0]["inputs"], wait=60)
    assert (poor["result"]["program_version"], poor["result"]["models"]) == (1, [town.answers])

    better = optimized(town, tmp_path)
    canary = town.until_decided()
    assert (canary["version"], canary["against"]) == (better, 1)
    assert (canary["status"], canary["ended_by"]) == ("promoted", "millrace"), canary
    assert verdicts(canary)["feedback"] == "fine"
    assert answering(stack, town.messages[0]) == better

    bad = sabotaged(town, better, tmp_path)
    strict = json.dumps({"fewest": 20, "fewest_feedback": 10, "hours_at_least": 0})
    said = town.millrace("programs", "canary", NAME, str(bad), "50", "-m", "by hand", "--policy", strict)
    assert f"version {bad}: canary, 50 %" in said
    canary = town.until_decided()
    assert (canary["status"], canary["ended_by"]) == ("rolled_back", "millrace"), canary
    assert canary["policy"]["feedback"] == 0.15
    assert verdicts(canary)["feedback"] == "worse"
    assert "feedback" in canary["reason"]
    assert answering(stack, town.messages[0]) == better

    trail = stack.get(f"{BASE}/changes")["items"]
    assert [(one["action"], one["to_version"], one["by"]) for one in trail] == [
        *(("end_canary", better, "millrace"), ("canary", bad, "local")),
        *(("promote", better, "millrace"), ("canary", better, "millrace"), ("ship", 1, "millrace")),
    ]
    (audited,) = stack.get("/api/v1/audit", action="canary.rolled_back")["items"]
    assert audited["detail"]["version"] == bad
    shown = town.millrace("programs", "canary", NAME)
    assert "rolled back" in shown
    assert "worse" in shown


def optimized(town: Town, folder: Path) -> int:
    """Optimize from the command line, look at what it shows, and return the number of the new canary."""
    town.millrace("programs", "policy", NAME, *POLICY)
    picture = folder / "curve.svg"
    optimizer = "bootstrap_random_search:candidates=3,labeled=8"
    shown = town.millrace("optimize", NAME, "-o", optimizer, "--plot", str(picture))
    # A bar while it runs; then a table, and what became of the candidate.
    assert "calls of bootstrap_random_search" in shown
    assert "━" in shown
    assert "On the test split" in shown
    assert ET.fromstring(picture.read_text()).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own plot
    run_id = shown.split("run ")[1].split()[0]
    result = town.stack.get(f"/api/v1/runs/{run_id}")["result"]
    new, old = result["test"]
    assert new["score"]["value"] > old["score"]["value"] + 0.2
    assert result["comparison"]["p_value"] < 0.05
    assert result["models"] == [town.answers]
    plot = httpx.get(f"{town.stack.api_url}/api/v1/runs/{run_id}/plot", timeout=PATIENCE, trust_env=False)
    assert plot.headers["content-type"].startswith("image/svg+xml")
    assert f"Version {result['version']} is the canary and answers 50 %" in shown
    recommendation = town.stack.get(f"/api/v1/recommendations/{result['recommendation_id']}")
    assert (recommendation["status"], recommendation["severity"]) == ("applied", "low")
    assert recommendation["benefit"]["low"] > 0
    lineage = town.stack.get(f"{BASE}/versions/{result['version']}/lineage")
    assert lineage["made_by"]["id"] == run_id
    assert lineage["examples"]["train"] > 0
    return result["version"]


def sabotaged(town: Town, good: int, folder: Path) -> int:
    """Edit an exported version so that it is wrong about everything, import it, and return its number."""
    path = folder / "sabotaged.json"
    town.millrace("programs", "export", NAME, str(good), "--to", str(path))
    file = json.loads(path.read_text())
    labels = sorted({demo["label"] for demo in file["state"]["sort"]["demos"]})
    wrong = dict(zip(labels, labels[1:] + labels[:1], strict=True))
    for demo in file["state"]["sort"]["demos"]:
        demo["label"] = wrong[demo["label"]]
    del file["content_hash"]
    path.write_text(json.dumps(file))
    said = town.millrace("programs", "import", str(path))
    return int(said.split(" version ")[1].split(":")[0])


def answering(stack: Stack, message: dict[str, Any]) -> int:
    """Return the version that answers, once every worker has noticed: the same one for ten runs in a row."""

    def settled() -> int | None:
        runs = [stack.trigger("classify", message["inputs"], wait=60) for _ in range(10)]
        versions = {run["result"]["program_version"] for run in runs}
        return versions.pop() if len(versions) == 1 else None

    return eventually(settled, every=1)


def verdicts(canary: dict[str, Any]) -> dict[str, str]:
    """Return what each measure said in the last look."""
    return {one["measure"]: one["verdict"] for one in canary["last"]["measures"]}
