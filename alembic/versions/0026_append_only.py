"""The audit log is only ever added to, whoever asks the database."""

import structlog
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

SAYS = "the audit log is only added to"
# A login that may not make triggers, or may not while the server writes a binary log.
NOT_ALLOWED = frozenset({1142, 1227, 1419})

log = structlog.get_logger()


def upgrade() -> None:
    for change in ("update", "delete"):
        name = f"audit_log_no_{change}"
        if op.get_bind().dialect.name == "sqlite":
            then = f"BEGIN SELECT RAISE(ABORT, '{SAYS}'); END"
            op.execute(f"CREATE TRIGGER {name} BEFORE {change.upper()} ON audit_log {then}")
            continue
        then = f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{SAYS}'"
        try:
            op.execute(f"CREATE TRIGGER {name} BEFORE {change.upper()} ON audit_log {then}")
        except DBAPIError as error:
            if getattr(error.orig, "args", (0,))[0] not in NOT_ALLOWED:
                raise
            # No code of ours changes a line either; docs/auth.md says how to add the triggers by hand.
            log.warning("audit_log_without_triggers", why="this login may not make triggers")


def downgrade() -> None:
    for change in ("update", "delete"):
        op.execute(f"DROP TRIGGER IF EXISTS audit_log_no_{change}")
