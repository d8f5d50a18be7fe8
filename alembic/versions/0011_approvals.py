"""Questions of runs to people."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("asking", sa.String(length=16), nullable=False),
        sa.Column("step", sa.String(length=255), nullable=False),
        sa.Column("title", columns.LongText(), nullable=False),
        sa.Column("what", columns.Json(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=True),
        sa.Column("result", columns.Json(), nullable=True),
        sa.Column("comment", columns.LongText(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", columns.UtcDateTime(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.UniqueConstraint("run_id", "step", "digest", name="uq_approvals_run_id_step_digest"),
        **MARIADB,
    )
    op.create_index("ix_approvals_owner_status_id", "approvals", ["owner", "status", "id"])
    op.create_index("ix_approvals_owner_id", "approvals", ["owner", "id"])


def downgrade() -> None:
    op.drop_table("approvals")
