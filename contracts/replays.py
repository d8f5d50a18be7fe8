"""What a resumed attempt found of the calls before it."""

from pydantic import BaseModel, Field


class Replay(BaseModel):
    """How the last attempt of a run fits to what those before it recorded."""

    replayed: int = Field(description="Calls that the ledger answered, paid for by an earlier attempt.")
    changed: int = Field(
        description="New calls of steps that had other ones before: the program, the code or what a step was"
        " given has changed, so they were made and paid, and answered from no old row."
    )
    left_behind: int = Field(description="Finished calls of earlier attempts that this one did not ask for.")
    steps: list[str] = Field(default_factory=list, description="The steps with such differences, by name.")
