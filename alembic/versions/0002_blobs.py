"""Large prompts and answers, stored once."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=43), nullable=False),
        sa.Column("is_node", sa.Boolean(), nullable=False),
        sa.Column("content", columns.LongText(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "hash", name="pk_blobs"),
        **MARIADB,
    )
    with op.batch_alter_table("calls") as calls:
        calls.alter_column("request", existing_type=columns.Json(), nullable=True)
        calls.add_column(sa.Column("request_hash", sa.String(length=43), nullable=True))
        calls.add_column(sa.Column("response_hash", sa.String(length=43), nullable=True))


def downgrade() -> None:
    # What stands in blobs is lost; the calls and what they cost are not.
    op.execute("UPDATE calls SET request = '{}' WHERE request IS NULL")
    with op.batch_alter_table("calls") as calls:
        calls.drop_column("response_hash")
        calls.drop_column("request_hash")
        calls.alter_column("request", existing_type=columns.Json(), nullable=False)
    op.drop_table("blobs")
