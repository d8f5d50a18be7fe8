"""What the API process can be told, and what it refuses to be told."""

from typing import Literal

from pydantic import Field

from api.loopback import is_loopback
from runtime.errors import ConfigurationProblem
from runtime.settings import Slice

MIB = 1024 * 1024


class ApiSettings(Slice):
    """Address, limits and timings of the API."""

    millrace_environment: Literal["development", "production"] = Field(
        "development", description="In production the documentation pages are off."
    )
    api_host: str = Field("127.0.0.1", description="Address to listen on; loopback until people exist.")
    api_port: int = Field(8400, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_allow_open_bind: bool = Field(
        False,
        description="Serve other machines without asking who they are. Only behind an inner network,"
        " such as a container's.",
    )
    api_docs: bool | None = Field(
        None, description="Documentation pages and /openapi.json; by default only in development."
    )
    api_max_json_bytes: int = Field(MIB, ge=1024, description="Largest JSON body, in bytes.")
    api_max_upload_bytes: int = Field(6 * MIB, ge=1024, description="Largest upload request, in bytes.")
    api_wait_max_seconds: float = Field(
        60, ge=0, le=600, allow_inf_nan=False, description="A longer `?wait=` is shortened to this."
    )
    api_heartbeat_seconds: float = Field(
        15, gt=0, le=600, allow_inf_nan=False, description="A silent event stream sends a comment this often."
    )
    api_tail_seconds: float = Field(
        0.04, gt=0, le=10, allow_inf_nan=False, description="How often the event log is read for listeners."
    )
    prefect_api_url: str = Field(
        "http://127.0.0.1:4200/api", description="Prefect's API; /readyz asks whether it answers."
    )

    @property
    def docs(self) -> bool:
        """Whether the documentation pages are served."""
        return self.millrace_environment == "development" if self.api_docs is None else self.api_docs


def refuse_open_bind(settings: ApiSettings) -> None:
    """Raise ConfigurationProblem for a host that other machines reach, unless that is allowed by name."""
    if settings.api_allow_open_bind or is_loopback(settings.api_host):
        return
    raise ConfigurationProblem(
        f"API_HOST={settings.api_host} would let other machines in, and this API does not ask yet who calls."
        " Listen on 127.0.0.1, or set API_ALLOW_OPEN_BIND=true when an inner network or a proxy that asks"
        " stands before it.",
        code="open_bind_refused",
    )
