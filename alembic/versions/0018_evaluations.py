"""Evaluations and what each example came to."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("against_id", sa.Uuid(), nullable=True),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("metric", sa.String(length=200), nullable=False),
        sa.Column("result", columns.Json(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("finished_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
        **MARIADB,
    )
    op.create_index("ix_evaluations_owner_run_id", "evaluations", ["owner", "run_id"])
    op.create_index("ix_evaluations_version_id", "evaluations", ["version_id"])
    op.create_table(
        "evaluation_results",
        sa.Column("evaluation_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("example_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("answer", columns.Json(), nullable=True),
        sa.Column("error", columns.Json(), nullable=True),
        sa.Column("cost_usd", columns.Money(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("evaluation_id", "version_id", "example_id", name="pk_evaluation_results"),
        **MARIADB,
    )


def downgrade() -> None:
    op.drop_table("evaluation_results")
    op.drop_table("evaluations")
