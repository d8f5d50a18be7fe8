"""The embedded Prefect server: orchestration, UI and schedules on one machine, kept in SQLite.

`python -m deployments.server` serves it; `millrace up` starts it so. In production the official image with
Postgres takes its place (docker/compose.yaml).
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.prefect_environment import apply_prefect_environment
from deployments.settings import PrefectSettings
from runtime.home import home
from runtime.log import configure_logging

if TYPE_CHECKING:
    from fastapi import FastAPI


def main() -> None:
    """Serve the embedded Prefect server until SIGTERM or Ctrl-C."""
    import uvicorn

    configure_logging("prefect")
    settings = PrefectSettings()
    apply_prefect_environment(settings.embedded_url)
    _keep_ui_files_writable()
    uvicorn.run(
        "deployments.server:create_server",
        factory=True,
        host=settings.prefect_server_api_host,
        port=settings.prefect_server_api_port,
        log_config=None,
        access_log=False,
        # An open browser tab holds a websocket; it must not hold the shutdown.
        timeout_graceful_shutdown=3,
    )


def create_server() -> "FastAPI":
    """Build the server's app; Prefect's environment must be set by then."""
    from prefect.server.api.server import create_app

    from deployments.prefect_orm import leave_hybrids_out_of_bulk_inserts
    from deployments.prefect_sqlite import take_turns

    leave_hybrids_out_of_bulk_inserts()
    take_turns()
    return create_app(final=True)


def _keep_ui_files_writable() -> None:
    """Let Prefect unpack its UI into our folder where its own package is read-only."""
    spec = importlib.util.find_spec("prefect")
    if spec is None or spec.origin is None:
        return
    if not os.access(Path(spec.origin).parent / "server", os.W_OK):
        os.environ.setdefault("PREFECT_UI_STATIC_DIRECTORY", str(home() / "prefect" / "ui"))


if __name__ == "__main__":
    main()
