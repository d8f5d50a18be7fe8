"""Who may do what: roles, the scopes they stand for, and people, projects and keys as callers see them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

EMAIL_CHARS = 254
NAME_CHARS = 200
PASSWORD_CHARS = 12
# Argon2 reads all of it: a longer one would be a way to keep the server busy.
MAX_PASSWORD_CHARS = 256


class Scope(StrEnum):
    """What a caller may do. A route needs one of them."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    CHATS_READ = "chats:read"
    CHATS_WRITE = "chats:write"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    PROGRAMS_READ = "programs:read"
    PROGRAMS_WRITE = "programs:write"
    PROGRAMS_PROMOTE = "programs:promote"
    TOOLS_WRITE = "tools:write"
    EXPERIMENTS_READ = "experiments:read"
    EXPERIMENTS_WRITE = "experiments:write"
    ARENA_READ = "arena:read"
    ARENA_VOTE = "arena:vote"
    MODELS_READ = "models:read"
    MODELS_USE = "models:use"
    MODELS_WRITE = "models:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    AUDIT_READ = "audit:read"
    ACCOUNT = "account"


SCOPES = frozenset(Scope)


class Role(StrEnum):
    """What somebody is, on the whole server or in one project. Each one may do what those before it may."""

    VIEWER = "viewer"
    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"


_VIEWER = frozenset(
    {
        *(Scope.RUNS_READ, Scope.CHATS_READ, Scope.FILES_READ, Scope.APPROVALS_READ, Scope.BUDGETS_READ),
        *(Scope.EXPERIMENTS_READ, Scope.ARENA_READ, Scope.AGENTS_READ),
        *(Scope.PROGRAMS_READ, Scope.MODELS_READ, Scope.WEBHOOKS_READ, Scope.PROJECTS_READ, Scope.KEYS_READ),
        Scope.ACCOUNT,
    }
)
_USER = _VIEWER | {
    *(Scope.RUNS_WRITE, Scope.CHATS_WRITE, Scope.FILES_WRITE, Scope.APPROVALS_DECIDE, Scope.MODELS_USE),
    *(Scope.ARENA_VOTE, Scope.AGENTS_WRITE),
    *(Scope.TOOLS_WRITE, Scope.PROGRAMS_WRITE, Scope.WEBHOOKS_WRITE, Scope.PROJECTS_WRITE, Scope.KEYS_WRITE),
}
_OPERATOR = _USER | {
    *(Scope.BUDGETS_WRITE, Scope.PROGRAMS_PROMOTE, Scope.MODELS_WRITE, Scope.EXPERIMENTS_WRITE),
}
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.VIEWER: _VIEWER,
    Role.USER: _USER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Scope),
}
# What an operator decides for all who are in a space. In one's own nobody else is: whoever works there may.
OWN_SPACE_SCOPES = frozenset({Scope.BUDGETS_WRITE, Scope.PROGRAMS_PROMOTE, Scope.EXPERIMENTS_WRITE})
# About the server as a whole or about the person: no role inside a project gives them.
SERVER_SCOPES = frozenset(
    {Scope.MODELS_WRITE, Scope.USERS_READ, Scope.USERS_WRITE, Scope.AUDIT_READ, Scope.ACCOUNT}
)

# The space of a server that asks nobody, and of what its operator starts.
LOCAL_SPACE = "local"

# What a run needs to know of whoever started it: the rest is decided at the door.
GRANTS = frozenset({Scope.TOOLS_WRITE})

Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=EMAIL_CHARS,
        # Not the grammar of RFC 5322: what can be delivered is found by delivering.
        pattern=r"^[^@\s<>()\[\],;:\\\"\x00-\x1f\x7f]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$",
    ),
    Field(examples=["ada@example.org"]),
]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=NAME_CHARS)]
Password = Annotated[
    str,
    Field(min_length=PASSWORD_CHARS, max_length=MAX_PASSWORD_CHARS, json_schema_extra={"format": "password"}),
]


class User(BaseModel):
    """A person who may sign in."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    name: str
    role: Role
    email_verified: bool = Field(
        False,
        description="The address is known to be theirs: a provider that says the same may sign them in.",
    )
    disabled: bool = Field(description="Nobody signs in as a disabled user, and none of their keys works.")
    created_at: datetime
    signed_in_at: datetime | None


class Identity(BaseModel):
    """Where else a person may sign in."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    provider: str = Field(examples=["github"])
    name: str = Field(description="What they were called there when it was linked.", examples=["ada"])
    created_at: datetime


class Project(BaseModel):
    """A space that several people work in, as one of them sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    role: Role = Field(description="The caller's own role in it.")
    created_at: datetime
    updated_at: datetime


class Member(BaseModel):
    """Somebody's role in one project."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str
    name: str
    role: Role
    added_at: datetime


class ApiKey(BaseModel):
    """A key that a program calls with; its secret was shown once, when it was made."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_id: UUID = Field(description="Who made it, and answers for what it does.")
    name: str
    prefix: str = Field(description="How the key begins, to tell keys apart.", examples=["mlr_7Gq2xd"])
    # What a stored key may do besides was a scope once, and opens nothing any more.
    scopes: Annotated[
        list[Scope], BeforeValidator(lambda stored: [each for each in stored if each in SCOPES])
    ]
    project_id: UUID | None = Field(description="The project that it works in; null: its maker's own space.")
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None = Field(description="Its last use, to the minute.")
    revoked_at: datetime | None


class AuditEntry(BaseModel):
    """One line of the audit log: who did what to what."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    at: datetime
    actor: str = Field(description="`user:<id>`, `key:<id>`, `local` or `command-line`.")
    owner: str = Field(description="Whose space it was done in.")
    action: str = Field(examples=["user.created"])
    target: str = Field(examples=["user:0198c0de-7a11-7000-8000-000000000001"])
    detail: dict[str, object]
    address: str | None = Field(description="Where the request came from.")
    request_id: str | None


def own_space_scopes(role: Role) -> frozenset[Scope]:
    """Return what somebody of this role on the server may do in their own space."""
    return ROLE_SCOPES[role] | (OWN_SPACE_SCOPES if role is not Role.VIEWER else frozenset())


def user_space(user_id: UUID) -> str:
    """Return the owner of what belongs to one person alone."""
    return f"user:{user_id}"


def project_space(project_id: UUID) -> str:
    """Return the owner of what belongs to a project."""
    return f"project:{project_id}"
