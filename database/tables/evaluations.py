"""Evaluations and what each example came to."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.tables.programs import PROGRAM_CHARS
from database.tables.table import OWNER_CHARS, Table, table_args


class EvaluationRow(Table):
    """One measurement of one version of a program, or of two on the same examples."""

    __tablename__ = "evaluations"
    __table_args__ = table_args(Index(None, "owner", "run_id"), Index(None, "version_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    run_id: Mapped[UUID]
    program: Mapped[str] = mapped_column(String(PROGRAM_CHARS))
    version_id: Mapped[UUID]
    against_id: Mapped[UUID | None]
    split: Mapped[str] = mapped_column(String(16))
    metric: Mapped[str] = mapped_column(String(200))
    # Who answered alone for all versions; empty: for each version its own.
    deployment: Mapped[str] = mapped_column(String(64), server_default="")
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class EvaluationResultRow(Table):
    """How one version did on one example. No foreign keys: an example may be deleted."""

    __tablename__ = "evaluation_results"
    __table_args__ = table_args()

    evaluation_id: Mapped[UUID] = mapped_column(primary_key=True)
    version_id: Mapped[UUID] = mapped_column(primary_key=True)
    example_id: Mapped[UUID] = mapped_column(primary_key=True)
    score: Mapped[float] = mapped_column(Double)
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Decimal | None]
    latency_ms: Mapped[float | None] = mapped_column(Double)
