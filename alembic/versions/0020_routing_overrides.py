"""Routing that holds instead of the file's."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "routing_overrides",
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("ask", columns.Json(), nullable=False),
        sa.Column("weights", columns.Json(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=True),
        sa.Column("set_by", sa.String(length=200), nullable=False),
        sa.Column("reason", columns.LongText(), nullable=False),
        sa.Column("set_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("role", name="pk_routing_overrides"),
        **MARIADB,
    )


def downgrade() -> None:
    op.drop_table("routing_overrides")
