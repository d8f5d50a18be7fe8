"""Canaries and the looks at their results."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("against_id", sa.Uuid(), nullable=False),
        sa.Column("percent", sa.Double(), nullable=False),
        sa.Column("policy", columns.Json(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("started_at", columns.UtcDateTime(), nullable=False),
        sa.Column("due_at", columns.UtcDateTime(), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("ended_by", sa.String(length=200), nullable=True),
        sa.Column("ended_at", columns.UtcDateTime(), nullable=True),
        sa.Column("reason", columns.LongText(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_canaries"),
        **MARIADB,
    )
    op.create_index("ix_canaries_owner_program_id", "canaries", ["owner", "program", "id"])
    op.create_index("ix_canaries_due_at", "canaries", ["due_at"])
    op.create_table(
        "canary_looks",
        sa.Column("canary_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("found", columns.Json(), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("canary_id", "number", name="pk_canary_looks"),
        **MARIADB,
    )


def downgrade() -> None:
    op.drop_table("canary_looks")
    op.drop_table("canaries")
