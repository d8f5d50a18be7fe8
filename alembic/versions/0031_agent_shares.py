"""Agents that are shared inside a project."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "agent_shares",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("access", sa.String(length=16), nullable=False),
        sa.Column("shared_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_agent_shares_agent_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_agent_shares_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_agent_shares"),
        **MARIADB,
    )
    op.create_index("ix_agent_shares_agent_id", "agent_shares", ["agent_id"])
    op.create_index("ix_agent_shares_project_id_agent_id", "agent_shares", ["project_id", "agent_id"])


def downgrade() -> None:
    op.drop_table("agent_shares")
