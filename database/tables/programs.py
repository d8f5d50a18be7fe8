"""Programs, their versions, and what was decided about them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json, LongText
from database.tables.table import OWNER_CHARS, Table, table_args

PROGRAM_CHARS = 100


class ProgramRow(Table):
    """A thinking program of the running code, as the newest worker registered it."""

    __tablename__ = "programs"
    __table_args__ = table_args(UniqueConstraint("name"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(PROGRAM_CHARS))
    title: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(64))
    signature: Mapped[dict[str, Any]]
    signature_fingerprint: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str | None] = mapped_column(String(16))
    inputs: Mapped[dict[str, Any]]
    expects: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ProgramVersionRow(Table):
    """One owner's state (instructions, demos) of a program, with where it came from.

    Demos are made of an owner's examples: a version never answers another owner.
    """

    __tablename__ = "program_versions"
    __table_args__ = table_args(
        UniqueConstraint("program_id", "owner", "version"),
        UniqueConstraint(
            # MariaDB's names end at 64 characters.
            *("program_id", "owner", "content_hash", "signature_fingerprint", "deployment"),
            name="uq_program_versions_content",
        ),
        Index(None, "owner", "status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    program_id: Mapped[UUID] = mapped_column(ForeignKey("programs.id"))
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    version: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    # Of the chats or runs, while the version is a canary.
    canary_percent: Mapped[float | None] = mapped_column(Double)
    origin: Mapped[str] = mapped_column(String(16))
    state: Mapped[dict[str, Any]]
    content_hash: Mapped[str] = mapped_column(String(64))
    signature: Mapped[dict[str, Any]]
    signature_fingerprint: Mapped[str] = mapped_column(String(64))
    parent_id: Mapped[UUID | None]
    origin_run_id: Mapped[UUID | None]
    # The person who brought it as a file; what a run made is that run's.
    imported_by: Mapped[str | None] = mapped_column(String(OWNER_CHARS))
    # The version of another program that it took something over from.
    offered_by: Mapped[UUID | None]
    # Of providers.yaml; empty: as the role's route says. Not null, because nulls are never equal in a key.
    deployment: Mapped[str] = mapped_column(String(64), server_default="")
    scores: Mapped[dict[str, Any] | None]
    note: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime]


class ProgramChangeRow(Table):
    """One line of the audit trail: who served what from when on, and why."""

    __tablename__ = "program_changes"
    __table_args__ = table_args(Index(None, "program_id", "owner", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    program_id: Mapped[UUID] = mapped_column(ForeignKey("programs.id"))
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    action: Mapped[str] = mapped_column(String(16))
    from_id: Mapped[UUID | None]
    to_id: Mapped[UUID | None]
    done_by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(LongText)
    at: Mapped[datetime]


class RunProgramRow(Table):
    """The version that a run answers with, in all of its attempts. No foreign key, as run_events."""

    __tablename__ = "run_programs"
    __table_args__ = table_args(Index(None, "version_id", "run_id"))

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS), primary_key=True)
    version_id: Mapped[UUID]


class VersionExampleRow(Table):
    """An example that a version was made with: learned from, chosen by, or proved on. No foreign keys."""

    __tablename__ = "version_examples"
    __table_args__ = table_args()

    version_id: Mapped[UUID] = mapped_column(primary_key=True)
    example_id: Mapped[UUID] = mapped_column(primary_key=True)
    split: Mapped[str] = mapped_column(String(16))
