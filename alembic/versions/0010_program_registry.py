"""Program registry: versions per owner with their signature, pins of runs, and the audit trail.

Nothing wrote to the two tables of 0001 yet: they are made anew.
"""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.drop_table("program_versions")
    op.drop_table("programs")
    op.create_table(
        "programs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("signature", columns.Json(), nullable=False),
        sa.Column("signature_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("updated_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_programs"),
        sa.UniqueConstraint("name", name="uq_programs_name"),
        **MARIADB,
    )
    op.create_table(
        "program_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("canary_percent", sa.Double(), nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("state", columns.Json(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("signature", columns.Json(), nullable=False),
        sa.Column("signature_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("origin_run_id", sa.Uuid(), nullable=True),
        sa.Column("scores", columns.Json(), nullable=True),
        sa.Column("note", columns.LongText(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_program_versions_program_id"),
        sa.PrimaryKeyConstraint("id", name="pk_program_versions"),
        sa.UniqueConstraint(
            *("program_id", "owner", "content_hash", "signature_fingerprint"),
            name="uq_program_versions_content",
        ),
        sa.UniqueConstraint(
            "program_id", "owner", "version", name="uq_program_versions_program_id_owner_version"
        ),
        **MARIADB,
    )
    op.create_index("ix_program_versions_owner_status", "program_versions", ["owner", "status"])
    op.create_table(
        "program_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=True),
        sa.Column("to_id", sa.Uuid(), nullable=True),
        sa.Column("done_by", sa.String(length=200), nullable=False),
        sa.Column("reason", columns.LongText(), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_program_changes_program_id"),
        sa.PrimaryKeyConstraint("id", name="pk_program_changes"),
        **MARIADB,
    )
    op.create_index(
        "ix_program_changes_program_id_owner_id", "program_changes", ["program_id", "owner", "id"]
    )
    op.create_table(
        "run_programs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "program", name="pk_run_programs"),
        **MARIADB,
    )
    op.create_index("ix_run_programs_version_id_run_id", "run_programs", ["version_id", "run_id"])


def downgrade() -> None:
    for table in ("run_programs", "program_changes", "program_versions", "programs"):
        op.drop_table(table)
    op.create_table(
        "programs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("signature_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_programs"),
        sa.UniqueConstraint("name", name="uq_programs_name"),
        **MARIADB,
    )
    op.create_table(
        "program_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("program_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", columns.Json(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("origin_run_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["programs.id"], name="fk_program_versions_program_id"),
        sa.PrimaryKeyConstraint("id", name="pk_program_versions"),
        sa.UniqueConstraint("program_id", "content_hash", name="uq_program_versions_program_id_content_hash"),
        sa.UniqueConstraint("program_id", "version", name="uq_program_versions_program_id_version"),
        **MARIADB,
    )
