"""The OpenAPI document: complete, readable, and one schema for every error."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from api.app import create_app
from api.examples import success_examples
from api.problems import CODES, MEDIA_TYPE
from api.routes import agents, budgets, chats, files, messages, pipelines, runs
from api.settings import ApiSettings

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What /openapi.json serves."""
    return create_app(ApiSettings()).openapi()


def routes_of(*modules: ModuleType) -> list[APIRoute]:
    """Return the routes that these modules declare."""
    return [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    """Method, path and description of each."""
    return [(method, path, each) for path, item in document["paths"].items() for method, each in item.items()]


def test_operations_have_names_that_read(operations: list[Operation]):
    """A generated client calls them `trigger_run`, not by their path."""
    names = [each["operationId"] for _, _, each in operations]

    assert len(names) == len(set(names))
    assert {"trigger_run", "stream_events", "send_message", "upload_files", "readyz"} <= set(names)
    assert all(name.isidentifier() and "api" not in name for name in names)
    assert all(each["description"] for _, _, each in operations)


def test_every_error_is_the_one_problem(operations: list[Operation]):
    for method, path, operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                schema = response["content"][MEDIA_TYPE]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path, status)


def test_bodies_tell_their_errors(operations: list[Operation]):
    for method, path, operation in operations:
        expected = {"400", "413", "415", "422"} if "requestBody" in operation else set()
        assert expected <= set(operation["responses"]), (method, path)


def test_examples_are_shown_for_what_people_send(document: dict[str, Any]):
    trigger = document["paths"]["/api/v1/pipelines/{name}/runs"]["post"]
    assert {"analysis", "chat_turn"} == set(trigger["requestBody"]["content"]["application/json"]["examples"])


def test_the_answers_shown_are_what_the_operations_return(document: dict[str, Any]):
    """An example that drifted from its model misleads whoever writes a client from it."""
    shown = set()
    for route in routes_of(pipelines, runs, agents, chats, messages, files, budgets):
        for (name, status), example in success_examples().items():
            if name == route.name:
                TypeAdapter(route.response_model).validate_python(example)
                shown.add((name, status))
    assert shown == success_examples().keys()
    trigger = document["paths"]["/api/v1/pipelines/{name}/runs"]["post"]["responses"]
    assert trigger["202"]["content"]["application/json"]["example"]["status"] == "accepted"


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    found = {reference.removeprefix("#/components/schemas/") for reference in references(document)}

    assert found <= set(schemas)
    assert "HTTPValidationError" not in schemas


def test_every_documented_code_is_in_the_table(operations: list[Operation]):
    shown = {
        code
        for _, _, operation in operations
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    }
    assert shown <= set(CODES)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)
