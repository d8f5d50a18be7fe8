"""`millrace arena` in a terminal: what a person sees while matches come in, and what keys do."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest

from contracts.arena import Verdict
from database.engine import Database
from tests.database.test_arena import played, said
from tests.fixtures.prefect_server import free_port
from tests.fixtures.stack import eventually
from tests.fixtures.terminal import Terminal, terminal

pytestmark = pytest.mark.timeout(300)
KIND = "harbours"
Serve = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """Of an API of the test's own, and of the commands that ask it."""
    port = free_port()
    api = {"API_PORT": str(port), "MILLRACE_API_URL": f"http://127.0.0.1:{port}"}
    return {**os.environ, "DATABASE_URL": database_url, **api}


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Serve]:
    """Starts the API and returns when it answers; ends it after the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def answers() -> bool | None:
        try:
            return httpx.get(f"{environment['MILLRACE_API_URL']}/healthz", trust_env=False).is_success or None
        except httpx.HTTPError:
            return None

    def started() -> subprocess.Popen[bytes]:
        log = subprocess.DEVNULL
        processes.append(subprocess.Popen(millrace("api"), env=environment, stdout=log, stderr=log))
        eventually(answers, 120)
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait()


def millrace(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deployments.cli", *arguments]


def matches(seen: Terminal) -> int | None:
    """Return how many matches the screen tells of; none before its title is there."""
    found = re.search(rf"{KIND}, (\d+) matches", seen.screen)
    return int(found[1]) if found else None


def words(seen: Terminal) -> str:
    """Return what the screen says, however it is folded."""
    return " ".join(seen.screen.split())


async def test_the_leaderboard_follows_the_matches_and_outlives_the_api(
    database: Database, environment: dict[str, str], serve: Serve
):
    api = serve()
    with terminal(millrace("arena", "--kind", KIND, "--every", "0.3"), environment) as seen:
        assert eventually(lambda: matches(seen), 120) == 0
        assert "millrace arena submit" in words(seen)
        for number in range(3):
            verdict = Verdict.OTHER if number else Verdict.TIE
            await played(database, said("a", None), said("b"), verdict, kind=KIND, number=number)
            eventually(lambda want=number + 1: matches(seen) == want or None, 60)
        _, head, first, second = seen.screen.splitlines()
        assert head.split() == ["contestant", "points", "95", "%", "won", "lost", "tied", "cost", "$", "ms"]
        assert first.split()[:2] == ["1", "claude"]
        assert first.split()[-5:] == ["2", "0", "1", "0.002000", "100"]
        # A price that nobody knows is not nothing.
        assert second.split()[-5:] == ["0", "2", "1", "-", "100"]
        assert all(len(line) <= 80 for line in seen.screen.splitlines())

        api.kill()
        eventually(lambda: "does not answer" in words(seen) or None, 60)
        assert "claude" in seen.screen
        serve()
        eventually(lambda: "does not answer" not in words(seen) or None, 60)
        await played(database, said("a"), said("b"), Verdict.ONE, kind=KIND, number=3)
        eventually(lambda: matches(seen) == 4 or None, 60)

        seen.type("\x03")
        assert seen.ended() == 0
        # The last table stays, once, and the terminal is as it was.
        assert seen.screen.count("contestant") == 1
        assert "Traceback" not in seen.screen
        assert seen.cursor_shown


async def test_votes_are_typed_and_names_come_after_them(
    database: Database, environment: dict[str, str], serve: Serve
):
    serve()
    for number in range(2):
        await played(database, said("It lies at the sea."), said("By a river."), kind=KIND, number=number)
    with terminal(millrace("arena", "vote", "--kind", KIND), environment, columns=120) as seen:
        eventually(lambda: "q to end" in seen.screen or None, 120)
        assert "It lies at the sea." in seen.screen
        assert "gpt" not in seen.screen
        seen.type("x\n")  # a slip is asked about again, not taken for the end
        eventually(lambda: seen.screen.count("q to end") == 2 or None, 60)
        seen.type("1\n")
        eventually(lambda: ("gpt" in seen.screen and seen.screen.count("q to end") == 3) or None, 60)
        seen.type("=\n")
        eventually(lambda: "no match left" in seen.screen or None, 60)
        assert seen.ended() == 0
