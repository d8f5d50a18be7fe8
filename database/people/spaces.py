"""Spaces: what everything belongs to, and which of them somebody can work in."""

from uuid import UUID

import sqlalchemy as sa

from contracts.people import LOCAL_SPACE, project_space, user_space
from database.engine import ReadSession
from database.tables import ProjectRow, UserRow
from runtime.errors import BadInput


async def require_space(session: ReadSession, space: str) -> None:
    """Do nothing for `local`, and for the space of a person or of a project that is there.

    Raises:
        BadInput: `unknown_space`.
    """
    if space != LOCAL_SPACE and not await _is_there(session, space):
        raise BadInput(
            f"{space!r} is nobody's space: let the deployment's job variable `owner` be `local`, `user:` with"
            " the id of a person who may sign in, or `project:` with the id of a project",
            "unknown_space",
        )


async def _is_there(session: ReadSession, space: str) -> bool:
    try:
        found = UUID(space.partition(":")[2])
    except ValueError:
        return False
    # Compared as it is written everywhere: another spelling of the same id would be another space.
    if space == user_space(found):
        query = sa.select(UserRow.id).where(UserRow.id == found, UserRow.disabled_at.is_(None))
        query = query.where(UserRow.erased_at.is_(None))
    elif space == project_space(found):
        query = sa.select(ProjectRow.id).where(ProjectRow.id == found, ProjectRow.deleted_at.is_(None))
    else:
        return False
    return (await session.execute(query)).first() is not None
