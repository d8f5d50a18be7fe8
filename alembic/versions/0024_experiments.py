"""Experiments, who met which arm of them, and which runs did."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=100), nullable=False),
        sa.Column("busy", sa.String(length=128), nullable=True),
        sa.Column("arms", columns.Json(), nullable=False),
        sa.Column("by", sa.String(length=16), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("largest", sa.Double(), nullable=True),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("auto_stop", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("winner", sa.String(length=64), nullable=True),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("started_at", columns.UtcDateTime(), nullable=False),
        sa.Column("ended_at", columns.UtcDateTime(), nullable=True),
        sa.Column("ended_why", columns.LongText(), nullable=True),
        sa.Column("looked_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("owner", "busy", name="uq_experiments_owner_busy"),
        **MARIADB,
    )
    op.create_index("ix_experiments_owner_id", "experiments", ["owner", "id"])
    op.create_table(
        "experiment_subjects",
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("arm", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "subject", name="pk_experiment_subjects"),
        **MARIADB,
    )
    op.create_table(
        "experiment_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("arm", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("met_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "experiment_id", name="pk_experiment_runs"),
        **MARIADB,
    )
    op.create_index("ix_experiment_runs_experiment_id_run_id", "experiment_runs", ["experiment_id", "run_id"])


def downgrade() -> None:
    op.drop_table("experiment_runs")
    op.drop_table("experiment_subjects")
    op.drop_table("experiments")
