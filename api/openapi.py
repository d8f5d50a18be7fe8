"""The OpenAPI document: every error of every operation documented with the one `Problem` schema."""

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from api.examples import success_examples
from api.problems import CODES, MEDIA_TYPE, FieldError, Problem, problem
from contracts.pipelines import PIPELINES
from contracts.runs import Event

if TYPE_CHECKING:
    from pydantic import BaseModel

REFERENCE = "#/components/schemas/{model}"
TAGS = [
    {"name": "pipelines", "description": "What can be run, and starting it."},
    {"name": "runs", "description": "What was started: status, events, model calls."},
    {"name": "programs", "description": "What thinks, its versions, and which of them answers."},
    {"name": "approvals", "description": "What runs ask people, and the answers."},
    {"name": "examples", "description": "What programs learn from and are measured with."},
    {"name": "evaluations", "description": "How well programs answer."},
    {"name": "optimizations", "description": "What making them better would take."},
    {"name": "experiments", "description": "Versions or models side by side, and which one is better."},
    {"name": "arena", "description": "Models and versions compared two by two, and their ratings."},
    {"name": "feedback", "description": "What people think of answers."},
    {"name": "chats", "description": "Conversations. Each answer is a run."},
    {"name": "agents", "description": "Instructions under a name, in versions, that answer in chats."},
    {"name": "budgets", "description": "How much may be spent on what."},
    {"name": "files", "description": "Documents to analyse."},
    {"name": "people", "description": "Signing in, users, projects, API keys, the audit log."},
    {"name": "operations", "description": "Whether this server is alive and of use."},
]
# Any operation can answer with these; any that reads the database with those that follow.
EVERYWHERE = ("not_from_here", "internal_error")
CALLERS = (
    *("not_authenticated", "bad_token", "token_expired", "missing_scope", "project_not_found"),
    "too_many_requests",
)
DATABASE = "database_unavailable"
DESCRIPTION = """\
Trigger runs and read what they did. A trigger answers `202` as soon as the run is committed; follow it by
`GET /api/v1/runs/{run_id}`, by its event stream, or let the trigger itself wait with `?wait=seconds`.

Errors are `application/problem+json` with a stable `code`. Lists are paged: send `next_cursor` back as
`cursor`.
"""


def errors(*codes: str, database: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return the documented responses for these codes and those that every operation can give."""
    always = (*CALLERS, *EVERYWHERE, DATABASE) if database else EVERYWHERE
    by_status: dict[int | str, list[str]] = {}
    for code in dict.fromkeys((*codes, *always)):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {status: _response(names) for status, names in by_status.items()}


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: `trigger_run`, without its path and method."""
    return route.name


def documented(app: FastAPI) -> dict[str, Any]:
    """Return the document, built once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Millrace", version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS
        )
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        models: list[type[BaseModel]] = [
            Problem,
            Event,
            *(pipeline.params for pipeline in PIPELINES.values()),
        ]
        _, definitions = models_json_schema(
            [(model, "validation") for model in models], ref_template=REFERENCE
        )
        schemas.update(definitions["$defs"])
        _add_success_examples(document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_success_examples(document: dict[str, Any]) -> None:
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    for (name, status), example in success_examples().items():
        operations[name]["responses"][str(status)]["content"]["application/json"]["example"] = example


def _response(codes: list[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"`{code}`: {CODES[code][1].lower()}" for code in codes),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": REFERENCE.format(model="Problem")},
                "examples": {code: {"value": _example(code)} for code in codes},
            }
        },
    }


def _example(code: str) -> dict[str, Any]:
    title = CODES[code][1]
    named = [FieldError(field="params.question", message="Field required")]
    shown = named if code == "invalid_parameters" else []
    return problem(code, f"{title}.", shown, "0198c0de-7a11-7000-8000-000000000001").model_dump()
