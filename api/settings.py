"""What the API process can be told, and what it refuses to be told."""

import re
from typing import Literal

from pydantic import Field, field_validator

from api.auth.settings import AuthSettings
from api.loopback import is_loopback
from runtime.errors import ConfigurationProblem
from runtime.settings import Slice

MIB = 1024 * 1024


class ApiSettings(Slice):
    """Address, limits and timings of the API."""

    millrace_environment: Literal["development", "production"] = Field(
        "development", description="In production the documentation pages are off."
    )
    api_host: str = Field(
        "127.0.0.1",
        description="Address to listen on; others than loopback only where callers are asked who they are.",
    )
    api_port: int = Field(8400, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    api_allow_open_bind: bool = Field(
        False,
        description="Serve other machines without asking who they are, behind an inner network. Not in"
        " production.",
    )
    api_docs: bool | None = Field(
        None, description="Documentation pages and /openapi.json; by default only in development."
    )
    api_max_json_bytes: int = Field(MIB, ge=1024, description="Largest JSON body, in bytes.")
    api_max_upload_bytes: int = Field(6 * MIB, ge=1024, description="Largest upload request, in bytes.")
    examples_mask: str = Field(
        "runtime.personal:masked",
        description="The function that takes personal data out of a text before it is stored as an example or"
        " as feedback; `runtime.personal:unmasked` keeps everything. Yours: `package.module:function`.",
    )
    api_wait_max_seconds: float = Field(
        60, ge=0, le=600, allow_inf_nan=False, description="A longer `?wait=` is shortened to this."
    )
    api_completion_seconds: float = Field(
        590,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="How long /v1/chat/completions waits for a whole answer. OpenAI's client gives up after"
        " 600 s and asks anew, which is paid anew.",
    )
    api_heartbeat_seconds: float = Field(
        15, gt=0, le=600, allow_inf_nan=False, description="A silent event stream sends a comment this often."
    )
    api_tail_seconds: float = Field(
        0.04, gt=0, le=10, allow_inf_nan=False, description="How often the event log is read for listeners."
    )
    api_body_seconds: float = Field(
        30, gt=0, le=600, allow_inf_nan=False, description="A body that takes longer to come is refused."
    )
    api_answer_seconds: float = Field(
        60,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="An answer that has not begun by then (besides what `?wait=` asks for) is given up.",
    )
    api_patience_seconds: float = Field(
        20,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="A client that takes longer over its request's head, or takes nothing of an answer for so"
        " long, is cut off.",
    )
    api_max_connections: int = Field(
        1000, ge=1, description="Connections of a process, event streams included; others get 503."
    )
    api_trusted_hosts: str = Field(
        "",
        description="Names that this server answers to, separated by commas, e.g. `api.example.org` or"
        " `*.example.org`. Without any, every name where callers are asked, else this machine's.",
    )
    api_trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are"
        " believed, separated by commas.",
    )
    api_cors_origins: str = Field(
        "",
        description="Origins of web pages that may call, separated by commas, e.g. `https://app.example.org`."
        " Without any, none may.",
    )
    prefect_api_url: str = Field(
        "http://127.0.0.1:4200/api", description="Prefect's API; /readyz asks whether it answers."
    )

    @field_validator("api_cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in listed(value):
            if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", origin):
                raise ValueError("each is a scheme and a host, such as https://app.example.org; never `*`")
        return value

    @property
    def docs(self) -> bool:
        """Whether the documentation pages are served."""
        return self.millrace_environment == "development" if self.api_docs is None else self.api_docs


def listed(value: str) -> list[str]:
    """Return the parts of a setting that holds several, separated by commas."""
    return [part.strip() for part in value.split(",") if part.strip()]


def refuse_open_bind(settings: ApiSettings, auth: AuthSettings) -> None:
    """Refuse to let other machines in while nobody asks who calls.

    API_ALLOW_OPEN_BIND allows it by name, but not in production.

    Raises:
        ConfigurationProblem: `open_bind_refused`.
    """
    production = settings.millrace_environment == "production"
    open_to_others = settings.api_allow_open_bind or not is_loopback(settings.api_host)
    if auth.asks or not open_to_others or (settings.api_allow_open_bind and not production):
        return
    ways_out = "Set AUTH=embedded, or listen on 127.0.0.1 (without API_ALLOW_OPEN_BIND)."
    if not production:
        ways_out += " API_ALLOW_OPEN_BIND=true is for an inner network, or behind a proxy that asks."
    raise ConfigurationProblem(
        f"API_HOST={settings.api_host} would let other machines in, and nobody asks who calls. {ways_out}",
        code="open_bind_refused",
    )
