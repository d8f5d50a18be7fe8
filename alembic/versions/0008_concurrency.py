"""Priorities, and one run at a time per concurrency key."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "concurrency_slots",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_concurrency_slots"),
        sa.UniqueConstraint("run_id", name="uq_concurrency_slots_run_id"),
        **MARIADB,
    )
    op.add_column("runs", sa.Column("concurrency_key", sa.String(length=200), nullable=True))
    op.add_column("runs", sa.Column("key_place", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_runs_owner_concurrency_key_key_place", "runs", ["owner", "concurrency_key", "key_place"]
    )
    op.execute(sa.text("UPDATE runs SET priority = 5 WHERE priority = 0"))
    op.create_index("ix_runs_queue", "runs", ["pool", "priority", "available_at", "id"])
    op.drop_index("ix_runs_pool_available_at", "runs")


def downgrade() -> None:
    op.create_index("ix_runs_pool_available_at", "runs", ["pool", "available_at"])
    op.drop_index("ix_runs_queue", "runs")
    op.drop_index("ix_runs_owner_concurrency_key_key_place", "runs")
    op.drop_column("runs", "key_place")
    op.drop_column("runs", "concurrency_key")
    op.drop_table("concurrency_slots")
