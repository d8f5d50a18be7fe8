"""Agents and their versions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.agents import AGENT_NAME_CHARS, DESCRIPTION_CHARS
from database.columns import LongText
from database.tables.table import OWNER_CHARS, Table, table_args

ACTOR_CHARS = 64


class AgentRow(Table):
    """An agent; what it says is in its versions."""

    __tablename__ = "agents"
    __table_args__ = table_args(UniqueConstraint("owner", "live_name"), Index(None, "owner", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    name: Mapped[str] = mapped_column(String(AGENT_NAME_CHARS))
    # The name while it is not deleted, and none after: MariaDB has no unique index of some rows only.
    live_name: Mapped[str | None] = mapped_column(String(AGENT_NAME_CHARS))
    description: Mapped[str] = mapped_column(String(DESCRIPTION_CHARS))
    # The newest version's number: what answers.
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class AgentVersionRow(Table):
    """What an agent says of itself. Rows are only ever added."""

    __tablename__ = "agent_versions"
    __table_args__ = table_args(UniqueConstraint("agent_id", "version"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    version: Mapped[int]
    instructions: Mapped[str] = mapped_column(LongText)
    mode: Mapped[str] = mapped_column(String(16))
    made_by: Mapped[str] = mapped_column(String(ACTOR_CHARS))
    created_at: Mapped[datetime]


class AgentShareRow(Table):
    """An agent that its owner has opened to a project, or to one member of it, as `ChatShareRow`."""

    __tablename__ = "agent_shares"
    __table_args__ = table_args(Index(None, "agent_id"), Index(None, "project_id", "agent_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    agent_id: Mapped[UUID] = mapped_column(ForeignKey("agents.id"))
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[UUID | None]
    access: Mapped[str] = mapped_column(String(16))
    # It holds while they are in the project.
    shared_by: Mapped[UUID]
    created_at: Mapped[datetime]
