"""`millrace arena` in a terminal, while an arena is played: what a person sees, and what keys do."""

import re
import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.test_arena import write_deployment
from tests.fixtures.stack import Stack, eventually
from tests.fixtures.terminal import Terminal, terminal

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
KIND = "harbours"
TOWNS = ("Hamburg", "Genoa", "Lisbon", "Oslo")
TASKS = [{"input": f"Which water does {town} lie at?", "kind": KIND} for town in TOWNS]
PARAMS = {
    "tasks": TASKS,
    "contestants": [{"deployment": "offline"}, {"deployment": "harbourmaster"}],
    "at_once": 1,
}


@pytest.fixture
def environment(stack: Stack) -> Iterator[dict[str, str]]:
    """What the command needs to find the stack; a second deployment takes its time over its one answer."""
    write_deployment(stack, "harbourmaster")
    stack.provider.behaviour["harbourmaster"].text = "It lies at the sea."
    stack.provider.behaviour["*"].latency_ms = 1_000
    yield {**stack.environment, "MILLRACE_API_URL": stack.api_url}
    stack.provider.behaviour["harbourmaster"].text = None
    stack.provider.behaviour["*"].latency_ms = 0


def millrace(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deployments.cli", *arguments]


def matches(seen: Terminal) -> int | None:
    """Return how many matches the screen tells of; none before its title is there."""
    found = re.search(rf"{KIND}, (\d+) matches", seen.screen)
    return int(found[1]) if found else None


def test_the_leaderboard_follows_the_matches_and_outlives_the_api(
    stack: Stack, environment: dict[str, str]
) -> None:
    command = millrace("arena", "--kind", KIND, "--every", "0.3")
    with terminal(command, environment) as seen:
        assert eventually(lambda: matches(seen), 120) == 0
        assert "millrace arena submit" in seen.screen
        run = stack.trigger("arena", PARAMS)
        # It is not shown at the end only: whoever looks sees it grow.
        between = eventually(lambda: found if (found := matches(seen) or 0) > 0 else None, 120)
        assert stack.ended(run["id"], 240)["status"] == "succeeded", stack.logs()
        eventually(lambda: matches(seen) == len(TOWNS) or None, 60)
        assert between < len(TOWNS)
        head, first, second = seen.screen.splitlines()[1:4]
        assert head.split() == ["contestant", "points", "95", "%", "won", "lost", "tied", "cost", "$", "ms"]
        assert {first.split()[1], second.split()[1]} == {"offline", "harbourmaster"}
        assert [first.split()[0], second.split()[0]] == ["1", "2"]
        assert all(len(line) <= 80 for line in seen.screen.splitlines())
        # The same line is written over, whatever is looked at: one table on the screen, not one a look.
        assert seen.screen.count("contestant") == 1

        stack.process_of("deployments.cli", "api").kill()
        eventually(lambda: "does not answer" in " ".join(seen.screen.split()) or None, 60)
        assert "harbourmaster" in seen.screen
        eventually(lambda: "does not answer" not in " ".join(seen.screen.split()) or None, 120)
        assert matches(seen) == len(TOWNS)

        seen.type("\x03")
        assert seen.ended() == 0
        assert "harbourmaster" in seen.screen
        assert "Traceback" not in seen.screen
        assert seen.cursor_shown


def test_votes_are_typed_and_names_come_after_them(stack: Stack, environment: dict[str, str]) -> None:
    kind = f"{KIND}-voted"
    params = {**PARAMS, "tasks": [{**TASKS[0], "kind": kind}, {**TASKS[1], "kind": kind}], "judge": False}
    run = stack.trigger("arena", params)
    assert stack.ended(run["id"], 240)["status"] == "succeeded", stack.logs()
    with terminal(millrace("arena", "vote", "--kind", kind), environment, columns=120) as seen:
        eventually(lambda: "q to end" in seen.screen or None, 120)
        assert "It lies at the sea." in seen.screen
        assert "harbourmaster" not in seen.screen
        seen.type("x\n")  # a slip is asked about again, not taken for the end
        eventually(lambda: seen.screen.count("q to end") == 2 or None, 60)
        seen.type("1\n")
        eventually(lambda: "harbourmaster" in seen.screen or None, 60)
        eventually(lambda: seen.screen.count("q to end") == 3 or None, 60)
        seen.type("=\n")
        eventually(lambda: "no match left" in seen.screen or None, 60)
        assert seen.ended() == 0
    board = stack.get("/api/v1/arena/leaderboard", kind=kind, by="people")
    assert (board["compared"], {one["contestant"] for one in board["items"]}) == (
        2,
        {"offline", "harbourmaster"},
    )
