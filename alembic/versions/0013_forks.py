"""Runs that begin with the calls of another one."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("forked_from", sa.Uuid(), nullable=True))
    op.add_column("calls", sa.Column("copied_from", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("calls", "copied_from")
    op.drop_column("runs", "forked_from")
