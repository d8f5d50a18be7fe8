"""The models that may be asked, their prices over time, and how they are doing."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import Json
from database.tables.table import Table, table_args

NAME_CHARS = 64


class ModelRow(Table):
    """A deployment of providers.yaml as the workers told it, with the state that all of them share."""

    __tablename__ = "models"
    __table_args__ = table_args()

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(200))
    roles: Mapped[Any] = mapped_column(Json)
    context_tokens: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    input_per_million: Mapped[Decimal | None]
    output_per_million: Mapped[Decimal | None]
    cached_input_per_million: Mapped[Decimal | None]
    price_source: Mapped[str | None] = mapped_column(String(16))
    priced_at: Mapped[datetime | None]
    configured: Mapped[bool]
    enabled: Mapped[bool]
    switched_by: Mapped[str | None] = mapped_column(String(200))
    # By the database's clock, as leases are.
    rests_until: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(64))
    probed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class ModelPriceRow(Table):
    """A price that a model had from a time on: the ledger's costs can be explained by it later."""

    __tablename__ = "model_prices"
    __table_args__ = table_args(Index(None, "name", "valid_from"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    model: Mapped[str] = mapped_column(String(200))
    input_per_million: Mapped[Decimal | None]
    output_per_million: Mapped[Decimal | None]
    cached_input_per_million: Mapped[Decimal | None]
    price_source: Mapped[str | None] = mapped_column(String(16))
    valid_from: Mapped[datetime]


class ModelDayRow(Table):
    """What a model did on a day (UTC, `2026-11-21`), for all workers."""

    __tablename__ = "model_days"
    __table_args__ = table_args()

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    answers: Mapped[int]
    failures: Mapped[int]
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
    cost_usd: Mapped[Decimal]
    unpriced: Mapped[int]


class ModelLatencyRow(Table):
    """How many answers of a minute (since 1970) took how long; bucket -1 counts the failures."""

    __tablename__ = "model_latencies"
    __table_args__ = table_args(Index(None, "minute"))

    name: Mapped[str] = mapped_column(String(NAME_CHARS), primary_key=True)
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    answers: Mapped[int]
