"""All that belongs to a person, by table: to hand out, and to erase.

Every table stands in one of these groups (a test compares them with the tables), so that a new one cannot
be forgotten: what is not known to belong to somebody can neither be exported nor erased.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import user_space
from contracts.runs import TERMINAL
from database.columns import LongBlob
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, lines_about, record
from database.people.users import refuse_last_admin
from database.tables import ApiKeyRow, Table, UserRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict

# Rows with an `owner`, a space.
OWNED = frozenset(
    {
        *(
            "agents",
            "approvals",
            "blobs",
            "budgets",
            "canaries",
            "chats",
            "concurrency_slots",
            "evaluations",
            "examples",
            "feedback",
            "files",
            "runs",
        ),
        *("webhooks", "api_keys", "program_versions", "program_changes", "cache_entries", "cache_days"),
        *("recommendations", "program_policies"),
        *("cache_questions", "cache_reuses", "cache_wrongs", "cache_claims"),
        *("experiments", "arena_tasks", "arena_answers", "arena_matches", "arena_votes"),
    }
)
# Rows that belong to whom another row belongs: column, and the table it names.
FOLLOWING = {
    "agent_shares": ("agent_id", "agents"),
    "agent_versions": ("agent_id", "agents"),
    "messages": ("chat_id", "chats"),
    "chat_shares": ("chat_id", "chats"),
    "calls": ("run_id", "runs"),
    "canary_looks": ("canary_id", "canaries"),
    "run_events": ("run_id", "runs"),
    "run_programs": ("run_id", "runs"),
    "replayed_answers": ("run_id", "runs"),
    "version_examples": ("version_id", "program_versions"),
    "evaluation_results": ("evaluation_id", "evaluations"),
    "experiment_subjects": ("experiment_id", "experiments"),
    "experiment_runs": ("run_id", "runs"),
    "refresh_tokens": ("session_id", "sessions"),
}
# Rows with a `user_id`.
OF_A_PERSON = frozenset({"identities", "sessions", "project_members"})
# Of the server as a whole. The audit log keeps what was done under ids: its lines about a person are handed
# out to them, and erased with nobody.
SHARED = frozenset(
    {
        *(
            "audit_log",
            "model_days",
            "model_latencies",
            "model_prices",
            "models",
            "programs",
            "projects",
            "routing_overrides",
        ),
        *("users", "workers"),
    }
)
# Of no use to the person, and of use to a thief.
SECRETS = frozenset({("users", "password_hash"), ("api_keys", "hash")})
NOT_EXPORTED = frozenset({"refresh_tokens", "concurrency_slots"})


async def export_person(session: ReadSession, user_id: UUID) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield table and row of all that is in a person's own space, and about the person.

    Secrets and the bytes of files are left out. What is in a project is the project's. The audit log's lines
    about the person come last.
    """
    users = core(UserRow)
    for table, mine in [(users, users.c.id == user_id), *_belonging(user_id)]:
        if table.name in NOT_EXPORTED:
            continue
        columns = [
            column
            for column in table.columns
            if (table.name, column.name) not in SECRETS and not isinstance(column.type, LongBlob)
        ]
        async for row in await session.stream(sa.select(*columns).where(mine)):
            yield table.name, dict(row._mapping)  # noqa: SLF001  SQLAlchemy's public name for it
    api_keys = core(ApiKeyRow)
    keys = await session.scalars(sa.select(api_keys.c.id).where(api_keys.c.user_id == user_id))
    async for row in await session.stream(lines_about(user_id, keys)):
        yield "audit_log", dict(row._mapping)  # noqa: SLF001  as above


async def erase_person(session: WriteSession, by: Doer, user_id: UUID) -> None:
    """Delete every row of a person's own space and about the person; their row stays without a name.

    Raises:
        Conflict: `runs_under_way`, cancel them first; or `last_admin`.
    """
    await refuse_last_admin(session, user_id)
    runs = Table.metadata.tables["runs"]
    under_way = sa.select(sa.func.count()).where(
        runs.c.owner == user_space(user_id), runs.c.status.not_in(TERMINAL)
    )
    if (await session.execute(under_way)).scalar_one():
        raise Conflict("Runs are under way; cancel them and wait for their end.", "runs_under_way")
    # Those that follow another row first: they are found by it.
    for table, mine in _belonging(user_id):
        await session.execute(sa.delete(table).where(mine))
    users = core(UserRow)
    at = utcnow()
    gone = {
        "email": f"erased-{user_id}@erased.invalid",
        "name": "",
        "password_hash": None,
        "disabled_at": at,
        "erased_at": at,
        "updated_at": at,
    }
    await session.execute(sa.update(users).where(users.c.id == user_id).values(gone))
    await record(session, by, "user.erased", f"user:{user_id}")


def _belonging(user_id: UUID) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Yield each table with what makes a row of it this person's; rows that follow others come first."""
    tables = Table.metadata.tables
    for name, (column, parent) in FOLLOWING.items():
        followed = tables[parent]
        mine = sa.select(followed.c.id).where(_own(followed, user_id))
        yield tables[name], tables[name].c[column].in_(mine)
    for name in sorted(OWNED | OF_A_PERSON):
        yield tables[name], _own(tables[name], user_id)


def _own(table: sa.Table, user_id: UUID) -> sa.ColumnElement[bool]:
    if table.name in OF_A_PERSON:
        return table.c.user_id == user_id
    if table.name == "api_keys":
        # Also those that they made for a project: without their maker they do nothing.
        return table.c.user_id == user_id
    return table.c.owner == user_space(user_id)
