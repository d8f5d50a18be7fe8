"""Examples and feedback, and what each program takes and gives."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    # Rows that are there belong to versions; the next worker that starts fills the two columns.
    with op.batch_alter_table("programs") as table:
        table.add_column(sa.Column("inputs", columns.Json(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("expects", columns.Json(), nullable=False, server_default="[]"))
    op.create_table(
        "examples",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("program", sa.String(length=100), nullable=False),
        sa.Column("inputs", columns.Json(), nullable=False),
        sa.Column("expected", columns.Json(), nullable=False),
        sa.Column("input_hash", sa.String(length=64), nullable=False),
        sa.Column("split", sa.String(length=16), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("feedback_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_examples"),
        sa.UniqueConstraint("owner", "program", "input_hash", name="uq_examples_owner_program_input_hash"),
        **MARIADB,
    )
    op.create_index("ix_examples_owner_program_split_id", "examples", ["owner", "program", "split", "id"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("program", sa.String(length=100), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("label", sa.String(length=100), nullable=True),
        sa.Column("correction", columns.Json(), nullable=True),
        sa.Column("comment", columns.LongText(), nullable=True),
        sa.Column("example_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        **MARIADB,
    )
    op.create_index("ix_feedback_owner_id", "feedback", ["owner", "id"])
    op.create_index("ix_feedback_version_id_id", "feedback", ["version_id", "id"])
    op.create_index("ix_feedback_run_id", "feedback", ["run_id"])


def downgrade() -> None:
    op.drop_table("feedback")
    op.drop_table("examples")
    with op.batch_alter_table("programs") as table:
        table.drop_column("expects")
        table.drop_column("inputs")
