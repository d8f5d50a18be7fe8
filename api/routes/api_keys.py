"""Keys for programs: made, listed, rotated and revoked."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.tokens import KEY_PREFIX, PREFIX_SHOWN, hashed, new_secret
from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.problems import invalid
from api.resources import Resources, ResourcesNow
from api.routes.sign_in import BODY
from contracts.people import ApiKey, PersonName, Role, Scope
from database.people import keys
from runtime.clock import utcnow
from runtime.errors import NotAllowed

router = APIRouter(prefix="/api-keys", tags=["people"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.KEYS_READ)]
Writer = Annotated[Caller, needs(Scope.KEYS_WRITE)]
MOST_DAYS = 3650


class NewKey(BaseModel):
    """A key to make in the caller's space."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[PersonName, Field(min_length=1, examples=["nightly import"])]
    scopes: list[Scope] = Field(
        min_length=1, max_length=len(Scope), description="What it may do; at most what its maker may."
    )
    expires_in_days: int | None = Field(365, ge=1, le=MOST_DAYS, description="null: it does not expire.")


class Rotation(BaseModel):
    """How to change over to a new key."""

    model_config = ConfigDict(extra="forbid")

    old_works_for_minutes: int = Field(60, ge=0, le=7 * 24 * 60, description="0: the old key ends at once.")


class MadeKey(BaseModel):
    """A key with its secret."""

    key: ApiKey
    secret: str = Field(description="Shown this once; send it as `Authorization: Bearer`.")


class KeyPage(BaseModel):
    """Some keys of the caller's space."""

    items: list[ApiKey]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post("", status_code=201, responses=errors("no_people", *BODY))
async def make_key(
    body: NewKey, caller: Writer, response: Response, resources: ResourcesNow, by: DoerNow
) -> MadeKey:
    """Make a key. It works while its maker may do what it may, and in this space alone."""
    user_id = caller.person()
    beyond = sorted(set(body.scopes) - caller.scopes)
    if beyond:
        raise invalid([("scopes", f"you do not have {', '.join(beyond)} here yourself")])
    secret = new_secret(KEY_PREFIX)
    days = body.expires_in_days
    key = await resources.database.write(
        keys.make_key,
        by,
        user_id,
        project_id=caller.project_id,
        name=body.name,
        prefix=secret[:PREFIX_SHOWN],
        key_hash=hashed(secret),
        scopes=list(dict.fromkeys(body.scopes)),
        expires_at=None if days is None else utcnow() + timedelta(days=days),
    )
    response.headers["Location"] = f"/api/v1/api-keys/{key.id}"
    return MadeKey(key=key, secret=secret)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_keys(
    caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> KeyPage:
    """List one's own keys of this space, newest first; a project's administrator sees all of its keys."""
    async with resources.database.read() as session:
        page = await keys.list_keys(session, caller.owner, _made_by(caller), limit=limit, cursor=cursor)
    return KeyPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{key_id}", responses=errors("key_not_found", "invalid_parameters"))
async def get_key(key_id: UUID, caller: Reader, resources: ResourcesNow) -> ApiKey:
    """Show one key, without its secret."""
    async with resources.database.read() as session:
        return await keys.get_key(session, caller.owner, key_id, _made_by(caller))


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    responses=errors("key_not_found", "not_allowed", "key_of_another", *BODY),
)
async def rotate_key(
    key_id: UUID, body: Rotation, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> MadeKey:
    """Make the next secret of a key of one's own; the old one works on for a while, to change over in."""
    until = utcnow() + timedelta(minutes=body.old_works_for_minutes)
    await _refuse_more_than_own(resources, caller, key_id)
    secret = new_secret(KEY_PREFIX)
    key = await resources.database.write(
        keys.replace_key,
        by,
        key_id,
        caller.person(),
        prefix=secret[:PREFIX_SHOWN],
        key_hash=hashed(secret),
        old_until=until,
    )
    _forget(resources)
    return MadeKey(key=key, secret=secret)


@router.delete("/{key_id}", status_code=204, responses=errors("key_not_found", "invalid_parameters"))
async def revoke_key(key_id: UUID, caller: Writer, resources: ResourcesNow, by: DoerNow) -> None:
    """End a key: here at once, at other replicas within AUTH_CACHE_SECONDS."""
    await resources.database.write(keys.revoke_key, by, key_id, _made_by(caller))
    _forget(resources)


def _made_by(caller: Caller) -> UUID | None:
    """Return whose keys the caller sees; none for all of the space."""
    return None if caller.role is Role.ADMIN else caller.user_id


async def _refuse_more_than_own(resources: Resources, caller: Caller, key_id: UUID) -> None:
    """Keep a key with few scopes from getting the secret of one with many, and anybody from another's."""
    async with resources.database.read() as session:
        key = await keys.get_key(session, caller.owner, key_id, _made_by(caller))
    if key.user_id != caller.user_id:
        # The next secret acts as the old one's maker: whoever sees it could approve their own work as them.
        raise NotAllowed("Somebody else made this key; you can only revoke it.", "key_of_another")
    if set(key.scopes) - caller.scopes:
        raise NotAllowed("The key may do more than you may; it can only be revoked.", "not_allowed")


def _forget(resources: Resources) -> None:
    if resources.people is not None:
        resources.people.guard.known.clear()
