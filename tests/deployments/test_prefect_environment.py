"""What Prefect is told before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.prefect_environment import FLAGS, apply_prefect_environment
from runtime.errors import ConfigurationProblem


def ask_a_new_process(code: str, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


SETTINGS = """
from deployments.prefect_environment import apply_prefect_environment
apply_prefect_environment()
from prefect.settings import get_current_settings
s = get_current_settings()
print(s.server.ephemeral.enabled, s.server.analytics_enabled, s.server.ui.show_promotional_content,
      s.client.server_version_check_enabled, s.client.csrf_support_enabled, s.api.url, s.home)
"""


def test_prefect_sees_every_flag_and_our_folder(tmp_path: Path):
    """A flag that Prefect renames would otherwise silently do nothing."""
    said = ask_a_new_process(SETTINGS, MILLRACE_HOME=str(tmp_path), PREFECT_SERVER_API_PORT="4999")

    home = tmp_path.resolve() / "prefect"
    assert f"False False False False False http://127.0.0.1:4999/api {home}" == said


def test_what_the_operator_set_wins(tmp_path: Path):
    """Each flag is a default, not a decree."""
    said = ask_a_new_process(
        SETTINGS,
        MILLRACE_HOME=str(tmp_path),
        PREFECT_API_URL="http://elsewhere:4200/api",
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED="true",
    )

    assert said.startswith("False False False False True http://elsewhere:4200/api ")


def test_setting_it_after_the_import_is_refused_because_prefect_would_not_notice(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "prefect", pytest)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)

    with pytest.raises(ConfigurationProblem, match="DO_NOT_TRACK") as caught:
        apply_prefect_environment()

    assert caught.value.code == "prefect_imported_early"


def test_nothing_is_reported_to_anyone():
    """These names are a promise to users; removing one must be a decision."""
    silent = {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }

    assert silent.items() <= FLAGS.items()
