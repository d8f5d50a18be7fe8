"""The arena: tasks, answers, matches and votes."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "arena_tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("input", columns.Json(), nullable=False),
        sa.Column("reference", columns.LongText(), nullable=True),
        sa.Column("meta", columns.Json(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_arena_tasks"),
        **MARIADB,
    )
    op.create_index("ix_arena_tasks_owner_run_id", "arena_tasks", ["owner", "run_id"])
    op.create_table(
        "arena_answers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("contestant", sa.String(length=200), nullable=False),
        sa.Column("answer", columns.LongText(), nullable=True),
        sa.Column("error", columns.Json(), nullable=True),
        sa.Column("cost_usd", columns.Money(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_arena_answers"),
        **MARIADB,
    )
    op.create_index(
        "ix_arena_answers_owner_kind_contestant", "arena_answers", ["owner", "kind", "contestant"]
    )
    op.create_index("ix_arena_answers_task_id", "arena_answers", ["task_id"])
    op.create_table(
        "arena_matches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("one_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("one", sa.String(length=200), nullable=False),
        sa.Column("other", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=True),
        sa.Column("why", sa.String(length=8), nullable=True),
        sa.Column("consistent", sa.Boolean(), nullable=True),
        sa.Column("open_to_people", sa.Boolean(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_arena_matches"),
        **MARIADB,
    )
    op.create_index("ix_arena_matches_owner_kind_id", "arena_matches", ["owner", "kind", "id"])
    op.create_index(
        "ix_arena_matches_owner_open_to_people_votes", "arena_matches", ["owner", "open_to_people", "votes"]
    )
    op.create_table(
        "arena_votes",
        sa.Column("match_id", sa.Uuid(), nullable=False),
        sa.Column("voter", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("choice", sa.String(length=8), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("match_id", "voter", name="pk_arena_votes"),
        **MARIADB,
    )
    op.create_index("ix_arena_votes_owner_voter", "arena_votes", ["owner", "voter"])


def downgrade() -> None:
    for table in ("arena_votes", "arena_matches", "arena_answers", "arena_tasks"):
        op.drop_table(table)
