"""Signing in and out, and what a person may do about themselves."""

import asyncio
from collections.abc import AsyncIterator
from tempfile import TemporaryFile
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from api.auth.people import People
from api.auth.sign_in import Tokens
from api.bodies import StrictRoute
from api.caller import Caller, CredentialNow, DoerNow, StrangerNow, needs
from api.limits import Kind, account_name, network_of
from api.openapi import errors
from api.resources import Resources, ResourcesNow
from contracts.people import MAX_PASSWORD_CHARS, Email, Password, Role, Scope, User
from database.people.personal import export_person
from database.people.users import get_user
from runtime.errors import NotAllowed, NotAuthenticated

router = APIRouter(prefix="/auth", tags=["people"], route_class=StrictRoute)

BODY = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")
PART_BYTES = 64 * 1024
Anybody = Annotated[Caller, needs()]
Myself = Annotated[Caller, needs(Scope.ACCOUNT)]


class Login(BaseModel):
    """An email address and its password."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: str = Field(
        min_length=1, max_length=MAX_PASSWORD_CHARS, json_schema_extra={"format": "password"}
    )


class SignedIn(BaseModel):
    """Tokens: one for requests, one to get the next of both with."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  a word of the protocol
    expires_in: int = Field(description="Seconds that the access token is good.")
    refresh_token: str = Field(
        description="Good for one use; a second use of it ends the sign-in. (Appwrite's is good as long as"
        " its session.)"
    )


class Refresh(BaseModel):
    """A refresh token."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str = Field(min_length=1, max_length=1024)


class PasswordChange(BaseModel):
    """The password that holds, and the one that shall."""

    model_config = ConfigDict(extra="forbid")

    current: str = Field(max_length=MAX_PASSWORD_CHARS, json_schema_extra={"format": "password"})
    new: Password


class Me(BaseModel):
    """Who calls, in which space, and what is allowed there."""

    user: User | None = Field(description="null: the local owner of a server that asks nobody.")
    owner: str
    role: Role = Field(description="In this space.")
    scopes: list[Scope]
    project_id: UUID | None
    key_id: UUID | None = Field(description="The API key that this request was sent with.")


@router.post("/login", responses=errors("wrong_login", "no_people", "busy", "identity_unavailable", *BODY))
async def login(body: Login, resources: ResourcesNow, by: StrangerNow) -> SignedIn:
    """Sign in with email address and password. Tries are counted by address and by account."""
    people = people_of(resources)
    await people.limits.take(Kind.LOGIN_ADDRESS, network_of(by.address))
    account = account_name(body.email)
    # Counted before it is tried: else many tries at once would all find room.
    await people.limits.take(Kind.LOGIN_ACCOUNT, account)
    tokens = await people.directory.sign_in(body.email, body.password, by)
    await people.limits.give_back(Kind.LOGIN_ACCOUNT, account)
    return told(tokens)


@router.post("/refresh", responses=errors("bad_refresh_token", "no_people", "identity_unavailable", *BODY))
async def refresh(body: Refresh, resources: ResourcesNow, by: StrangerNow) -> SignedIn:
    """Get the next pair of tokens. Of several who show the same token one wins, and the sign-in ends."""
    people = people_of(resources)
    try:
        return told(await people.directory.refresh(body.refresh_token, by))
    except NotAuthenticated:
        await people.limits.take(Kind.REFUSED, network_of(by.address))
        raise


@router.post("/logout", status_code=204, responses=errors("no_people", "invalid_parameters"))
async def logout(caller: Anybody, resources: ResourcesNow, credential: CredentialNow) -> None:
    """End this sign-in. An API key is not a sign-in: revoke it instead."""
    people = people_of(resources)
    if credential is not None and caller.key_id is None:
        await people.directory.sign_out(credential, await people.guard.who(credential))


@router.get("/me", responses=errors("invalid_parameters"))
async def me(caller: Anybody, resources: ResourcesNow) -> Me:
    """Tell who calls and what is allowed."""
    user = None
    if caller.user_id is not None:
        async with resources.database.read() as session:
            user = await get_user(session, caller.user_id)
    return Me(
        user=user,
        owner=caller.owner,
        role=caller.role,
        scopes=sorted(caller.scopes),
        project_id=caller.project_id,
        key_id=caller.key_id,
    )


@router.post(
    "/password",
    status_code=204,
    responses=errors("wrong_password", "no_people", "managed_elsewhere", "busy", *BODY),
)
async def change_password(body: PasswordChange, caller: Myself, resources: ResourcesNow, by: DoerNow) -> None:
    """Change one's own password. All other sign-ins end; this one goes on."""
    people, user_id = people_of(resources), caller.person()
    await people.directory.change_password(user_id, caller.session_id, body.current, body.new, by)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line: `table`, and a `row` of it.",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **errors("no_people", "invalid_parameters"),
    },
)
async def export_me(caller: Myself, resources: ResourcesNow) -> StreamingResponse:
    """Hand out all that is kept about the caller and in their own space, save secrets and files' bytes."""
    user_id = caller.person()

    async def lines() -> AsyncIterator[bytes]:
        # Read in one go and put aside: a slow client must not hold a connection of the database. The file
        # has no name and is its process's alone: nobody else opens it, and it ends with the process.
        with TemporaryFile() as aside:
            async with resources.database.read() as session:
                async for table, row in export_person(session, user_id):
                    aside.write(to_json({"table": table, "row": row}) + b"\n")
            aside.seek(0)
            while part := await asyncio.to_thread(aside.read, PART_BYTES):
                yield part

    name = {"Content-Disposition": "attachment; filename=millrace-export.ndjson"}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=name)


def people_of(resources: Resources) -> People:
    """Return what knows people.

    Raises:
        NotAllowed: `no_people`.
    """
    if resources.people is None:
        raise NotAllowed("This server knows no people: it runs with AUTH=none.", "no_people")
    return resources.people


def told(tokens: Tokens) -> SignedIn:
    """Return tokens as an answer."""
    return SignedIn(
        access_token=tokens.access_token,
        expires_in=int(tokens.lifetime.total_seconds()),
        refresh_token=tokens.refresh_token,
    )
