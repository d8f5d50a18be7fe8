"""When a run may begin and must have ended, and what Prefect was not told."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("untold_at", "start_at", "deadline_at"):
        op.add_column("runs", sa.Column(name, columns.UtcDateTime(), nullable=True))
    op.create_index("ix_runs_finished_at_deadline_at", "runs", ["finished_at", "deadline_at"])
    op.create_index("ix_runs_untold_at", "runs", ["untold_at"])


def downgrade() -> None:
    op.drop_index("ix_runs_untold_at", "runs")
    op.drop_index("ix_runs_finished_at_deadline_at", "runs")
    for name in ("deadline_at", "start_at", "untold_at"):
        op.drop_column("runs", name)
