"""Runs can wait."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("waiting", columns.Json(), nullable=True))
    op.add_column("runs", sa.Column("waits_on", sa.String(length=200), nullable=True))
    op.add_column("runs", sa.Column("wake_at", columns.UtcDateTime(), nullable=True))
    op.create_index("ix_runs_waits_on", "runs", ["waits_on"])
    op.create_index("ix_runs_wake_at", "runs", ["wake_at"])


def downgrade() -> None:
    op.drop_index("ix_runs_wake_at", "runs")
    op.drop_index("ix_runs_waits_on", "runs")
    op.drop_column("runs", "wake_at")
    op.drop_column("runs", "waits_on")
    op.drop_column("runs", "waiting")
