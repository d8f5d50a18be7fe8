"""Questions that others can find by what they mean, what the judge says of that, and hits in the ledger."""

import sqlalchemy as sa
from alembic import op

from database import columns

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MARIADB = {"mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin"}
COUNTS = ("semantic", "shadow", "guarded", "wrong", "reviewed", "disagreed")


def upgrade() -> None:
    op.create_table(
        "cache_questions",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("text", columns.LongText(), nullable=False),
        sa.Column("vector", columns.LongBlob(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cache_questions"),
        **MARIADB,
    )
    op.create_index(
        "ix_cache_questions_owner_role_created_at", "cache_questions", ["owner", "role", "created_at"]
    )
    op.create_index("ix_cache_questions_created_at", "cache_questions", ["created_at"])
    op.create_table(
        "cache_reuses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("question", columns.LongText(), nullable=False),
        sa.Column("kept_question", columns.LongText(), nullable=False),
        sa.Column("kept_answer", columns.LongText(), nullable=False),
        sa.Column("fresh_answer", columns.LongText(), nullable=True),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("created_at", columns.UtcDateTime(), nullable=False),
        sa.Column("reviewed_at", columns.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_cache_reuses"),
        **MARIADB,
    )
    op.create_index("ix_cache_reuses_owner_reviewed_at", "cache_reuses", ["owner", "reviewed_at"])
    op.create_index("ix_cache_reuses_created_at", "cache_reuses", ["created_at"])
    op.create_table(
        "cache_wrongs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("found_by", sa.String(length=16), nullable=False),
        sa.Column("found_at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cache_wrongs"),
        **MARIADB,
    )
    op.create_index("ix_cache_wrongs_found_at", "cache_wrongs", ["found_at"])
    op.create_index("ix_cache_wrongs_owner_key", "cache_wrongs", ["owner", "key"])
    # Defaults for the rows that are there; the tables have none.
    for name in COUNTS:
        op.add_column("cache_days", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("cache_days", sa.Column("review_usd", columns.Money(), nullable=False, server_default="0"))
    op.add_column("calls", sa.Column("cache_hit", sa.String(length=16), nullable=True))
    op.add_column("calls", sa.Column("cache_key", sa.String(length=64), nullable=True))
    op.add_column("calls", sa.Column("saved_usd", columns.Money(), nullable=True))


def downgrade() -> None:
    for name in ("saved_usd", "cache_key", "cache_hit"):
        op.drop_column("calls", name)
    for name in ("review_usd", *COUNTS[::-1]):
        op.drop_column("cache_days", name)
    op.drop_table("cache_wrongs")
    op.drop_table("cache_reuses")
    op.drop_table("cache_questions")
