"""People, how they prove who they are, and the keys of their programs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.people import EMAIL_CHARS, NAME_CHARS
from database.columns import Json
from database.tables.table import OWNER_CHARS, Table, table_args

HASH_CHARS = 64
PREFIX_CHARS = 16


class UserRow(Table):
    """A person. One who was erased keeps the row, without anything that tells who it was."""

    __tablename__ = "users"
    __table_args__ = table_args(UniqueConstraint("email"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_CHARS))
    name: Mapped[str] = mapped_column(String(NAME_CHARS), default="")
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    email_verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    signed_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


class IdentityRow(Table):
    """What a person is called by another provider of identities.

    `subject` never changes and is nobody else's later; `name` is what people see, and may be both.
    """

    __tablename__ = "identities"
    __table_args__ = table_args(UniqueConstraint("provider", "subject"), Index(None, "user_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(128))
    name: Mapped[str] = mapped_column(String(NAME_CHARS), default="")
    created_at: Mapped[datetime]


class SessionRow(Table):
    """One sign-in, and all refresh tokens that follow from it. Ended, none of them works."""

    __tablename__ = "sessions"
    __table_args__ = table_args(Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None] = mapped_column(String(32))


class RefreshTokenRow(Table):
    """One refresh token, by its hash. Used once it stays, so that a second use is noticed."""

    __tablename__ = "refresh_tokens"
    __table_args__ = table_args(UniqueConstraint("hash"), Index(None, "session_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    hash: Mapped[str] = mapped_column(String(HASH_CHARS))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiKeyRow(Table):
    """A program's key, by its hash. It can do what its scopes say and its maker still may."""

    __tablename__ = "api_keys"
    __table_args__ = table_args(UniqueConstraint("hash"), Index(None, "owner", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    prefix: Mapped[str] = mapped_column(String(PREFIX_CHARS))
    hash: Mapped[str] = mapped_column(String(HASH_CHARS))
    scopes: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
