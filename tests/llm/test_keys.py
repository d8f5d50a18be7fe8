"""Keys: read by name, masked in every text."""

from pathlib import Path

import pytest

from llm.keys import key, without_keys


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("A_KEY=from the file\nB_KEY=only there\n")
    monkeypatch.setenv("A_KEY", "from the environment")

    assert key("A_KEY") == "from the environment"
    assert key("B_KEY") == "only there"
    assert key("C_KEY") is None


def test_an_empty_variable_holds_no_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_KEY", "")

    assert key("A_KEY") is None


@pytest.mark.parametrize(
    "text",
    [
        "wrong key: our own key!",
        "sent sk-proj-abcDEF123456",
        "Authorization: Bearer abc.def-123456",
        "gsk-123456789",
    ],
)
def test_keys_are_masked_wherever_they_stand(text: str):
    masked = without_keys(text, ["our own key", ""])

    assert "[key]" in masked
    assert "own key!" not in masked.replace("[key]!", "")
    assert "123456" not in masked
