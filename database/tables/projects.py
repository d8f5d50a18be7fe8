"""Projects: spaces that several people work in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from contracts.people import NAME_CHARS
from database.tables.table import Table, table_args


class ProjectRow(Table):
    """A project; what belongs to it has `project:<id>` as its owner."""

    __tablename__ = "projects"
    __table_args__ = table_args()

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class MemberRow(Table):
    """Somebody's role in a project."""

    __tablename__ = "project_members"
    __table_args__ = table_args(Index(None, "user_id"))

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    added_at: Mapped[datetime]
