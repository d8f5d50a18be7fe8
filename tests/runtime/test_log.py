"""Log lines: one chain for all loggers, and nothing in them that nobody should read there."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from runtime.log import LogSettings, configure_logging, log_context


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Any]:
    """Configure logging into a file, and return what it holds."""
    file = tmp_path / "logs" / "{process}.log"
    configure_logging("api", LogSettings(log_file=str(file), log_level="DEBUG", log_format="json"))

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "logs" / "api.log").read_text().splitlines()]

    yield read
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_our_lines_and_those_of_a_library_look_the_same_and_carry_the_run(lines: Any):
    """Otherwise a run's story has holes wherever a library tells a part of it."""
    with log_context(run_id="r1", step="read"):
        structlog.get_logger("flows.analysis").info("step_started", parts=3)
        logging.getLogger("some.library").warning("slow: %s", "disk")

    ours, theirs = lines()
    assert (ours["event"], ours["parts"], ours["logger"]) == ("step_started", 3, "flows.analysis")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("slow: disk", "warning", "some.library")
    for line in (ours, theirs):
        assert (line["run_id"], line["step"], line["process"]) == ("r1", "read", "api")
        assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("key", ["prompt", "messages", "answer", "content", "draft_answer", "request_body"])
def test_words_of_people_and_models_are_taken_out_at_info_and_kept_at_debug(lines: Any, key: str):
    log = structlog.get_logger()
    log.info("asked", **{key: "my doctor says"})
    log.debug("asked", **{key: "my doctor says"})

    told, debugged = lines()
    assert told[key] == "[redacted]"
    assert debugged[key] == "my doctor says"


@pytest.mark.parametrize("key", ["api_key", "openai_api_key", "Authorization", "access_token", "db_password"])
def test_a_secret_is_taken_out_at_every_level_and_depth(lines: Any, key: str):
    structlog.get_logger().debug("sent", headers=[{key: "hunter2"}])

    assert lines()[0]["headers"] == [{key: "[redacted]"}]


def test_counts_of_tokens_are_no_secret(lines: Any):
    structlog.get_logger().info("answered", input_tokens=7, tokens=9)

    assert (lines()[0]["input_tokens"], lines()[0]["tokens"]) == (7, 9)


def test_a_secret_inside_a_librarys_sentence_is_taken_out(lines: Any):
    logging.getLogger("library").error(
        "cannot reach mysql+aiomysql://me:hunter2@db/x with Bearer abcdefgh1234"
    )

    assert lines()[0]["event"] == "cannot reach mysql+aiomysql://[redacted]@db/x with [redacted]"


def test_an_exception_tells_its_causes_and_stack_but_no_locals_and_no_model_answer(lines: Any):
    """DSPy's parse errors carry the model's whole answer in their message."""
    parse_error = type("AdapterParseError", (Exception,), {"__module__": "dspy.utils.exceptions"})

    def parse() -> None:
        prompt = "my doctor says"
        raise parse_error(f"cannot parse {prompt}")

    try:
        try:
            parse()
        except parse_error as cause:
            raise ValueError("step failed") from cause
    except ValueError:
        structlog.get_logger().exception("run_failed")

    told = lines()[0]["exception"]
    assert "dspy.utils.exceptions.AdapterParseError: (message withheld)" in told
    assert "ValueError: step failed" in told
    assert "in parse" in told
    assert "my doctor says" not in told


def test_a_group_of_errors_tells_each(lines: Any):
    structlog.get_logger().error("failed", exc_info=ExceptionGroup("two", [KeyError("a"), OSError("b")]))

    told = lines()[0]["exception"]
    assert "builtins.KeyError: 'a'" in told
    assert "builtins.OSError: b" in told


@pytest.mark.usefixtures("lines")
def test_loud_libraries_are_quiet_and_uvicorn_has_no_handlers_of_its_own():
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    configure_logging("api", LogSettings(log_level="DEBUG"))

    assert logging.getLogger("uvicorn.error").handlers == []
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("aiosqlite").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("LiteLLM").isEnabledFor(logging.INFO)


def test_the_file_is_rotated_at_its_size(tmp_path: Path):
    settings = LogSettings(log_file=str(tmp_path / "a.log"), log_file_bytes=1024, log_file_backups=2)
    configure_logging("api", settings)
    for _ in range(40):
        structlog.get_logger().warning("a line of some length", number=1)
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()

    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert all(file.stat().st_size <= 1024 for file in tmp_path.iterdir())


def test_without_a_terminal_lines_are_json_unless_console_is_asked_for(capsys: pytest.CaptureFixture[str]):
    configure_logging("worker-batch", LogSettings())
    structlog.get_logger().info("started")
    configure_logging("worker-batch", LogSettings(log_format="console"))
    structlog.get_logger().info("started")
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()

    machine, person = capsys.readouterr().err.splitlines()
    assert json.loads(machine)["event"] == "started"
    assert not person.startswith("{")
    assert "started" in person
