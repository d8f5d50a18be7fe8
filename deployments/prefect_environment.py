"""The environment that every process of ours gives Prefect, set before Prefect is imported.

Prefect reads its settings once, on import: a flag that is set later changes nothing. A value that is in
the environment already wins, so an operator can overrule each of these.
"""

import os
import sys
from pathlib import Path

from deployments.settings import PrefectSettings
from runtime.errors import ConfigurationProblem
from runtime.home import home

FLAGS = {
    # Nothing is reported to anyone.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    # Without a reachable API, fail; else Prefect silently starts a second server.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    # Each saves one call per client.
    "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    # Its log records join our chain (runtime/log.py) instead of a console handler of its own.
    "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("prefect_logging.yml")),
}


def apply_prefect_environment(api_url: str | None = None) -> None:
    """Set what Prefect shall read on import.

    Args:
        api_url: the Prefect API to talk to; by default `PREFECT_API_URL`, else the embedded server's.

    Raises:
        ConfigurationProblem: Prefect was imported before and would not see a change.
    """
    wanted = FLAGS | {
        "PREFECT_API_URL": api_url or PrefectSettings().url,
        # One folder of state, and no profile of another project.
        "PREFECT_HOME": str(home() / "prefect"),
    }
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    if api_url and os.environ.get("PREFECT_API_URL") != api_url:
        missing["PREFECT_API_URL"] = api_url
    if missing and "prefect" in sys.modules:
        raise ConfigurationProblem(
            f"Prefect was imported before its environment was set ({', '.join(sorted(missing))}):"
            " call apply_prefect_environment first.",
            code="prefect_imported_early",
        )
    os.environ.update(missing)
