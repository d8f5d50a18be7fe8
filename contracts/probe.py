"""The probe: a run that does next to nothing, to prove and to time the whole way through."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ProbeParams(BaseModel):
    """How much of nothing to do."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(3, ge=0, le=200, description="How many steps to run, one after the other.")
    calls_per_step: int = Field(0, ge=0, le=100, description="Model calls in each step.")
    text: str = Field(
        "step", min_length=1, max_length=200, description="What the calls repeat, with the step's number."
    )
    role: str = Field("chat", description="Which role of config/providers.yaml the calls are made in.")
    step_seconds: float = Field(0, ge=0, le=3600, description="How long each step waits, in seconds.")
    children: int = Field(0, ge=0, le=50, description="Probes like this one to start and wait for.")
    fail_at: int | None = Field(
        None, ge=1, description="Fail the first try of this step after its calls, counted from 1."
    )
    park_at: int | None = Field(
        None, ge=1, description="Wait for somebody to resume the run before this step, counted from 1."
    )
    ask_at: int | None = Field(
        None, ge=1, description="Wait for somebody to approve this step, counted from 1."
    )
    ask_expires_in: float | None = Field(
        None, gt=0, le=30 * 86400, description="How long to wait for that approval, in seconds."
    )
    touch_at: int | None = Field(
        None, ge=1, description="Append a line to a file of the worker by a tool call in this step."
    )
    touch_seconds: float = Field(
        0, ge=0, le=3600, description="How long that call takes after its effect, in seconds."
    )


class ProbeResult(BaseModel):
    """When the first line of the flow ran, and what was done."""

    first_line_at: datetime
    steps: int
    calls: int = Field(description="Model calls of its own and of its children.")
    children: list[UUID] = Field(default_factory=list, description="The runs that it started.")
    approved_by: str | None = None
    lines: int | None = Field(None, description="How many lines the file had after the tool call.")
