"""Who asks a question that several workers want answered."""

import sqlalchemy as sa
from alembic import op

from database import columns
from database.tables.table import MARIADB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cache_claims",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cache_claims"),
        **MARIADB,
    )
    for column in ("expires_at", "owner"):
        op.create_index(f"ix_cache_claims_{column}", "cache_claims", [column])


def downgrade() -> None:
    op.drop_table("cache_claims")
