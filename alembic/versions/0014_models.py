"""The catalogue of models, their prices over time, and how they are doing."""

import sqlalchemy as sa
from alembic import op

from database import columns
from database.tables.table import MARIADB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("roles", columns.Json(), nullable=False),
        sa.Column("context_tokens", sa.Integer(), nullable=True),
        sa.Column("max_output_tokens", sa.Integer(), nullable=True),
        sa.Column("input_per_million", columns.Money(), nullable=True),
        sa.Column("output_per_million", columns.Money(), nullable=True),
        sa.Column("cached_input_per_million", columns.Money(), nullable=True),
        sa.Column("price_source", sa.String(length=16), nullable=True),
        sa.Column("priced_at", columns.UtcDateTime(), nullable=True),
        sa.Column("configured", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("switched_by", sa.String(length=200), nullable=True),
        sa.Column("rests_until", columns.UtcDateTime(), nullable=True),
        sa.Column("answered_at", columns.UtcDateTime(), nullable=True),
        sa.Column("failed_at", columns.UtcDateTime(), nullable=True),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("probed_at", columns.UtcDateTime(), nullable=True),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
        **MARIADB,
    )
    op.create_table(
        "model_prices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("input_per_million", columns.Money(), nullable=True),
        sa.Column("output_per_million", columns.Money(), nullable=True),
        sa.Column("cached_input_per_million", columns.Money(), nullable=True),
        sa.Column("price_source", sa.String(length=16), nullable=True),
        sa.Column("valid_from", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_prices"),
        **MARIADB,
    )
    op.create_index("ix_model_prices_name_valid_from", "model_prices", ["name", "valid_from"])
    op.create_table(
        "model_days",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", columns.Money(), nullable=False),
        sa.Column("unpriced", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "day", name="pk_model_days"),
        **MARIADB,
    )
    op.create_table(
        "model_latencies",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "minute", "bucket", name="pk_model_latencies"),
        **MARIADB,
    )
    op.create_index("ix_model_latencies_minute", "model_latencies", ["minute"])


def downgrade() -> None:
    for table in ("model_latencies", "model_days", "model_prices", "models"):
        op.drop_table(table)
