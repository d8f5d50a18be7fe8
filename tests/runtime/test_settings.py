"""Settings that are not what they should be."""

import pytest
from pydantic import Field

from runtime.errors import ConfigurationProblem
from runtime.log import LogSettings
from runtime.settings import Slice


class Sample(Slice):
    """Two settings."""

    sample_port: int = Field(1, ge=0)
    sample_token: int = 0


def test_a_setting_that_cannot_be_read_is_named_with_what_it_takes_and_without_its_value(monkeypatch):
    """A traceback of pydantic's shows the value, and a value in the wrong place is often a secret."""
    monkeypatch.setenv("SAMPLE_PORT", "-7")
    monkeypatch.setenv("SAMPLE_TOKEN", "sk-secret")

    with pytest.raises(ConfigurationProblem) as caught:
        Sample()

    assert caught.value.code == "bad_setting"
    assert "SAMPLE_PORT: Input should be greater than or equal to 0." in caught.value.message
    assert "SAMPLE_TOKEN: Input should be a valid integer" in caught.value.message
    assert "sk-secret" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_setting_with_a_few_values_names_them(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "silly")

    with pytest.raises(ConfigurationProblem, match=r"LOG_LEVEL: .*'DEBUG', 'INFO', 'WARNING' or 'ERROR'"):
        LogSettings()
