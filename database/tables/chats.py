"""Chats and their messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongText
from database.tables.table import OWNER_CHARS, Table, table_args

TITLE_CHARS = 200


class ChatRow(Table):
    """A conversation."""

    __tablename__ = "chats"
    __table_args__ = table_args(Index(None, "owner", "updated_at", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    title: Mapped[str] = mapped_column(String(TITLE_CHARS), default="")
    # Who answers in it; it may be gone since.
    agent_id: Mapped[UUID | None]
    last_seq: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class ChatShareRow(Table):
    """A chat that its owner has opened to a project, or to one member of it.

    Its id follows from what it says, so that sharing twice is sharing once.
    """

    __tablename__ = "chat_shares"
    __table_args__ = table_args(Index(None, "chat_id"), Index(None, "project_id", "chat_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    chat_id: Mapped[UUID] = mapped_column(ForeignKey("chats.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[UUID | None]
    access: Mapped[str] = mapped_column(String(16))
    # It holds while they are in the project.
    shared_by: Mapped[UUID]
    created_at: Mapped[datetime]


class MessageRow(Table):
    """One message. `seq` counts inside its chat: API and worker write to one chat with two clocks."""

    __tablename__ = "messages"
    __table_args__ = table_args(
        UniqueConstraint("chat_id", "seq"),
        UniqueConstraint("run_id", "author"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    chat_id: Mapped[UUID] = mapped_column(ForeignKey("chats.id"))
    seq: Mapped[int]
    author: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(LongText)
    run_id: Mapped[UUID | None]
    meta: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
