"""What people type for the arena and for experiments, before it goes to the API."""

import asyncio
import os
import signal
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from contracts.arena import Contestant
from deployments.cli.arena import board, contestant_of, task_of, until_interrupted
from deployments.cli.experiments import arm_of
from runtime.errors import BadInput


@pytest.mark.parametrize("name", ["gpt", "support.sort@3", "support.sort@3/gpt"])
def test_a_contestant_is_typed_as_ratings_show_it(name: str):
    assert Contestant.model_validate(contestant_of(name)).name == name


def test_a_task_is_a_line_of_text_or_of_json():
    assert task_of(" What is a lease? ", "terms") == {"input": "What is a lease?", "kind": "terms"}
    told = task_of('{"input": "?", "kind": "maths", "reference": "4"}', "terms")
    assert told == {"input": "?", "kind": "maths", "reference": "4"}
    with pytest.raises(BadInput, match="no JSON"):
        task_of('{"input": ', "terms")
    with pytest.raises(BadInput, match="no contestant"):
        contestant_of("support.sort@latest")


def test_arms_are_versions_or_deployments_with_their_weights():
    assert arm_of("gpt=3", None) == {"deployment": "gpt", "weight": 3}
    assert arm_of("v4", "support.sort") == arm_of("4", "support.sort") == {"version": 4, "weight": 1}
    for wrong, program in (("gpt=much", None), ("gpt", "support.sort")):
        with pytest.raises(BadInput, match="is no arm"):
            arm_of(wrong, program)


ONE = {"contestant": "gpt", "points": 1034.2, "low": 990.0, "high": 1078.0, "wins": 3.0, "losses": 1.0}
ONE |= {"ties": 2.0, "answers": 6, "failures": 0, "cost_usd": None, "latency_ms": 812.5}


def shown(width: int, *items: dict[str, Any]) -> list[str]:
    """Return the lines that a terminal of this width shows."""
    console = Console(width=width, file=StringIO())
    console.print(board({"kind": None, "matches": 3 * len(items), "items": list(items)}, width))
    return console.file.getvalue().splitlines()


def test_the_leaderboard_has_a_row_for_each_contestant_and_an_unknown_price_is_not_free():
    free = {**ONE, "contestant": "offline", "cost_usd": "0E-10"}
    title, head, *rows = shown(120, ONE, free)
    assert title.strip() == "all kinds of tasks, 6 matches"
    assert head.split()[-3:] == ["cost", "$", "ms"]
    assert [row.split()[1] for row in rows] == ["gpt", "offline"]
    assert [row.split()[-2] for row in rows] == ["-", "0.000000"]


def test_a_narrow_terminal_folds_names_and_cuts_no_number():
    name = "customer.support.sort@12/claude-sonnet-4-5"
    _, head, *rows = shown(80, {**ONE, "contestant": name, "cost_usd": "0.0123456789"})
    assert "answers" not in head
    assert "990 to 1078" in rows[0]
    assert rows[0].split()[-2:] == ["0.012346", "812"]
    assert "".join([rows[0].split()[1], *(row.strip() for row in rows[1:])]) == name


def test_before_the_first_match_the_leaderboard_says_how_to_begin():
    assert "millrace arena submit" in " ".join(shown(80))


async def test_ctrl_c_ends_a_loop_whose_library_takes_it_for_its_own_time_running_out() -> None:
    """A leaderboard that was interrupted in the middle of a request went on for ever."""
    looks = 0
    with until_interrupted() as stopped:
        while not stopped.is_set():
            looks += 1
            assert looks < 3
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
    assert looks == 1


async def test_ctrl_c_ends_a_wait_at_once() -> None:
    with until_interrupted() as stopped:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    assert stopped.is_set()
