"""Examples to learn from, and the feedback that they come from."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json, LongText
from database.tables.programs import PROGRAM_CHARS
from database.tables.table import OWNER_CHARS, Table, table_args


class ExampleRow(Table):
    """What a program is given and what it should answer; the same inputs are one example."""

    __tablename__ = "examples"
    __table_args__ = table_args(
        UniqueConstraint("owner", "program", "input_hash"), Index(None, "owner", "program", "split", "id")
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS))
    inputs: Mapped[dict[str, Any]]
    expected: Mapped[dict[str, Any]]
    input_hash: Mapped[str] = mapped_column(String(64))
    split: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))
    run_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None]
    version_id: Mapped[UUID | None]
    feedback_id: Mapped[UUID | None]
    created_at: Mapped[datetime]


class FeedbackRow(Table):
    """What somebody thinks of an answer."""

    __tablename__ = "feedback"
    __table_args__ = table_args(
        Index(None, "owner", "id"), Index(None, "version_id", "id"), Index(None, "run_id")
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    message_id: Mapped[UUID | None]
    program: Mapped[str | None] = mapped_column(String(PROGRAM_CHARS))
    version_id: Mapped[UUID | None]
    score: Mapped[float | None] = mapped_column(Double)
    label: Mapped[str | None] = mapped_column(String(100))
    correction: Mapped[Any | None] = mapped_column(Json)
    comment: Mapped[str | None] = mapped_column(LongText)
    # Who said it, where that is somebody with whom the chat was shared.
    guest: Mapped[str | None] = mapped_column(String(OWNER_CHARS))
    example_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
