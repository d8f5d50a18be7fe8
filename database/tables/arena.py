"""The arena: tasks, answers, matches between two answers, and what people think of them."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from contracts.arena import NAME_CHARS
from database.columns import Json, LongText
from database.tables.table import OWNER_CHARS, Table, table_args

KIND_CHARS = 64
VOTER_CHARS = 128


class ArenaTaskRow(Table):
    """Something that was to be answered."""

    __tablename__ = "arena_tasks"
    __table_args__ = table_args(Index(None, "owner", "run_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(KIND_CHARS))
    input: Mapped[Any] = mapped_column(Json)
    reference: Mapped[str | None] = mapped_column(LongText)
    meta: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ArenaAnswerRow(Table):
    """What one contestant made of a task, what it cost and how long it took."""

    __tablename__ = "arena_answers"
    __table_args__ = table_args(Index(None, "owner", "kind", "contestant"), Index(None, "task_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    task_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(KIND_CHARS))
    contestant: Mapped[str] = mapped_column(String(NAME_CHARS))
    answer: Mapped[str | None] = mapped_column(LongText)
    error: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[datetime]


class ArenaMatchRow(Table):
    """Two answers to one task. `verdict` is the judge's, or follows from what was answered."""

    __tablename__ = "arena_matches"
    __table_args__ = table_args(
        Index(None, "owner", "kind", "id"), Index(None, "owner", "open_to_people", "votes")
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    task_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(KIND_CHARS))
    one_id: Mapped[UUID]
    other_id: Mapped[UUID]
    # Of the contestants, as in the answers.
    one: Mapped[str] = mapped_column(String(NAME_CHARS))
    other: Mapped[str] = mapped_column(String(NAME_CHARS))
    verdict: Mapped[str | None] = mapped_column(String(8))
    why: Mapped[str | None] = mapped_column(String(8))
    consistent: Mapped[bool | None]
    # Both were answered, and differently: there is something to compare.
    open_to_people: Mapped[bool]
    votes: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class ArenaVoteRow(Table):
    """What one person thinks of a match; one vote each."""

    __tablename__ = "arena_votes"
    __table_args__ = table_args(Index(None, "owner", "voter"))

    match_id: Mapped[UUID] = mapped_column(primary_key=True)
    voter: Mapped[str] = mapped_column(String(VOTER_CHARS), primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    choice: Mapped[str] = mapped_column(String(8))
    at: Mapped[datetime]
