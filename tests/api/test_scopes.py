"""Every operation says who may use it, in its dependencies and in the OpenAPI document."""

from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from api.app import create_app
from api.auth.settings import AuthSettings
from api.routes import socket
from api.settings import ApiSettings
from contracts.people import (
    GRANTS,
    OWN_SPACE_SCOPES,
    ROLE_SCOPES,
    SERVER_SCOPES,
    Role,
    Scope,
    own_space_scopes,
)

# Before anybody is known, and probes.
PUBLIC = {"healthz", "readyz", "login", "refresh", "github_sign_in", "github_callback"}
# About the caller alone, whoever it is.
OWN = {"me", "logout"}
REMEDY = "Give the route a scope: `caller: Annotated[Caller, needs(Scope.…)]` (see contracts/people.py)."


@pytest.fixture(scope="module")
def operations() -> dict[str, dict[str, Any]]:
    """Every operation of the document by its name."""
    document = create_app(ApiSettings(), auth=AuthSettings(auth="embedded")).openapi()
    return {each["operationId"]: each for path in document["paths"].values() for each in path.values()}


def scopes_of(operation: dict[str, Any]) -> list[str]:
    """Return the scopes that an operation needs."""
    return [scope for each in operation.get("security", []) for scope in each["bearer"]]


def test_no_operation_is_without_a_scope(operations: dict[str, dict[str, Any]]):
    """A route that somebody forgot to guard lets everybody in who can sign in."""
    open_to_all = {name for name, each in operations.items() if not scopes_of(each)}

    assert open_to_all == PUBLIC | OWN, REMEDY


def test_only_the_public_ones_take_no_credential(operations: dict[str, dict[str, Any]]):
    assert {name for name, each in operations.items() if not each.get("security")} == PUBLIC


def test_every_scope_of_the_document_exists(operations: dict[str, dict[str, Any]]):
    assert {scope for each in operations.values() for scope in scopes_of(each)} <= set(Scope)


def test_every_scope_opens_something(operations: dict[str, dict[str, Any]]):
    """One that guards nothing promises whoever makes a key a fence that is not there."""
    asked_within = GRANTS | {Scope.WEBHOOKS_WRITE}  # by a run itself; by `refuse_telling`

    assert {scope for each in operations.values() for scope in scopes_of(each)} | asked_within == set(Scope)


def test_reading_and_writing_are_different_scopes():
    """Whoever may only look must not get in by another method of the same address."""
    app = create_app(ApiSettings())
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            if method != "get" and operation["operationId"] not in PUBLIC | OWN:
                assert not any(scope.endswith(":read") for scope in scopes_of(operation)), (method, path)


def test_a_hidden_route_is_guarded_as_well():
    """What is left out of the document is not left out of the server."""
    hidden = [
        route.path
        for route in create_app(ApiSettings()).routes
        if isinstance(route, APIRoute) and not route.include_in_schema
    ]

    assert hidden == []


def test_every_web_socket_is_known_to_ask_who_calls():
    """The document shows none of them: a new one is tested as in test_chat_socket.py, then listed."""
    sockets = {
        f"/api/v1{route.path}" for route in socket.router.routes if isinstance(route, APIWebSocketRoute)
    }
    elsewhere = [route for route in create_app(ApiSettings()).routes if isinstance(route, APIWebSocketRoute)]

    assert sockets == {"/api/v1/chats/{chat_id}/ws"}
    assert {route.path for route in elsewhere} <= sockets


def test_each_role_may_what_the_one_before_it_may():
    viewer, user, operator, admin = (ROLE_SCOPES[role] for role in Role)

    assert viewer < user < operator < admin == frozenset(Scope)
    assert not any(scope.endswith((":write", ":promote", ":decide", ":use")) for scope in viewer)


def test_at_home_a_user_is_an_operator_of_nothing_but_their_own():
    viewer, user, operator, admin = (own_space_scopes(role) for role in Role)

    assert viewer == ROLE_SCOPES[Role.VIEWER]
    assert (
        user - ROLE_SCOPES[Role.USER] == OWN_SPACE_SCOPES == operator - SERVER_SCOPES - ROLE_SCOPES[Role.USER]
    )
    assert (operator, admin) == (ROLE_SCOPES[Role.OPERATOR], ROLE_SCOPES[Role.ADMIN])


async def test_the_document_shows_the_scheme(operations: dict[str, dict[str, Any]]):
    document = create_app(ApiSettings()).openapi()

    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert operations["trigger_run"]["security"] == [{"bearer": ["runs:write"]}]
