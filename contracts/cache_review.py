"""Cache review: the judge looks at answers that were used for other questions than their own."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class CacheReviewParams(BaseModel):
    """How much to look at."""

    model_config = ConfigDict(extra="forbid")

    most: int = Field(200, ge=1, le=2_000, description="How many uses of each role at most.")
    at_once: int = Field(4, ge=1, le=16, description="How many are looked at at the same time.")


class RoleReview(BaseModel):
    """What the judge said about one role's answers."""

    role: str
    reviewed: int
    disagreed: int = Field(
        description="The kept answer does not answer the question, or not as the model did."
    )
    removed: int = Field(description="Answers that are used no more; several uses can be of one answer.")
    left: int = Field(
        description="Not looked at: the day's money for the role is spent, or the judge failed."
    )
    usd: Decimal = Field(description="What the judge cost.")


class CacheReviewResult(BaseModel):
    """What was looked at, by role."""

    roles: list[RoleReview]
    models: list[str]
