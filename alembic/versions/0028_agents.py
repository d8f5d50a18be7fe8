"""Agents with their versions, chats that one answers in, and the version that a run is bound to."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("live_name", sa.String(length=64), nullable=True),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.Column("deleted_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("owner", "live_name", name="uq_agents_owner_live_name"),
        **MARIADB,
    )
    op.create_index("ix_agents_owner_id", "agents", ["owner", "id"])
    op.create_table(
        "agent_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("instructions", columns.LongText(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_agent_versions_agent_id"),
        sa.PrimaryKeyConstraint("id", name="pk_agent_versions"),
        sa.UniqueConstraint("agent_id", "version", name="uq_agent_versions_agent_id_version"),
        **MARIADB,
    )
    op.add_column("chats", sa.Column("agent_id", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("agent_version_id", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("agent_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "agent_version")
    op.drop_column("runs", "agent_version_id")
    op.drop_column("chats", "agent_id")
    op.drop_table("agent_versions")
    op.drop_table("agents")
