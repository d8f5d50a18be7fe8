"""Where the processes of one machine find each other, and how long they get to stop."""

from pydantic import Field

from runtime.settings import Slice


class PrefectSettings(Slice):
    """Which Prefect server is ours: one that runs elsewhere, or the embedded one of `millrace up`."""

    prefect_api_url: str | None = Field(
        None,
        description="API of a Prefect server that runs elsewhere, e.g. http://prefect:4200/api."
        " Without it `millrace up` starts an embedded one.",
    )
    prefect_server_api_host: str = Field("127.0.0.1", description="Address of the embedded Prefect server.")
    prefect_server_api_port: int = Field(4200, description="Port of the embedded Prefect server.")

    @property
    def embedded_url(self) -> str:
        """API of the embedded server, whether or not it runs."""
        return f"http://{self.prefect_server_api_host}:{self.prefect_server_api_port}/api"

    @property
    def url(self) -> str:
        """API of the server that this machine uses."""
        return self.prefect_api_url or self.embedded_url


class StackSettings(Slice):
    """How `millrace up` treats its processes."""

    stack_start_seconds: float = Field(
        120, gt=0, description="`millrace up` gives up when a process is not ready by then."
    )
    stack_stop_seconds: float = Field(
        20, ge=0, description="After SIGTERM a process gets this long to finish before it is killed."
    )
    stack_log_bytes: int = Field(
        10 * 1024 * 1024, ge=4096, description="A process's log file is rotated once above this size."
    )
