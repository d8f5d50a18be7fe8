"""Who imported a version: four eyes see that it is their own work."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("program_versions", sa.Column("imported_by", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("program_versions", "imported_by")
