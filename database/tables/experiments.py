"""Experiments, who met which arm of them, and which runs did."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Double, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from contracts.experiments import NAME_CHARS
from database.columns import Json, LongText
from database.tables.table import OWNER_CHARS, Table, table_args

ARM_CHARS = 64
SUBJECT_CHARS = 128


class ExperimentRow(Table):
    """Versions of a program, or models of a role, that answer an owner's runs side by side."""

    __tablename__ = "experiments"
    __table_args__ = table_args(UniqueConstraint("owner", "busy"), Index(None, "owner", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(OWNER_CHARS))
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    kind: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(100))
    # `kind:target` while it runs, so that only one does; else none.
    busy: Mapped[str | None] = mapped_column(String(128))
    arms: Mapped[Any] = mapped_column(Json)
    by: Mapped[str] = mapped_column(String(16))
    metric: Mapped[str] = mapped_column(String(16))
    largest: Mapped[float | None] = mapped_column(Double)
    alpha: Mapped[float] = mapped_column(Double)
    auto_stop: Mapped[bool]
    status: Mapped[str] = mapped_column(String(16))
    winner: Mapped[str | None] = mapped_column(String(ARM_CHARS))
    started_by: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None] = mapped_column(LongText)
    # When a worker looked last whether it is decided.
    looked_at: Mapped[datetime | None]


class ExperimentSubjectRow(Table):
    """A chat or user that met its arm, once; no foreign keys, as run_events."""

    __tablename__ = "experiment_subjects"
    __table_args__ = table_args()

    experiment_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(SUBJECT_CHARS), primary_key=True)
    arm: Mapped[str] = mapped_column(String(ARM_CHARS))
    run_id: Mapped[UUID]
    at: Mapped[datetime]


class ExperimentRunRow(Table):
    """The arm of a run, in all of its attempts; `met_at` once it was asked. No foreign keys."""

    __tablename__ = "experiment_runs"
    __table_args__ = table_args(Index(None, "experiment_id", "run_id"))

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    experiment_id: Mapped[UUID] = mapped_column(primary_key=True)
    arm: Mapped[str] = mapped_column(String(ARM_CHARS))
    subject: Mapped[str] = mapped_column(String(SUBJECT_CHARS))
    met_at: Mapped[datetime | None]
