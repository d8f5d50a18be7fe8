"""What pipelines may see and how wide they fan out."""

from pathlib import Path

from pydantic import Field

from runtime.home import PROJECT
from runtime.settings import Slice


class FlowSettings(Slice):
    """Settings of the pipelines in a worker."""

    documents_root: Path = Field(
        PROJECT, description="The only folder that analysis may read files from by pattern."
    )
    analysis_parallel_parts: int = Field(
        8, ge=1, le=200, description="Parts of documents that one analysis run works on at once."
    )
