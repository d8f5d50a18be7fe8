"""Other places where a person may sign in: which of them is whose, and how one is joined to an account.

A provider's word about an address makes somebody who they are here only when both sides know the address to
be theirs. Known there alone, an account that somebody else prepared here under the address would receive
them; known here alone, whoever registers under the address there would get in.
"""

from uuid import UUID

import sqlalchemy as sa

from contracts.people import Identity, Role
from database.engine import ReadSession, WriteSession
from database.people.audit import Doer, record
from database.people.directory import Foreign, identity_of, user_of
from database.people.sessions import end_sessions, known, known_by_session
from database.people.users import create_user
from database.statements import changed_rows, insert_or_existing
from database.tables import IdentityRow, UserRow, core
from runtime.errors import Conflict, NotAllowed, NotAuthenticated, NotFound

_IDENTITIES = core(IdentityRow)
_COLUMNS = [_IDENTITIES.c[name] for name in Identity.model_fields]


async def enter(session: WriteSession, by: Doer, person: Foreign, *, sign_up: bool) -> UUID:
    """Return who signs in, and join the identity to their account when it is not yet.

    Args:
        session: of the transaction.
        by: for the audit log.
        person: as the provider tells; its address must be verified there.
        sign_up: make an account for somebody whom nobody knows here.

    Raises:
        NotAllowed: `email_not_verified` there, `not_invited` or `account_disabled`.
        Conflict: `link_needed`, nobody here has verified that the account of this address is theirs.
    """
    user_id = await user_of(session, person.provider, person.subject)
    if user_id is None:
        user_id = await _by_address(session, by, person, sign_up=sign_up)
        await _join(session, by, user_id, person)
    if await known(session, user_id) is None:
        raise NotAllowed("This account is disabled.", "account_disabled")
    return user_id


async def link(session: WriteSession, by: Doer, user_id: UUID, session_id: UUID, person: Foreign) -> None:
    """Join an identity to the account of somebody who is signed in, whatever its address.

    Raises:
        NotAuthenticated: `bad_token`, their sign-in has ended meanwhile.
        Conflict: `identity_taken`, it is somebody else's here.
    """
    who = await known_by_session(session, session_id)
    if who is None or who.user_id != user_id:
        raise NotAuthenticated("The sign-in that began this has ended. Sign in again.", "bad_token")
    await _join(session, by, user_id, person)


async def list_identities(session: ReadSession, user_id: UUID) -> list[Identity]:
    """Return where else a person may sign in, in the order in which it was joined."""
    query = sa.select(*_COLUMNS).where(_IDENTITIES.c.user_id == user_id).order_by(_IDENTITIES.c.id)
    return [Identity.model_validate(row, from_attributes=True) for row in await session.execute(query)]


async def unlink(
    session: WriteSession, by: Doer, user_id: UUID, identity_id: UUID, *, keep: UUID | None = None
) -> None:
    """Part an identity from its account. Other sign-ins of the person end: they may have come by it.

    Raises:
        NotFound: `identity_not_found`.
        Conflict: `last_way_in`, they could not sign in any more.
    """
    # Locked: two that are parted at once would both see the other one.
    person = sa.select(UserRow.password_hash).where(UserRow.id == user_id).with_for_update()
    password = (await session.execute(person)).scalar_one_or_none()
    others = [each for each in await list_identities(session, user_id) if each.id != identity_id]
    here = (_IDENTITIES.c.id == identity_id, _IDENTITIES.c.user_id == user_id)
    if not await changed_rows(session, sa.delete(_IDENTITIES).where(*here)):
        raise NotFound(f"There is no identity {identity_id}.", "identity_not_found")
    if password is None and not others:
        raise Conflict("It is the only way to sign in: nothing was changed.", "last_way_in")
    await end_sessions(session, user_id, "identity_unlinked", but=keep)
    await record(session, by, "identity.unlinked", f"user:{user_id}", identity=str(identity_id))


async def _by_address(session: WriteSession, by: Doer, person: Foreign, *, sign_up: bool) -> UUID:
    if not person.email_verified:
        raise NotAllowed("The address is not verified where you signed in.", "email_not_verified")
    query = sa.select(UserRow.id, UserRow.email_verified_at).where(
        UserRow.email == person.email, UserRow.erased_at.is_(None)
    )
    found = (await session.execute(query)).one_or_none()
    if found is not None and found.email_verified_at is None:
        raise Conflict(
            "There is an account of this address, and nobody has verified that it is yours. Sign in with its"
            " password and link (POST /api/v1/auth/github/link), or ask an administrator to verify it.",
            "link_needed",
        )
    if found is not None:
        return UUID(str(found.id))
    if not sign_up:
        raise NotAllowed(
            "Nobody of this address is known here. Ask an administrator to let you in.", "not_invited"
        )
    made = await create_user(
        session,
        by,
        email=person.email,
        name=person.name,
        role=Role.USER,
        password_hash=None,
        email_verified=True,
    )
    return made.id


async def _join(session: WriteSession, by: Doer, user_id: UUID, person: Foreign) -> None:
    values = identity_of(user_id, person)
    row = await insert_or_existing(session, _IDENTITIES, values, [_IDENTITIES.c.id, _IDENTITIES.c.user_id])
    if row.user_id != user_id:
        raise Conflict("Somebody else here signs in with it.", "identity_taken")
    if row.id == values["id"]:
        await record(session, by, "identity.linked", f"user:{user_id}", provider=person.provider)
