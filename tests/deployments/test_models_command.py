"""`millrace providers check` on good and on bad files."""

import json
import sys
from pathlib import Path

import pytest

from deployments.cli import main

GOOD = """\
providers:
  own: {kind: openai_compatible, model: mine, base_url: "http://127.0.0.1:8000/v1"}
routing: {default: [own], judge: [offline]}
"""


def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, *arguments: str) -> int:
    path = tmp_path / "providers.yaml"
    path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["millrace", "providers", "check", str(path), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_file_that_can_be_used_is_shown_by_roles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert check(monkeypatch, tmp_path, GOOD, "--json") == 0

    said = json.loads(capsys.readouterr().out)
    assert said["problems"] == []
    assert said["roles"] == {"chat": ["own"], "analyst": ["own"], "judge": ["offline"], "reflector": ["own"]}


def test_every_problem_is_told_with_its_line_and_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    text = GOOD.replace("[own]", "[onw]") + "  two: {}\n"

    assert check(monkeypatch, tmp_path, GOOD.replace("[own]", "[onw]")) == 1
    assert "providers.yaml:3: `routing.default` names `onw`" in (said := capsys.readouterr().out)
    assert "Remedy: did you mean `own`." in said
    assert check(monkeypatch, tmp_path, text, "--json") == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["line"] == 4


def test_a_missing_key_is_a_problem_unless_keys_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """In CI the file is checked where no keys are."""
    monkeypatch.chdir(tmp_path)
    text = GOOD.replace("model: mine", "model: mine, key_name: A_KEY_THAT_NOBODY_SET")

    assert check(monkeypatch, tmp_path, text) == 1
    assert "A_KEY_THAT_NOBODY_SET" in capsys.readouterr().out
    assert check(monkeypatch, tmp_path, text, "--no-keys") == 0


def test_a_kind_that_litellm_does_not_know_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert check(monkeypatch, tmp_path, GOOD.replace("openai_compatible", "opneai"), "--no-keys") == 1

    assert "Remedy" in capsys.readouterr().out
