"""`millrace secrets`, and what Prefect's own log handlers may send."""

import json
import logging
import sys
from pathlib import Path

import pytest
import yaml

from deployments.cli import main
from runtime import masking
from runtime.errors import MillraceError
from runtime.masking import remember
from tests.fixtures.project_files import ROOT

PROVIDERS = """
providers:
  one: {kind: openai, model: gpt-5-mini, key_name: FIRST_KEY}
  two: {kind: openai, model: gpt-5, key_name: FIRST_KEY}
  three: {kind: anthropic, model: claude-sonnet-4-5, key_name: SECOND_KEY}
  spare: {kind: deepseek, model: deepseek-chat, key_name: UNUSED_KEY, enabled: false}
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Secrets in a folder, and a file that wants two of them."""
    monkeypatch.setattr(masking, "_known", {})
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "FIRST_KEY").write_text("the-value-of-the-first")
    (tmp_path / "secrets" / "OTHER").write_text("nobody wants it")
    monkeypatch.setenv("PROVIDERS_FILE", str(tmp_path / "providers.yaml"))
    monkeypatch.setenv("SECRETS_BACKEND", "file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "secrets"))
    return tmp_path / "secrets"


def listed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["millrace", "secrets", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_names_are_listed_with_who_wants_them_and_never_a_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert listed(monkeypatch, "--json") == 1  # one that is wanted is missing

    said = capsys.readouterr().out
    assert json.loads(said) == {
        "backend": "file",
        "secrets": [
            {"name": "FIRST_KEY", "wanted_by": ["one", "two"], "present": True},
            {"name": "OTHER", "wanted_by": [], "present": True},
            {"name": "SECOND_KEY", "wanted_by": ["three"], "present": False},
        ],
    }
    assert "the-value" not in said


def test_it_is_content_when_nothing_that_is_wanted_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: Path
):
    (kept / "SECOND_KEY").write_text("the-value-of-the-second")

    assert listed(monkeypatch) == 0

    said = capsys.readouterr().out
    assert "MISSING" not in said
    assert "the-value" not in said


def test_what_prefect_sends_to_its_server_holds_no_secret():
    """Its handlers format records themselves, tracebacks of foreign errors included."""
    told = yaml.safe_load((ROOT / "deployments" / "prefect_logging.yml").read_text())
    assert all(handler["filters"] == ["without_secrets"] for handler in told["handlers"].values())
    remember("the-value-of-the-first")
    handler = logging.Handler()
    module, _, name = told["filters"]["without_secrets"]["()"].rpartition(".")
    handler.addFilter(getattr(__import__(module, fromlist=[name]), name)())
    error = MillraceError("wrapped")
    error.__cause__ = ValueError("sent the-value-of-the-first")
    words = ("the-value-of-the-first",)
    record = logging.LogRecord("prefect", 40, "f", 1, "said %s", words, (type(error), error, None))

    assert handler.filter(record)
    text = logging.Formatter().format(record)

    assert "said [redacted]" in text
    assert "wrapped" in text
    assert "the-value-of-the-first" not in text
