"""What the gate recommends, what it measured for that, and what may happen to a program by itself."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json, LongText
from database.tables.programs import PROGRAM_CHARS
from database.tables.table import OWNER_CHARS, Table, table_args

ACTOR_CHARS = 200


class RecommendationRow(Table):
    """A candidate with the evidence for and against it, and what was decided."""

    __tablename__ = "recommendations"
    __table_args__ = table_args(
        UniqueConstraint("run_id"),
        Index(None, "owner", "run_id"),
        Index(None, "owner", "program", "status"),
        Index(None, "candidate_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    # Of the gate; it sorts by time, and the id, which is derived from it, does not.
    run_id: Mapped[UUID]
    origin_run_id: Mapped[UUID | None]
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS))
    candidate_id: Mapped[UUID]
    active_id: Mapped[UUID]
    lineage: Mapped[str] = mapped_column(String(24))
    title: Mapped[str] = mapped_column(LongText)
    severity: Mapped[str] = mapped_column(String(16))
    severity_reasons: Mapped[Any] = mapped_column(Json)
    confidence: Mapped[str] = mapped_column(String(16))
    benefit: Mapped[dict[str, Any] | None]
    notes: Mapped[Any] = mapped_column(Json)
    evidence: Mapped[dict[str, Any]]
    evaluation_ids: Mapped[Any] = mapped_column(Json)
    diff: Mapped[dict[str, Any]]
    worse: Mapped[Any] = mapped_column(Json)
    canary_percent: Mapped[float] = mapped_column(Double)
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    decided_by: Mapped[str | None] = mapped_column(String(ACTOR_CHARS))
    decided_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime]


class ReplayedAnswerRow(Table):
    """What one lane of a gate made of a recorded run. No foreign keys, as run_events."""

    __tablename__ = "replayed_answers"
    __table_args__ = table_args()

    # Of the gate, and of the run that was answered anew.
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    recorded_run_id: Mapped[UUID] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(String(16), primary_key=True)
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    # Where the right answer is known.
    score: Mapped[float | None] = mapped_column(Double)
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[float | None] = mapped_column(Double)


class PolicyRow(Table):
    """An owner's rules for one program."""

    __tablename__ = "program_policies"
    __table_args__ = table_args()

    owner: Mapped[str] = mapped_column(String(OWNER_CHARS), primary_key=True)
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS), primary_key=True)
    policy: Mapped[dict[str, Any]]
    set_by: Mapped[str] = mapped_column(String(ACTOR_CHARS))
    updated_at: Mapped[datetime]
