"""The API as one ASGI application: for `uvicorn --factory api.app:app`, and for `api.serve`."""

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.auth.people import open_people
from api.auth.settings import AuthSettings
from api.bodies import limit_bodies
from api.edge import answer_in_time, identified
from api.loopback import only_named, only_this_machine
from api.openapi import documented, operation_id
from api.problems import register_problems
from api.production import refuse_unsafe
from api.resources import Resources
from api.routes import (
    again,
    agent_shares,
    agents,
    api_keys,
    approvals,
    arena,
    audit,
    budgets,
    cache,
    canaries,
    chats,
    elsewhere,
    evaluations,
    examples,
    experiments,
    feedback,
    files,
    lineage,
    messages,
    models,
    openai,
    operations,
    optimizations,
    pipelines,
    policies,
    programs,
    projects,
    recommendations,
    routing,
    runs,
    shares,
    sign_in,
    socket,
    users,
)
from api.settings import ApiSettings, listed, refuse_open_bind
from api.tail import EventTail
from database.engine import open_database
from database.settings import DatabaseSettings
from runtime.log import LogSettings, configure_logging
from runtime.personal import mask_named

CORS_HEADERS = [
    *("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Millrace-Project", "X-Request-ID")
]
CORS_EXPOSED = [
    *("Location", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")
]


def app() -> FastAPI:
    """Return the application of this process, told by the environment, with its logging set up."""
    configure_logging("api")
    return create_app()


def create_app(
    settings: ApiSettings | None = None,
    database: DatabaseSettings | None = None,
    auth: AuthSettings | None = None,
) -> FastAPI:
    """Return an application; it opens the database when it is started, not here.

    Args:
        settings: of the API; read from the environment when not given.
        database: of the results database; read from the environment when not given.
        auth: how callers prove who they are; read from the environment when not given.

    Raises:
        ConfigurationProblem: `open_bind_refused`, other machines could call and nobody asks who they are;
            `unsafe_in_production`.
    """
    settings, auth = settings or ApiSettings(), auth or AuthSettings()
    database = database or DatabaseSettings()
    refuse_open_bind(settings, auth)
    mask_named(settings.examples_mask)  # a wrong one is told at the start
    refuse_unsafe(settings, database, LogSettings())

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        opened = open_database(database)
        tail = EventTail(opened, settings.api_tail_seconds)
        people = open_people(auth, opened)
        application.state.resources = Resources(settings, opened, tail, people)
        try:
            yield
        finally:
            if people is not None:
                await people.close()
            await tail.close()
            await opened.close()

    application = FastAPI(
        title="Millrace",
        version=_version(),
        lifespan=lifespan,
        routes=list(_routes()),
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        generate_unique_id_function=operation_id,
    )
    application.openapi = lambda: documented(application)  # type: ignore[method-assign]
    register_problems(application)
    _put_before(application, settings, auth)
    return application


def _put_before(application: FastAPI, settings: ApiSettings, auth: AuthSettings) -> None:
    """Put before the application what every request passes; the last one added is the outermost."""
    application.add_middleware(
        limit_bodies,
        json_bytes=settings.api_max_json_bytes,
        upload_bytes=settings.api_max_upload_bytes,
        seconds=settings.api_body_seconds,
    )
    application.add_middleware(answer_in_time, seconds=settings.api_answer_seconds)
    if origins := listed(settings.api_cors_origins):
        application.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
        )
    if not (settings.api_allow_open_bind or auth.asks):
        application.add_middleware(only_this_machine)
    if names := listed(settings.api_trusted_hosts):
        application.add_middleware(only_named, names=names)
    application.add_middleware(identified)
    if proxies := listed(settings.api_trusted_proxies):
        application.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)


@functools.cache
def _routes() -> tuple[BaseRoute, ...]:
    """Return the routes of every application of this process: to read their signatures takes 0.2 s."""
    router = APIRouter(generate_unique_id_function=operation_id)
    for part in (_version_1(), operations.router, openai.router):
        router.include_router(part)
    return tuple(router.routes)


def _version_1() -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    work = (pipelines, runs, again, approvals)
    conversations = (agents, agent_shares, chats, messages, socket, shares, files)
    people = (sign_in, elsewhere, users, api_keys, projects, audit)
    learning = (
        *(programs, policies, canaries, lineage, recommendations),
        *(examples, feedback, evaluations, optimizations, experiments, arena),
    )
    for part in (*work, budgets, models, routing, cache, *learning, *conversations, *people):
        router.include_router(part.router)
    return router


def _version() -> str:
    try:
        return version("millrace")
    except PackageNotFoundError:
        # A checkout that runs without being installed.
        return "0"
