"""Webhooks."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.add_column("runs", sa.Column("webhook_url", sa.String(length=2000), nullable=True))
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("body", columns.Json(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("next_try_at", columns.UtcDateTime(), nullable=True),
        sa.Column("deliveries", columns.Json(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        **MARIADB,
    )
    op.create_index("ix_webhooks_next_try_at", "webhooks", ["next_try_at"])
    op.create_index("ix_webhooks_run_id_id", "webhooks", ["run_id", "id"])


def downgrade() -> None:
    op.drop_table("webhooks")
    op.drop_column("runs", "webhook_url")
