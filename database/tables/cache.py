"""Answers that are kept to be used again, and what that saved."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongBlob, LongText
from database.tables.table import OWNER_CHARS, Table, table_args


class CacheEntryRow(Table):
    """An answer under the key of its question; the owner is part of the key."""

    __tablename__ = "cache_entries"
    __table_args__ = table_args(Index(None, "expires_at"), Index(None, "used_at"), Index(None, "owner"))

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    role: Mapped[str] = mapped_column(String(64))
    response: Mapped[dict[str, Any]]
    deployment: Mapped[str] = mapped_column(String(200))
    model: Mapped[str] = mapped_column(String(200))
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[float] = mapped_column(Double)
    size: Mapped[int]
    hits: Mapped[int]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class CacheClaimRow(Table):
    """A question that a worker asks for all: until the lease ends, the others wait for its answer."""

    __tablename__ = "cache_claims"
    __table_args__ = table_args(Index(None, "expires_at"), Index(None, "owner"))

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    claim_id: Mapped[UUID]
    expires_at: Mapped[datetime]


class CacheDayRow(Table):
    """What the cache did on a day (UTC) for an owner's role. Evictions stand under the empty owner."""

    __tablename__ = "cache_days"
    __table_args__ = table_args()

    owner: Mapped[str] = mapped_column(String(OWNER_CHARS), primary_key=True)
    role: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    hits: Mapped[int]
    misses: Mapped[int]
    kept: Mapped[int]
    evicted: Mapped[int]
    saved_usd: Mapped[Decimal]
    saved_ms: Mapped[float] = mapped_column(Double)
    # Of the hits, those by another question; what shadow mode would have answered; what the guard told apart.
    semantic: Mapped[int]
    shadow: Mapped[int]
    guarded: Mapped[int]
    # Answers that people or the judge found wrong; what the judge looked at, and what it cost.
    wrong: Mapped[int]
    reviewed: Mapped[int]
    disagreed: Mapped[int]
    review_usd: Mapped[Decimal]


class CacheQuestionRow(Table):
    """A question whose answer stands in `cache_entries` under the same key, for others that mean the same."""

    __tablename__ = "cache_questions"
    __table_args__ = table_args(Index(None, "owner", "role", "created_at"), Index(None, "created_at"))

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    role: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(LongText)
    # Little-endian float32, of unit length.
    vector: Mapped[bytes] = mapped_column(LongBlob)
    size: Mapped[int]
    created_at: Mapped[datetime]


class CacheReuseRow(Table):
    """A use of a kept answer for another question, to be looked at by the judge."""

    __tablename__ = "cache_reuses"
    __table_args__ = table_args(Index(None, "owner", "reviewed_at"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    role: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))
    question: Mapped[str] = mapped_column(LongText)
    kept_question: Mapped[str] = mapped_column(LongText)
    kept_answer: Mapped[str] = mapped_column(LongText)
    fresh_answer: Mapped[str | None] = mapped_column(LongText)
    similarity: Mapped[float] = mapped_column(Double)
    verdict: Mapped[str | None] = mapped_column(String(16))
    created_at: Mapped[datetime]
    reviewed_at: Mapped[datetime | None]


class CacheWrongRow(Table):
    """An answer that was found to be wrong and removed: all workers forget it."""

    __tablename__ = "cache_wrongs"
    __table_args__ = table_args(Index(None, "found_at"), Index(None, "owner", "key"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    role: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))
    # `person` or `judge`.
    found_by: Mapped[str] = mapped_column(String(16))
    found_at: Mapped[datetime]
