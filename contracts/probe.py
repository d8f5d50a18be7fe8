"""The probe: a run that does next to nothing, to prove and to time the whole way through."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class ProbeParams(BaseModel):
    """How much of nothing to do."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(3, ge=0, le=200, description="How many steps to run, one after the other.")
    calls_per_step: int = Field(0, ge=0, le=100, description="Model calls in each step.")
    role: str = Field("chat", description="Which role of config/providers.yaml the calls are made in.")
    step_seconds: float = Field(0, ge=0, le=3600, description="How long each step waits, in seconds.")
    fail_at: int | None = Field(
        None, ge=1, description="Fail the first try of this step after its calls, counted from 1."
    )


class ProbeResult(BaseModel):
    """When the first line of the flow ran, and what was done."""

    first_line_at: datetime
    steps: int
    calls: int
