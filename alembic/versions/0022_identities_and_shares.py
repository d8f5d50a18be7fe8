"""Identities elsewhere, chats that are shared inside a project, and what a run may do besides asking."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", columns.UtcDateTime(), nullable=True))
    op.add_column("identities", sa.Column("name", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("grants", columns.Json(), nullable=True))
    op.create_table(
        "chat_shares",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("access", sa.String(length=16), nullable=False),
        sa.Column("shared_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name="fk_chat_shares_chat_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_chat_shares_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_shares"),
        **MARIADB,
    )
    op.create_index("ix_chat_shares_chat_id", "chat_shares", ["chat_id"])
    op.create_index("ix_chat_shares_project_id_chat_id", "chat_shares", ["project_id", "chat_id"])


def downgrade() -> None:
    op.drop_table("chat_shares")
    op.drop_column("runs", "grants")
    op.drop_column("identities", "name")
    op.drop_column("users", "email_verified_at")
