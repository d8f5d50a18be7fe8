"""Chats, their messages, and the pipeline that answers one."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

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
        description="For an answer: `models` (the deployments that answered), `program` (its name) and"
        " `check` (of a careful turn, else null).",
    )
    created_at: datetime


class Chat(BaseModel):
    """A conversation."""

    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    messages: int = Field(0, description="How many messages it holds.")
    cost_usd: Decimal = Decimal(0)
