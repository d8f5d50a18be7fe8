"""Where the door finds its providers, and how many calls it lets through at once."""

from pathlib import Path

from pydantic import Field, PositiveInt

from runtime.home import PROJECT
from runtime.settings import Slice

SHIPPED_PROVIDERS = PROJECT / "config" / "providers.yaml"


class LlmSettings(Slice):
    """The settings of the model door."""

    providers_file: Path = Field(SHIPPED_PROVIDERS, description="Which models exist, who asks whom.")
    llm_concurrency: PositiveInt = Field(
        64, description="Model calls in flight per process; more of them wait their turn."
    )
