"""Projects and their members. Who is no member does not see that a project exists."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.people import Member, Project, Role
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.statements import AnySelect
from database.tables import MemberRow, ProjectRow, UserRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotAllowed, NotFound
from runtime.ids import new_id

_PROJECTS = core(ProjectRow)
_MEMBERS = core(MemberRow)
MOST_MEMBERS = 200


async def create_project(session: WriteSession, by: Doer, user_id: UUID, name: str) -> Project:
    """Make a project; its maker administers it."""
    at, project_id = utcnow(), new_id()
    values = {"id": project_id, "name": name, "created_at": at, "updated_at": at}
    await session.execute(sa.insert(_PROJECTS).values(values))
    await _add(session, project_id, user_id, Role.ADMIN)
    await record(session, by, "project.created", f"project:{project_id}", name=name)
    return await get_project(session, user_id, project_id)


async def get_project(session: ReadSession, user_id: UUID, project_id: UUID) -> Project:
    """Return one project of a member.

    Raises:
        NotFound: `project_not_found`.
    """
    row = (await session.execute(_query(user_id).where(ProjectRow.id == project_id))).one_or_none()
    if row is None:
        raise project_not_found(project_id)
    return Project.model_validate(row, from_attributes=True)


async def list_projects(
    session: ReadSession, user_id: UUID, *, limit: int = 50, cursor: str | None = None
) -> Page[Project]:
    """Return a person's projects, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _query(user_id).order_by(ProjectRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(ProjectRow.id < cursor_id(cursor))
    items = [Project.model_validate(row, from_attributes=True) for row in await session.execute(query)]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def rename_project(
    session: WriteSession, by: Doer, user_id: UUID, project_id: UUID, name: str
) -> Project:
    """Rename a project.

    Raises:
        NotFound: `project_not_found`.
        NotAllowed: `project_admin_needed`.
    """
    await _administered(session, user_id, project_id)
    await _change(session, project_id, name=name)
    await record(session, by, "project.renamed", f"project:{project_id}", name=name)
    return await get_project(session, user_id, project_id)


async def delete_project(session: WriteSession, by: Doer, user_id: UUID, project_id: UUID) -> None:
    """Delete a project softly: nobody is in it any more, and none of its keys works.

    Raises:
        NotFound: `project_not_found`.
        NotAllowed: `project_admin_needed`.
    """
    await _administered(session, user_id, project_id)
    await _change(session, project_id, deleted_at=utcnow())
    await record(session, by, "project.deleted", f"project:{project_id}")


async def list_members(session: ReadSession, user_id: UUID, project_id: UUID) -> list[Member]:
    """Return who is in a project of a member, in the order of their coming.

    Raises:
        NotFound: `project_not_found`.
    """
    await get_project(session, user_id, project_id)
    query = (
        sa.select(MemberRow.user_id, MemberRow.role, MemberRow.added_at, UserRow.email, UserRow.name)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .where(MemberRow.project_id == project_id)
        .order_by(MemberRow.added_at, MemberRow.user_id)
    )
    return [Member.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def set_member(
    session: WriteSession, by: Doer, user_id: UUID, project_id: UUID, email: str, role: Role
) -> list[Member]:
    """Let somebody in under a role, or give a member another one; return who is in it now.

    Raises:
        NotFound: `project_not_found`, or `user_not_found`: nobody of this server has the address.
        NotAllowed: `project_admin_needed`.
        Conflict: `last_admin` or `project_full`.
    """
    await _administered(session, user_id, project_id)
    query = sa.select(UserRow.id).where(UserRow.email == email, UserRow.erased_at.is_(None))
    other = (await session.execute(query)).scalar_one_or_none()
    if other is None:
        raise NotFound("Nobody of this server has this email address.", "user_not_found")
    members = await _admins(session, project_id)
    if role != Role.ADMIN and members == {other}:
        raise _last_admin()
    if len(await list_members(session, user_id, project_id)) >= MOST_MEMBERS:
        raise Conflict(f"A project has at most {MOST_MEMBERS} members.", "project_full")
    await _add(session, project_id, other, role)
    await record(session, by, "project.member_set", f"project:{project_id}", user=str(other), role=role)
    return await list_members(session, user_id, project_id)


async def remove_member(
    session: WriteSession, by: Doer, user_id: UUID, project_id: UUID, member: UUID
) -> None:
    """Take somebody out of a project, or leave it oneself; removing nobody changes nothing.

    Raises:
        NotFound: `project_not_found`.
        NotAllowed: `project_admin_needed`.
        Conflict: `last_admin`.
    """
    if member == user_id:
        await get_project(session, user_id, project_id)
    else:
        await _administered(session, user_id, project_id)
    if await _admins(session, project_id) == {member}:
        raise _last_admin()
    here = (_MEMBERS.c.project_id == project_id, _MEMBERS.c.user_id == member)
    await session.execute(sa.delete(_MEMBERS).where(*here))
    await record(session, by, "project.member_removed", f"project:{project_id}", user=str(member))


def project_not_found(project_id: UUID) -> NotFound:
    """Return the error for a project that is not there, or not the caller's."""
    return NotFound(f"There is no project {project_id}.", "project_not_found")


def _query(user_id: UUID) -> AnySelect:
    columns = (ProjectRow.id, ProjectRow.name, ProjectRow.created_at, ProjectRow.updated_at, MemberRow.role)
    return (
        sa.select(*columns)
        .join(MemberRow, MemberRow.project_id == ProjectRow.id)
        .where(MemberRow.user_id == user_id, ProjectRow.deleted_at.is_(None))
    )


async def _administered(session: WriteSession, user_id: UUID, project_id: UUID) -> None:
    if (await get_project(session, user_id, project_id)).role != Role.ADMIN:
        raise NotAllowed("Only an administrator of the project may do this.", "project_admin_needed")


async def _admins(session: WriteSession, project_id: UUID) -> set[UUID]:
    query = sa.select(MemberRow.user_id).where(
        MemberRow.project_id == project_id, MemberRow.role == Role.ADMIN
    )
    return set((await session.execute(query.with_for_update())).scalars())


async def _add(session: WriteSession, project_id: UUID, user_id: UUID, role: Role) -> None:
    here = (_MEMBERS.c.project_id == project_id, _MEMBERS.c.user_id == user_id)
    await session.execute(sa.delete(_MEMBERS).where(*here))
    values = {"project_id": project_id, "user_id": user_id, "role": role, "added_at": utcnow()}
    await session.execute(sa.insert(_MEMBERS).values(values))


async def _change(session: WriteSession, project_id: UUID, **values: Any) -> None:
    changed = {"updated_at": utcnow(), **values}
    await session.execute(sa.update(_PROJECTS).where(_PROJECTS.c.id == project_id).values(changed))


def _last_admin() -> Conflict:
    return Conflict("This is the project's last administrator; make another one first.", "last_admin")
