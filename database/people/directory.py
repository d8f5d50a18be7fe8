"""People whose identities another provider keeps, made known here: their rows, roles and projects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa

from contracts.people import Role
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.people.sessions import Known, known
from database.people.users import create_user
from database.statements import insert_or_existing
from database.tables import IdentityRow, MemberRow, ProjectRow, UserRow, core
from runtime.clock import utcnow
from runtime.errors import NotAllowed
from runtime.ids import new_id

_IDENTITIES = core(IdentityRow)
_USERS, _PROJECTS, _MEMBERS = core(UserRow), core(ProjectRow), core(MemberRow)
# A team is the same project for every replica, whoever sees it first.
_TEAMS = UUID("0b9f4f0e-5d57-4c8c-9d0b-3f3f6f2c7a11")
_TEAM_VERSION = 5


@dataclass(frozen=True, slots=True)
class Foreign:
    """A person as another provider tells of them.

    `teams` holds each team's name and the person's role in it, by the provider's id. `role` and `teams` are
    none where the provider does not say: then what is set here counts.
    """

    provider: str
    subject: str
    email: str
    email_verified: bool
    name: str
    role: Role | None = None
    teams: Mapping[str, tuple[str, Role]] | None = None


async def user_of(session: ReadSession, provider: str, subject: str) -> UUID | None:
    """Return who has this identity."""
    here = (IdentityRow.provider == provider, IdentityRow.subject == subject)
    return (await session.execute(sa.select(IdentityRow.user_id).where(*here))).scalar_one_or_none()


async def subject_of(session: ReadSession, provider: str, user_id: UUID) -> str | None:
    """Return what a person is called by a provider."""
    here = (IdentityRow.provider == provider, IdentityRow.user_id == user_id)
    return (await session.execute(sa.select(IdentityRow.subject).where(*here).limit(1))).scalar_one_or_none()


def is_team(project_id: UUID) -> bool:
    """Whether a project is a provider's team: its id is derived (uuid5), that of one made here is a uuid7."""
    return project_id.version == _TEAM_VERSION


def identity_of(user_id: UUID, person: Foreign) -> dict[str, Any]:
    """Return the row that joins a person's identity there to their account here."""
    return {
        "id": new_id(),
        "user_id": user_id,
        "provider": person.provider,
        "subject": person.subject,
        "name": person.name,
        "created_at": utcnow(),
    }


async def make_known(session: WriteSession, by: Doer, person: Foreign) -> Known:
    """Bring our rows up to what the provider tells, and return the person.

    A person whose address somebody has here is the same one only when the provider has verified the address:
    else whoever registers under it there would take the account over.

    Raises:
        NotAllowed: `email_not_verified`, or `account_disabled` here.
    """
    user_id = await user_of(session, person.provider, person.subject)
    if user_id is None:
        user_id = await _link(session, by, person)
    if person.role is not None:
        changed = sa.update(_USERS).where(_USERS.c.id == user_id, _USERS.c.role != person.role)
        await session.execute(changed.values(role=person.role, updated_at=utcnow()))
    if person.teams is not None:
        await _join(session, person.provider, user_id, person.teams)
    found = await known(session, user_id)
    if found is None:
        raise NotAllowed("This account is disabled.", "account_disabled")
    return found


async def _link(session: WriteSession, by: Doer, person: Foreign) -> UUID:
    query = sa.select(UserRow.id).where(UserRow.email == person.email, UserRow.erased_at.is_(None))
    user_id = (await session.execute(query)).scalar_one_or_none()
    if user_id is not None and not person.email_verified:
        raise NotAllowed(
            "Somebody has this email address here, and it is not verified where you signed in.",
            "email_not_verified",
        )
    if user_id is None:
        made = await create_user(
            session,
            by,
            email=person.email,
            name=person.name,
            role=person.role or Role.USER,
            password_hash=None,
            email_verified=person.email_verified,
        )
        user_id = made.id
    values = identity_of(user_id, person)
    row = await insert_or_existing(session, _IDENTITIES, values, [_IDENTITIES.c.user_id])
    await record(session, by, "identity.linked", f"user:{user_id}", provider=person.provider)
    return UUID(str(row.user_id))


async def _join(
    session: WriteSession, provider: str, user_id: UUID, teams: Mapping[str, tuple[str, Role]]
) -> None:
    at = utcnow()
    wanted = {uuid5(_TEAMS, f"{provider}:{team}"): told for team, told in teams.items()}
    query = sa.select(MemberRow.project_id, MemberRow.role).where(MemberRow.user_id == user_id)
    present = {row.project_id: row.role for row in await session.execute(query)}
    for project_id, (name, role) in wanted.items():
        if present.get(project_id) == role:
            continue
        values = {"id": project_id, "name": name, "created_at": at, "updated_at": at}
        await insert_or_existing(session, _PROJECTS, values, [_PROJECTS.c.id])
        here = (_MEMBERS.c.project_id == project_id, _MEMBERS.c.user_id == user_id)
        await session.execute(sa.delete(_MEMBERS).where(*here))
        member = {"project_id": project_id, "user_id": user_id, "role": role, "added_at": at}
        await session.execute(sa.insert(_MEMBERS).values(member))
    # What was made here is not the provider's to end: it has told of teams alone.
    if gone := {each for each in present.keys() - wanted.keys() if is_team(each)}:
        left = (_MEMBERS.c.user_id == user_id, _MEMBERS.c.project_id.in_(gone))
        await session.execute(sa.delete(_MEMBERS).where(*left))
