"""Uploaded files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongBlob
from database.tables.table import OWNER_CHARS, Table, table_args

NAME_CHARS = 200


class FileRow(Table):
    """A file with its content."""

    __tablename__ = "files"
    __table_args__ = table_args(Index(None, "owner", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    media_type: Mapped[str] = mapped_column(String(127))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LongBlob)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
