"""Budgets, what a call sets aside, and whose budgets count a run."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("period", sa.String(length=8), nullable=False),
        sa.Column("cap_usd", columns.Money(), nullable=False),
        sa.Column("spent_usd", columns.Money(), nullable=False),
        sa.Column("reserved_usd", columns.Money(), nullable=False),
        sa.Column("resets_at", columns.UtcDateTime(), nullable=True),
        sa.Column("alerted_at", columns.UtcDateTime(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.UniqueConstraint(
            "owner", "subject", "scope", "period", name="uq_budgets_owner_subject_scope_period"
        ),
        **MARIADB,
    )
    op.create_index("ix_budgets_owner_id", "budgets", ["owner", "id"])
    op.add_column("calls", sa.Column("reserved_usd", columns.Money(), nullable=True))
    op.add_column("calls", sa.Column("reserved_for", columns.LongText(), nullable=True))
    for subject in ("parent_id", "chat_id", "agent_id", "project_id"):
        op.add_column("runs", sa.Column(subject, sa.Uuid(), nullable=True))
    op.create_index("ix_runs_parent_id", "runs", ["parent_id"])
    op.create_index("ix_runs_chat_id", "runs", ["chat_id"])


def downgrade() -> None:
    op.drop_index("ix_runs_chat_id", "runs")
    op.drop_index("ix_runs_parent_id", "runs")
    for subject in ("project_id", "agent_id", "chat_id", "parent_id"):
        op.drop_column("runs", subject)
    op.drop_column("calls", "reserved_for")
    op.drop_column("calls", "reserved_usd")
    op.drop_table("budgets")
