"""Programs and their versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.table import Table, table_args


class ProgramRow(Table):
    """A thinking program by name."""

    __tablename__ = "programs"
    __table_args__ = table_args(UniqueConstraint("name"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    signature_fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class ProgramVersionRow(Table):
    """One state (instructions, demos) of a program, with where it came from."""

    __tablename__ = "program_versions"
    __table_args__ = table_args(
        UniqueConstraint("program_id", "version"),
        UniqueConstraint("program_id", "content_hash"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    program_id: Mapped[UUID] = mapped_column(ForeignKey("programs.id"))
    version: Mapped[int]
    state: Mapped[dict[str, Any]]
    content_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    parent_id: Mapped[UUID | None]
    origin_run_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
