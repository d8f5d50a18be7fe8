"""Chats, their messages, and the pipeline that answers one."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.runs import RunError, RunStatus
from runtime.ids import derived_id

MAX_MESSAGE_CHARS = 100_000


class ChatMode(StrEnum):
    """How much thought an answer gets."""

    DIRECT = "direct"
    CAREFUL = "careful"


class ChatTurnParams(BaseModel):
    """One message to answer. Without a chat, the turn opens a new one."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(
        min_length=1,
        max_length=MAX_MESSAGE_CHARS,
        description="What the person says.",
        examples=["What does the warm worker do?"],
    )
    chat_id: UUID | None = Field(None, description="The chat to continue.")
    mode: ChatMode = Field(
        ChatMode.DIRECT,
        description="`careful` reads the context first, drafts, and checks its own draft.",
    )
    context: str = Field(
        "", max_length=MAX_MESSAGE_CHARS, description="Material that the answer should rest on."
    )

    def chat_of(self, run_id: UUID) -> UUID:
        """Return the chat that a run with these parameters speaks in: the given one, or its own new one."""
        return self.chat_id or derived_id(run_id, "chat")

    @property
    def program(self) -> str:
        """The program that answers in this mode."""
        return f"chat.{self.mode}"


class AgentUse(BaseModel):
    """The agent that answered, in which version."""

    id: UUID
    name: str
    version: int


class DraftCheck(BaseModel):
    """What a careful turn found when it checked its own draft."""

    score: float = Field(ge=0, le=1, description="1: supported by the context and complete.")
    problems: list[str] = Field(default_factory=list)
    revised: bool = False


class ChatTurnResult(BaseModel):
    """The answer, where it is stored, and who gave it."""

    chat_id: UUID
    message_id: UUID
    answer: str
    check: DraftCheck | None = None
    models: list[str] = Field(description="The deployments that answered, e.g. `offline`.")
    agent: AgentUse | None = Field(None, description="Whose instructions it followed; none: nobody's.")


class ChatRun(BaseModel):
    """The run of a turn, as far as everybody who may read the chat may know it.

    What it cost, what it was given and which calls it made is its owner's business.
    """

    id: UUID
    status: RunStatus
    error: RunError | None = Field(None, description="Why there is no answer.")
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Author(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"


class Message(BaseModel):
    """One message of a chat."""

    id: UUID
    chat_id: UUID
    author: Author
    content: str
    run_id: UUID | None = Field(None, description="The run that asked or answered it.")
    meta: dict[str, Any] = Field(
        default_factory=dict,
        description="`by`: who said it, where that is not the chat's owner. For an answer: `models` (the"
        " deployments that answered), `program` (its name), `program_version`, `check` (of a careful turn,"
        " else null) and, where an agent answered, `agent` (`id`, `name`, `version`).",
    )
    created_at: datetime


class Access(StrEnum):
    """What somebody may do: all that the owner may; speak in a chat or change an agent; read it or use it."""

    OWN = "own"
    WRITE = "write"
    READ = "read"


class Share(BaseModel):
    """A chat or an agent of somebody's own space, opened to a project that they are in, or to a member."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    project_id: UUID = Field(description="Where it is found: in requests with this `Millrace-Project`.")
    user_id: UUID | None = Field(description="The one member who finds it; null: all of them.")
    access: Access
    created_at: datetime


class Chat(BaseModel):
    """A conversation."""

    id: UUID
    access: Access = Field(Access.OWN, description="What the caller may do with it.")
    title: str
    agent_id: UUID | None = Field(None, description="The agent that answers in it.")
    created_at: datetime
    updated_at: datetime
    messages: int = Field(0, description="How many messages it holds.")
    cost_usd: Decimal | None = Field(
        Decimal(0), description="What its runs have cost, in US dollars; null: only its owner knows."
    )


def said_by(owner: str, person: str | None) -> dict[str, Any]:
    """Return `meta` of what a person says in a chat of `owner`: in one's own space it is oneself."""
    return {} if person is None or person in {owner, "local"} else {"by": person}
