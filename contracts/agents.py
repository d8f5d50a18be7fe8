"""Agents: instructions under a name, in versions that never change."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from contracts.chat import Access, ChatMode

AGENT_NAME_CHARS = 64
DESCRIPTION_CHARS = 500
MAX_INSTRUCTIONS_CHARS = 20_000

AgentName = Annotated[
    str,
    # What any client can send as a model's name, and what cannot be taken for an id or for `agent:…`.
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=AGENT_NAME_CHARS),
    Field(description="Also its model name at /v1: no other agent of the space, role or pipeline has it."),
    Field(examples=["contract-clerk"]),
]
Description = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=DESCRIPTION_CHARS),
    Field(description="For people who look for an agent; no model sees it."),
]
Instructions = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_INSTRUCTIONS_CHARS),
    Field(
        description="What the model is told in each turn, with the weight of its owner's word: who it is,"
        " what it answers and how. Never a place for secrets: whoever talks with it can ask for them.",
        examples=["You answer questions about our contracts, in plain words, and name the clause."],
    ),
]
Mode = Annotated[ChatMode, Field(description="How it answers a message that does not say how.")]


class NewAgent(BaseModel):
    """An agent to make; its version 1."""

    model_config = ConfigDict(extra="forbid")

    name: AgentName
    description: Description = ""
    instructions: Annotated[Instructions, Field(min_length=1)]
    mode: Mode = ChatMode.DIRECT


class AgentChange(BaseModel):
    """What to change about an agent. Other instructions or another mode make its next version."""

    model_config = ConfigDict(extra="forbid")

    name: AgentName | None = None
    description: Description | None = None
    instructions: Annotated[Instructions, Field(min_length=1)] | None = None
    mode: Mode | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("name what is to change")
        return self


class Agent(BaseModel):
    """An agent as it answers now."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    access: Access = Field(Access.OWN, description="What the caller may do with it.")
    description: str
    version: int = Field(description="Counts from 1. Runs are bound to the one of the moment they begin at.")
    instructions: str
    mode: ChatMode
    created_at: datetime
    updated_at: datetime


class AgentVersion(BaseModel):
    """What an agent said of itself at a time; it never changes."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    instructions: str
    mode: ChatMode
    made_by: str = Field(description="Who made it: `user:<id>`, `key:<id>` or `local`.")
    created_at: datetime
