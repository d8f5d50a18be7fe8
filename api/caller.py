"""Who calls, and what they may do. Without people (AUTH=none) that is the local owner, who may do all."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Header, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from api.auth.known import Seen
from api.limits import Kind, network_of
from api.resources import Resources, ResourcesNow
from contracts.people import (
    GRANTS,
    ROLE_SCOPES,
    SERVER_SCOPES,
    Role,
    Scope,
    own_space_scopes,
    project_space,
    user_space,
)
from database.people.audit import Doer
from database.people.projects import project_not_found
from database.talk.sharing import Reader
from runtime.errors import NotAllowed, NotAuthenticated

EVERYTHING = frozenset(Scope)
PROJECT_SCOPES = frozenset({Scope.PROJECTS_READ, Scope.PROJECTS_WRITE})
# Their POSTs start or steer work that costs something.
STARTING = frozenset({Scope.RUNS_WRITE, Scope.CHATS_WRITE, Scope.MODELS_USE})
IN_SUBPROTOCOL = "bearer."


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose rows a request may see: `owner` is the where clause of every read.

    `owner` is a space: `user:<id>`, `project:<id>`, or `local` on a server that asks nobody. `role` is what
    the caller is in that space.
    """

    owner: str
    kind: Literal["local", "user", "service"] = "local"
    role: Role = Role.ADMIN
    scopes: frozenset[Scope] = EVERYTHING
    user_id: UUID | None = None
    project_id: UUID | None = None
    session_id: UUID | None = None
    key_id: UUID | None = None

    @property
    def actor(self) -> str:
        """The credential that acts, as the audit log names it."""
        if self.key_id is not None:
            return f"key:{self.key_id}"
        return self.responsible

    @property
    def responsible(self) -> str:
        """The person who answers for what is done, whatever key they use."""
        return "local" if self.user_id is None else user_space(self.user_id)

    @property
    def grants(self) -> frozenset[Scope]:
        """What a run that this caller starts may do outside besides asking for it."""
        return self.scopes & GRANTS

    @property
    def reader(self) -> Reader:
        """This caller as somebody who asks for a chat."""
        return Reader(self.owner, self.project_id, self.user_id)

    def may(self, scope: Scope) -> bool:
        """Whether this is allowed."""
        return scope in self.scopes

    def person(self) -> UUID:
        """Return the id of the person who calls, or whose key does.

        Raises:
            NotAllowed: `no_people`, the server asks nobody who they are.
        """
        if self.user_id is None:
            raise NotAllowed("This server knows no people: it runs with AUTH=none.", "no_people")
        return self.user_id


LOCAL = Caller(owner="local")


class Bearer(SecurityBase):
    """The credential of a request: `Authorization: Bearer` with an access token or an API key.

    Never in the address: addresses end up in logs. A browser's web socket, which can set no header, offers
    it as the subprotocol `bearer.<credential>`.
    """

    scheme_name = "bearer"
    model = HTTPBearer(description="An access token of `POST /api/v1/auth/login`, or an API key (`mlr_…`).")

    async def __call__(self, connection: HTTPConnection) -> str | None:
        """Return the credential, none when there is none."""
        kind, _, credential = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return credential.strip() or None
        offered = (
            connection.headers.get("sec-websocket-protocol", "")
            if connection.scope["type"] == "websocket"
            else ""
        )
        named = (each.strip() for each in offered.split(","))
        return next(
            (each.removeprefix(IN_SUBPROTOCOL) for each in named if each.startswith(IN_SUBPROTOCOL)), None
        )


BEARER = Bearer()
CredentialNow = Annotated[str | None, Depends(BEARER)]
ProjectWanted = Annotated[
    UUID | None,
    Header(
        alias="Millrace-Project",
        description="The project to work in, of which the caller is a member; without it, the caller's own"
        " space. A project's key works in its project alone.",
    ),
]


async def current_caller(
    connection: HTTPConnection,
    resources: ResourcesNow,
    credential: CredentialNow,
    project: ProjectWanted = None,
) -> Caller:
    """Return who sent this request.

    Raises:
        NotAuthenticated: `not_authenticated`, `bad_token` or `token_expired`.
        NotFound: `project_not_found`, the caller is not in that project.
    """
    return await caller_with(connection, resources, credential, project)


