"""Versions of programs for one deployment, and those that took something over from another program."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NAME = "uq_program_versions_content"
CONTENT = ["program_id", "owner", "content_hash", "signature_fingerprint"]


def upgrade() -> None:
    with op.batch_alter_table("program_versions") as table:
        table.add_column(sa.Column("offered_by", sa.Uuid(), nullable=True))
        table.add_column(sa.Column("deployment", sa.String(length=64), nullable=False, server_default=""))
        table.drop_constraint(NAME, type_="unique")
        table.create_unique_constraint(NAME, [*CONTENT, "deployment"])
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("deployment", sa.String(length=64), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("evaluations") as table:
        table.drop_column("deployment")
    # What was stored once for each deployment would be stored twice without it.
    op.execute("DELETE FROM program_versions WHERE deployment <> ''")
    with op.batch_alter_table("program_versions") as table:
        table.drop_constraint(NAME, type_="unique")
        table.create_unique_constraint(NAME, CONTENT)
        table.drop_column("deployment")
        table.drop_column("offered_by")
