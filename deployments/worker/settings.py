"""How much a worker takes on and how often it looks."""

from pydantic import Field

from runtime.settings import Slice


class WorkerSettings(Slice):
    """One worker process."""

    worker_concurrency: int = Field(100, ge=1, le=1000, description="Runs in flight at once.")
    worker_poll_seconds: float = Field(
        0.05, gt=0, le=10, description="How often the run table is asked for work, in seconds."
    )
    worker_lease_seconds: float = Field(
        15, ge=2, le=600, description="How long a silent worker keeps its runs, in seconds."
    )
    worker_drain_seconds: float = Field(
        30, ge=0, le=3600, description="How long runs may finish after SIGTERM, in seconds."
    )
    worker_threads: int = Field(
        64,
        ge=4,
        le=512,
        description="Threads for blocking work; DSPy makes several hops through them a call.",
    )
    canary_look_seconds: float = Field(
        10,
        gt=0,
        le=3600,
        description="How often canaries are looked at by the workers of the pool `batch`, in seconds.",
    )
