"""What pipelines may see and how wide they fan out."""

from pathlib import Path

from pydantic import Field

from runtime.settings import Slice


class FlowSettings(Slice):
    """Settings of the pipelines in a worker."""

    documents_root: Path | None = Field(
        None,
        description="The only folder that analysis may read files from by pattern. Runs of people and"
        " projects read from its subfolder of their space (user-ID, project-ID); with no value they read"
        " none, and those of `local` the folder that Millrace runs from.",
    )
    analysis_parallel_parts: int = Field(
        8, ge=1, le=200, description="Parts of documents that one analysis run works on at once."
    )
    provider_wait_seconds: float = Field(
        86400,
        ge=0,
        le=30 * 86400,
        description="How long a run waits for a model provider's return, in seconds.",
    )
    provider_wait_interactive_seconds: float = Field(
        120, ge=0, le=86400, description="The same where a person sits and waits (the pool `interactive`)."
    )
    screen_answers: str = Field(
        "",
        description="A function of yours that sees each answer before it is told or stored, and changes it or"
        " withholds it: `package.module:function` (docs/security.md). Without one nothing is screened.",
    )
    screen_seconds: float = Field(
        10,
        gt=0,
        le=300,
        allow_inf_nan=False,
        description="How long it may take; then the answer is withheld.",
    )
    metrics_from: str = Field(
        "modules.metrics",
        description="Packages, separated by commas, whose functions may be metrics of evaluations by their"
        " path (`package.module:function`): code of yours that workers can import.",
    )
