"""The command line where nothing runs: its help, its errors, what it reads and how it tells things."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest
from rich.console import Console

from contracts.pipelines import Pool
from contracts.runs import Event, EventKind, RunOptions
from deployments.cli import main
from deployments.cli.client import Api
from deployments.cli.demo import own_documents
from deployments.cli.params import read_params
from deployments.cli.processes import PoolName
from deployments.cli.showing import without_drawings
from deployments.cli.sse import Sent, read_events
from deployments.cli.telling import Telling
from runtime.errors import BadInput
from tests.fixtures.prefect_server import free_port

COMMANDS = (
    "up",
    "demo",
    "run",
    "status",
    "receipt",
    "resume",
    "cancel",
    "retry",
    "fork",
    "approvals",
    "approve",
    "reject",
    "api",
    "worker",
    "migrate",
    "secrets",
)


def millrace(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["millrace", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_help_names_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert millrace(monkeypatch, "--help") == 0

    said = capsys.readouterr().out
    assert all(f" {command} " in said for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_teaches_by_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    assert millrace(monkeypatch, command, "--help") == 0

    said = capsys.readouterr().out
    assert "Example" in said
    assert f"millrace {command}" in said


def test_run_names_the_agent_in_whose_name_it_starts(monkeypatch: pytest.MonkeyPatch):
    """What is sent is what the API reads as the run's options."""
    agent, sent = uuid4(), {}

    async def start_run(_api: Api, _pipeline: str, _params: Any, _key: Any, options: dict[str, Any]) -> None:
        sent.update(options)
        raise BadInput("Enough was seen.", code="seen")

    monkeypatch.setattr(Api, "start_run", start_run)

    assert millrace(monkeypatch, "run", "probe", "--agent", str(agent)) == 2

    assert RunOptions.model_validate(sent).agent_id == agent


@pytest.mark.parametrize("command", [["status"], ["run", "probe"]])
def test_without_an_api_it_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
):
    monkeypatch.setenv("MILLRACE_API_URL", f"http://127.0.0.1:{free_port()}")

    assert millrace(monkeypatch, *command) == 1

    said = capsys.readouterr().err
    assert "millrace up" in said
    assert "MILLRACE_API_URL" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "title", "detail", "told"),
    [
        ("run_not_found", "There is no such run", "There is no run 1.", "There is no run 1."),
        ("invalid_parameters", "The parameters are not valid", "a: b", "The parameters are not valid: a: b"),
    ],
)
async def test_a_problem_of_the_api_is_told_once(code: str, title: str, detail: str, told: str):
    body = json.dumps({"title": title, "detail": detail, "code": code})

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 404 X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Api(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as api:
        with pytest.raises(BadInput) as caught:
            await api.run(uuid4())

    assert (caught.value.message, caught.value.code) == (told, code)


@pytest.mark.parametrize(
    ("name", "value", "command"), [("API_PORT", "abc", "api"), ("LOG_LEVEL", "silly", "migrate")]
)
def test_a_bad_setting_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, command: str
):
    monkeypatch.setenv(name, value)

    assert millrace(monkeypatch, command) == 2

    said = capsys.readouterr().err
    assert f"{name}: Input should be" in said
    assert value not in said
    assert len(said.strip().splitlines()) == 1


def test_the_demos_context_has_no_drawings():
    """An answer quoted the README's diagram, on one line."""
    text = "# A\n```\n+--+\n~~~\n```\nwords\n  ~~~text\n|  |\n  ~~~\nmore `code`\n"

    assert without_drawings(text) == "# A\nwords\nmore `code`\n"


def test_a_file_that_is_not_there_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert millrace(monkeypatch, "demo", "nowhere.pdf") == 2

    assert "There is no file nowhere.pdf" in capsys.readouterr().err


def test_migrate_goes_up_once_and_check_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")

    assert millrace(monkeypatch, "migrate", "--check") == 1
    assert millrace(monkeypatch, "migrate") == 0
    assert "went from empty to" in capsys.readouterr().out
    assert millrace(monkeypatch, "migrate") == 0
    assert millrace(monkeypatch, "migrate", "--check", "--json") == 0
    said = capsys.readouterr().out
    assert "newest schema already" in said
    assert '"current": true' in said


def test_the_pools_of_the_command_line_are_those_of_the_contracts():
    assert {each.value for each in PoolName} == set(get_args(Pool))


def test_the_demo_reads_this_projects_own_documents():
    assert "README.md" in {document.name for document in own_documents()}
    assert all(document.suffix == ".md" for document in own_documents())


