"""The classify pipeline: one support message in, what it is about out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Label = Literal["access", "billing", "defect", "praise", "shipping"]


class ClassifyParams(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(
        min_length=1,
        max_length=20_000,
        examples=["I was charged twice for my order, please refund one payment"],
    )


class ClassifyResult(BaseModel):
    """What the message is about, and which version of the program said so."""

    label: Label
    program_version: int = Field(description="Of the program `support.sort`.")
    models: list[str] = Field(description="The deployments that answered, e.g. `offline`.")
