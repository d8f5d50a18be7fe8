"""Recommendations of the gate, policies of programs, what a version was made from, and who started a run."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "recommendations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("origin_run_id", sa.Uuid(), nullable=True),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("candidate_id", sa.Uuid(), nullable=False),
        sa.Column("active_id", sa.Uuid(), nullable=False),
        sa.Column("lineage", sa.String(length=24), nullable=False),
        sa.Column("title", columns.LongText(), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("severity_reasons", columns.Json(), nullable=False),
        sa.Column("confidence", sa.String(length=16), nullable=False),
        sa.Column("benefit", columns.Json(), nullable=True),
        sa.Column("notes", columns.Json(), nullable=False),
        sa.Column("evidence", columns.Json(), nullable=False),
        sa.Column("evaluation_ids", columns.Json(), nullable=False),
        sa.Column("diff", columns.Json(), nullable=False),
        sa.Column("worse", columns.Json(), nullable=False),
        sa.Column("canary_percent", sa.Double(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.Column("decided_at", columns.UtcDateTime(), nullable=True),
        sa.Column("reason", columns.LongText(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recommendations"),
        sa.UniqueConstraint("run_id", name="uq_recommendations_run_id"),
        **MARIADB,
    )
    op.create_index("ix_recommendations_owner_run_id", "recommendations", ["owner", "run_id"])
    op.create_index(
        "ix_recommendations_owner_program_status", "recommendations", ["owner", "program", "status"]
    )
    op.create_index("ix_recommendations_candidate_id", "recommendations", ["candidate_id"])
    op.create_table(
        "replayed_answers",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_run_id", sa.Uuid(), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("answer", columns.Json(), nullable=True),
        sa.Column("error", columns.Json(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("cost_usd", columns.Money(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "recorded_run_id", "lane", name="pk_replayed_answers"),
        **MARIADB,
    )
    op.create_table(
        "program_policies",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("policy", columns.Json(), nullable=False),
        sa.Column("set_by", sa.String(length=200), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "program", name="pk_program_policies"),
        **MARIADB,
    )
    op.create_table(
        "version_examples",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("example_id", sa.Uuid(), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "example_id", name="pk_version_examples"),
        **MARIADB,
    )
    op.add_column("programs", sa.Column("kind", sa.String(length=16), nullable=True))
    op.add_column("runs", sa.Column("started_by", sa.String(length=64), nullable=True))
    op.add_column("approvals", sa.Column("needs_scope", sa.String(length=64), nullable=True))
    op.add_column("approvals", sa.Column("not_by", columns.Json(), nullable=True))


def downgrade() -> None:
    for table, column in (
        ("approvals", "not_by"),
        ("approvals", "needs_scope"),
        ("runs", "started_by"),
        ("programs", "kind"),
    ):
        op.drop_column(table, column)
    for table in ("version_examples", "program_policies", "replayed_answers", "recommendations"):
        op.drop_table(table)
