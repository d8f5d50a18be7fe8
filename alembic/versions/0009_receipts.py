"""The most that a call can cost, kept for its run's receipt."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("most_usd", columns.Money(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("most_usd")
