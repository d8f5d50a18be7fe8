"""What `alembic` runs: the URL is the settings', the tables are `database.tables`."""

from typing import Any

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from database.migrate import migration_connection
from database.settings import DatabaseSettings
from database.tables import Table


def run(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        # SQLite changes a column by copying the table, and rolls a failed migration back.
        render_as_batch=is_sqlite,
        transactional_ddl=is_sqlite,
        render_item=render_column_type,
    )
    with context.begin_transaction():
        context.run_migrations()


def render_column_type(kind: str, item: Any, _context: AutogenContext) -> str | bool:
    if kind == "type" and type(item).__module__ == "database.columns":
        return f"columns.{type(item).__name__}()"
    return False


if context.is_offline_mode():
    raise SystemExit("Migrations read the database while they run: there is no offline mode.")
if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    with migration_connection(DatabaseSettings().database_url.get_secret_value()) as own:
        run(own)
