"""Which attempt asked for a call first and last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMES = ("first_attempt", "asked_attempt")


def upgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        for name in NAMES:
            calls.add_column(sa.Column(name, sa.Integer(), nullable=True))
    op.execute("UPDATE calls SET first_attempt = attempt, asked_attempt = attempt")
    with op.batch_alter_table("calls") as calls:
        for name in NAMES:
            calls.alter_column(name, existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        for name in NAMES:
            calls.drop_column(name)
