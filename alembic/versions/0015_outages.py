"""Since when a run waits for a provider."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("stalled_since", columns.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "stalled_since")
