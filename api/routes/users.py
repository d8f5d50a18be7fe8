"""People of this server, as its administrators see them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.routes.sign_in import BODY
from contracts.people import Email, Password, PersonName, Role, Scope, User
from database.people import personal, users
from runtime.errors import NotAllowed

router = APIRouter(prefix="/users", tags=["people"], route_class=StrictRoute)

Writer = Annotated[Caller, needs(Scope.USERS_WRITE)]
READS, WRITES = [needs(Scope.USERS_READ)], [needs(Scope.USERS_WRITE)]


class NewUser(BaseModel):
    """Somebody to let in."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    name: PersonName = ""
    role: Role = Role.USER
    password: Password | None = Field(None, description="Without one they cannot sign in by password.")
    email_verified: bool = Field(
        False, description="You know that the address is theirs: they may come by GitHub without a link."
    )


class UserChange(BaseModel):
    """What to change about somebody; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: PersonName | None = None
    role: Role | None = None
    disabled: bool | None = None
    email_verified: bool | None = None


class UserPage(BaseModel):
    """Some of the server's people."""

    items: list[User]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post("", status_code=201, responses=errors("email_taken", "no_people", "busy", *BODY))
async def create_user(
    body: NewUser, caller: Writer, response: Response, resources: ResourcesNow, by: DoerNow
) -> User:
    """Let somebody in."""
    caller.person()
    hashed = await _hashed(resources, body.password)
    user = await resources.database.write(
        users.create_user,
        by,
        email=body.email,
        name=body.name,
        role=body.role,
        password_hash=hashed,
        email_verified=body.email_verified,
    )
    response.headers["Location"] = f"/api/v1/users/{user.id}"
    return user


@router.get("", responses=errors("bad_cursor", "invalid_parameters"), dependencies=READS)
async def list_users(
    resources: ResourcesNow,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> UserPage:
    """List people, the newest first."""
    async with resources.database.read() as session:
        page = await users.list_users(session, limit=limit, cursor=cursor)
    return UserPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{user_id}", responses=errors("user_not_found", "invalid_parameters"), dependencies=READS)
async def get_user(user_id: UUID, resources: ResourcesNow) -> User:
    """Show one person."""
    async with resources.database.read() as session:
        return await users.get_user(session, user_id)


@router.patch("/{user_id}", responses=errors("user_not_found", "last_admin", *BODY), dependencies=WRITES)
async def change_user(
    user_id: UUID,
    body: UserChange,
    resources: ResourcesNow,
    by: DoerNow,
) -> User:
    """Change somebody's name or role, or keep them out (`disabled`): their sign-ins and keys end."""
    user = await resources.database.write(users.change_user, by, user_id, **body.model_dump())
    if resources.people is not None:
        resources.people.guard.known.forget(user_id)
    return user


@router.delete(
    "/{user_id}",
    status_code=204,
    responses=errors("user_not_found", "last_admin", "runs_under_way", "invalid_parameters"),
    dependencies=WRITES,
)
async def erase_user(user_id: UUID, resources: ResourcesNow, by: DoerNow) -> None:
    """Erase somebody: all of their own space is deleted for good, and nothing here tells who they were.

    What they did in projects stays the projects'. The audit log keeps their id.
    """
    async with resources.database.read() as session:
        await users.get_user(session, user_id)
    await resources.database.write(personal.erase_person, by, user_id)
    if resources.people is not None:
        resources.people.guard.known.forget(user_id)


async def _hashed(resources: Resources, password: str | None) -> str | None:
    if password is None:
        return None
    if resources.people is None:
        raise NotAllowed("This server knows no people: it runs with AUTH=none.", "no_people")
    return await resources.people.passwords.hash(password)
