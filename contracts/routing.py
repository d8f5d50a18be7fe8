"""Routing that people, experiments and ratings changed while the file stayed as it is."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.programs import MAX_REASON_CHARS

MAX_DEPLOYMENTS = 32
MAX_WEIGHT = 1_000_000
RoleName = Literal["chat", "analyst", "judge", "reflector"]
DeploymentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Weight = Annotated[int, Field(ge=1, le=MAX_WEIGHT)]
Source = Literal["person", "experiment", "arena"]


class NewOverride(BaseModel):
    """Who answers a role instead of those that the file names: in this order, or by weights."""

    model_config = ConfigDict(extra="forbid")

    ask: list[DeploymentName] = Field(
        default_factory=list,
        max_length=MAX_DEPLOYMENTS,
        description="In this order; the others of the file's route stand in behind them.",
        examples=[["gpt"]],
    )
    weights: dict[DeploymentName, Weight] = Field(
        default_factory=dict,
        max_length=MAX_DEPLOYMENTS,
        description="Instead of `ask`: chance says who is first, the others of these stand in.",
    )
    reason: str = Field("", max_length=MAX_REASON_CHARS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.ask) == bool(self.weights):
            raise ValueError("give either ask or weights")
        return self

    def names(self) -> list[str]:
        """Return the deployments that it names."""
        return [*self.ask, *self.weights]


class Override(BaseModel):
    """A role's routing that holds instead of the file's, until it is taken back."""

    model_config = ConfigDict(from_attributes=True)

    role: RoleName
    ask: list[str]
    weights: dict[str, int]
    source: Source = Field(description="Who wanted it: a person, an experiment's winner, or ratings.")
    about: str | None = Field(None, description="The experiment's id, or the kind of task that was rated.")
    set_by: str
    reason: str
    set_at: datetime
    problem: str | None = Field(
        None, description="Why it is ignored: it names a deployment that is not enabled in the file."
    )

    def names(self) -> list[str]:
        """Return the deployments that it names."""
        return [*self.ask, *self.weights]