def test_parameters_are_json_where_they_can_be_and_text_where_not(tmp_path: Path):
    file = tmp_path / "params.yaml"
    file.write_text("question: from the file\nsources: []\n")

    params = read_params(
        ["question=What is 3 = 3?", "steps=3", "deep=true", "raw=3 apples", 'text="3"'], file
    )

    assert params == {
        "question": "What is 3 = 3?",
        "sources": [],
        "steps": 3,
        "deep": True,
        "raw": "3 apples",
        "text": "3",
    }


@pytest.mark.parametrize(
    ("pair", "content"), [("question", ""), ("=3", ""), ("a=1", "- a list"), ("a=1", "a: [")]
)
def test_parameters_that_cannot_be_read_are_refused(tmp_path: Path, pair: str, content: str):
    file = tmp_path / "params.yaml"
    file.write_text(content)

    with pytest.raises(BadInput):
        read_params([pair], file if content else None)


async def test_events_are_read_as_the_standard_says():
    """Comments, several data lines, an id that stays, and a last event that was cut off."""
    lines = [
        ": ping",
        "event: token",
        "id: 7",
        'data: {"a":',
        "data:1}",
        "",
        "data: x",
        "",
        "event: state",
        "data: cut",
    ]

    async def sent() -> AsyncIterator[str]:
        for line in lines:
            yield line

    assert [each async for each in read_events(sent())] == [
        Sent("token", "7", '{"a":\n1}'),
        Sent("message", "7", "x"),
    ]


@pytest.fixture
def told() -> Iterator[tuple[Telling, StringIO, StringIO]]:
    """A telling that writes where nobody looks at it live."""
    answers, around = StringIO(), StringIO()
    with Telling(Console(file=answers, width=200), Console(file=around, width=200)) as telling:
        yield telling, answers, around


def event(kind: EventKind, **data: Any) -> Event:
    """Return an event of some run."""
    return Event(run_id=uuid4(), seq=1, kind=kind, data=data, at=datetime.now(UTC))


def test_a_run_is_told_in_plain_lines_where_there_is_no_terminal(told: tuple[Telling, StringIO, StringIO]):
    telling, answers, around = told
    telling.tell(event(EventKind.STATE, status="running"))
    telling.tell(event(EventKind.STEP, step="answer#1", status="started", tries=2))
    telling.tell(event(EventKind.TOKEN, text="Hello [red]", step="answer#1"))
    telling.tell(event(EventKind.TOKEN, text="world", step="answer#1"))
    telling.tell(event(EventKind.STEP, step="answer#1", status="failed", error="model_timeout", ms=12.4))

    assert answers.getvalue() == "Hello [red]world\n"
    assert around.getvalue().splitlines() == [
        "running",
        "  answer#1 started (try 2)",
        "  answer#1 failed after 12 ms: model_timeout",
    ]


def test_trials_that_a_resumed_run_tells_again_are_no_second_line(told: tuple[Telling, StringIO, StringIO]):
    telling, _, around = told
    bootstrap, second = ({"optimizer": "bootstrap", "racer": f"bootstrap{nth}"} for nth in ("", " (2)"))
    more = {"best": 0.5, "calls": 10, "usd": "0"}
    for who, trial, score in [(bootstrap, 1, 0.5), (bootstrap, 2, 0.4), (second, 1, 0.5)] * 2:
        telling.tell(event(EventKind.TRIAL, **who, trial=trial, score=score, **more))
    # Its code has changed meanwhile: that is news.
    telling.tell(event(EventKind.TRIAL, **second, trial=1, score=0.3, **more))

    assert [line.partition(",")[0] for line in around.getvalue().splitlines()] == [
        "  bootstrap trial 1: 0.5",
        "  bootstrap trial 2: 0.4",
        "  bootstrap (2) trial 1: 0.5",
        "  bootstrap (2) trial 1: 0.3",
    ]


def test_scores_are_told(told: tuple[Telling, StringIO, StringIO]):
    telling, _, around = told
    telling.tell(event(EventKind.SCORE, place=0, racer="as it was", optimizer=None, score=0.4, examples=20))
    assert around.getvalue() == "  as it was: 0.4 on the 20 validation examples\n"


def test_progress_of_two_hundred_parts_is_not_two_hundred_lines(told: tuple[Telling, StringIO, StringIO]):
    telling, _, around = told
    for done in range(1, 201):
        telling.tell(event(EventKind.PROGRESS, done=done, total=200, of="parts"))

    lines = around.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1] == "  200 of 200 parts"