async def caller_with(
    connection: HTTPConnection, resources: Resources, credential: str | None, project: UUID | None
) -> Caller:
    """Return who has a credential, in the space that they ask for; the same errors as `current_caller`."""
    if resources.people is None:
        if project is not None:
            raise project_not_found(project)
        return LOCAL
    if credential is None:
        raise NotAuthenticated("Send `Authorization: Bearer` with an access token or an API key.")
    guard, limits = resources.people.guard, resources.people.limits

    async def ask_again() -> Caller:
        return caller_of(await guard.who(credential), project)

    try:
        caller = await ask_again()
    except NotAuthenticated:
        await limits.take(Kind.REFUSED, network_of(_address(connection)))
        raise
    # For the log line of the request, and for streams that outlive a credential.
    connection.state.caller, connection.state.ask_again = caller, ask_again
    return caller


def caller_of(seen: Seen, project: UUID | None) -> Caller:
    """Return what somebody is in the space that they ask for.

    Raises:
        NotFound: `project_not_found`.
    """
    person, key = seen.person, seen.key
    if key is not None:
        if project is not None and project != key.project_id:
            raise project_not_found(project)
        project = key.project_id
    if project is None:
        owner, role, scopes = user_space(person.user_id), person.role, own_space_scopes(person.role)
    elif project in person.projects:
        owner, role = project_space(project), person.projects[project]
        scopes = ROLE_SCOPES[role] - SERVER_SCOPES
        # A key is in its project alone: it knows nothing of the server and of its maker's other projects.
        scopes = scopes - PROJECT_SCOPES if key else scopes | (ROLE_SCOPES[person.role] & SERVER_SCOPES)
    else:
        raise project_not_found(project)
    return Caller(
        owner=owner,
        kind="user" if key is None else "service",
        role=role,
        scopes=scopes if key is None else scopes & frozenset(key.scopes),
        user_id=person.user_id,
        project_id=project,
        session_id=seen.session_id,
        key_id=None if key is None else key.id,
    )


# Known, and neither counted nor checked for a scope: a route takes `needs(...)`.
CallerNow = Annotated[Caller, Depends(current_caller)]


async def allowed(
    connection: HTTPConnection, resources: ResourcesNow, needed: SecurityScopes, caller: CallerNow
) -> Caller:
    """Return who calls, when they have every scope that the route needs and do not call too often.

    Raises:
        NotAllowed: `missing_scope`.
        TooMany: `too_many_requests`.
    """
    kind = _kind(connection, needed.scopes)
    connection.state.headers = await admitted(resources, caller, kind, needed.scopes)
    return caller


async def admitted(
    resources: Resources, caller: Caller, kind: Kind, scopes: Collection[str]
) -> dict[str, str]:
    """Count a call of somebody who has these scopes; return the headers that tell how many are left.

    Raises:
        NotAllowed: `missing_scope`.
        TooMany: `too_many_requests`.
    """
    headers = {} if resources.people is None else await resources.people.limits.take(kind, caller.actor)
    missing = sorted(set(scopes) - caller.scopes)
    if missing:
        raise NotAllowed(
            f"This needs the scope {', '.join(missing)}, which a {caller.role} here"
            f"{' with this key' if caller.key_id else ''} does not have.",
            "missing_scope",
        )
    return headers


def needs(*scopes: Scope) -> Any:
    """Return the dependency of a route that only callers with these scopes may use.

    As a parameter (`caller: Annotated[Caller, needs(Scope.RUNS_READ)]`) it gives the caller; the OpenAPI
    document shows the scopes.
    """
    return Security(allowed, scopes=[str(scope) for scope in scopes])


def refuse_without(caller: Caller, scope: Scope) -> None:
    """Do nothing for a caller who has a scope that only some uses of a route need.

    Raises:
        NotAllowed: `missing_scope`.
    """
    if not caller.may(scope):
        raise NotAllowed(
            f"This needs the scope {scope}, which a {caller.role} here does not have.", "missing_scope"
        )


def _kind(connection: HTTPConnection, scopes: list[str]) -> Kind:
    method = connection.scope.get("method", "GET")
    if method in {"GET", "HEAD"}:
        return Kind.READ
    return Kind.START if method == "POST" and STARTING & set(scopes) else Kind.WRITE


def _address(connection: HTTPConnection) -> str | None:
    return connection.client.host if connection.client else None


async def current_doer(connection: HTTPConnection, caller: CallerNow) -> Doer:
    """Return who acts, for the audit log."""
    return doer(connection, caller)


def doer(connection: HTTPConnection, caller: Caller) -> Doer:
    """Return who acts from where, for the audit log."""
    return Doer(
        caller.actor, caller.owner, _address(connection), connection.scope.get("state", {}).get("request_id")
    )


async def current_stranger(connection: HTTPConnection) -> Doer:
    """Return who acts before anybody knows who it is."""
    return doer(connection, Caller(owner="", scopes=frozenset()))


DoerNow = Annotated[Doer, Depends(current_doer)]
StrangerNow = Annotated[Doer, Depends(current_stranger)]
