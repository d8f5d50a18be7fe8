"""Feedback of guests, which is told to a chat's owner and decides nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feedback", sa.Column("guest", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("feedback", "guest")
