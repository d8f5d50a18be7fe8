"""Kept answers, what they saved, and which calls they answered."""

import sqlalchemy as sa
from alembic import op

from database import columns
from database.tables.table import MARIADB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cache_entries",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("response", columns.Json(), nullable=False),
        sa.Column("deployment", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", columns.Money(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("used_at", columns.UtcDateTime(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cache_entries"),
        **MARIADB,
    )
    for column in ("expires_at", "used_at", "owner"):
        op.create_index(f"ix_cache_entries_{column}", "cache_entries", [column])
    op.create_table(
        "cache_days",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("evicted", sa.Integer(), nullable=False),
        sa.Column("saved_usd", columns.Money(), nullable=False),
        sa.Column("saved_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "role", "day", name="pk_cache_days"),
        **MARIADB,
    )
    op.add_column("calls", sa.Column("cached", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "cached")
    op.drop_table("cache_days")
    op.drop_table("cache_entries")
