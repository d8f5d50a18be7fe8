"""The API as one ASGI application: for `uvicorn --factory api.app:app`, and for `api.serve`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, FastAPI

from api.bodies import limit_bodies
from api.edge import identified
from api.loopback import only_this_machine
from api.openapi import documented, operation_id
from api.problems import register_problems
from api.resources import Resources
from api.routes import chats, files, messages, operations, pipelines, runs
from api.settings import ApiSettings, refuse_open_bind
from api.tail import EventTail
from database.engine import open_database
from database.settings import DatabaseSettings
from runtime.log import configure_logging


def app() -> FastAPI:
    """Return the application of this process, told by the environment, with its logging set up."""
    configure_logging("api")
    return create_app()


def create_app(settings: ApiSettings | None = None, database: DatabaseSettings | None = None) -> FastAPI:
    """Return an application; it opens the database when it is started, not here.

    Args:
        settings: of the API; read from the environment when not given.
        database: of the results database; read from the environment when not given.

    Raises:
        ConfigurationProblem: `open_bind_refused`, API_HOST is no loopback address.
    """
    settings = settings or ApiSettings()
    refuse_open_bind(settings)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        opened = open_database(database or DatabaseSettings())
        tail = EventTail(opened, settings.api_tail_seconds)
        application.state.resources = Resources(settings, opened, tail)
        try:
            yield
        finally:
            await tail.close()
            await opened.close()

    application = FastAPI(
        title="Millrace",
        version=_version(),
        lifespan=lifespan,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        generate_unique_id_function=operation_id,
    )
    application.openapi = lambda: documented(application)  # type: ignore[method-assign]
    register_problems(application)
    application.include_router(_version_1())
    application.include_router(operations.router)
    # The last one added is the outermost.
    application.add_middleware(
        limit_bodies, json_bytes=settings.api_max_json_bytes, upload_bytes=settings.api_max_upload_bytes
    )
    if not settings.api_allow_open_bind:
        application.add_middleware(only_this_machine)
    application.add_middleware(identified)
    return application


def _version_1() -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    for part in (pipelines, runs, chats, messages, files):
        router.include_router(part.router)
    return router


def _version() -> str:
    try:
        return version("millrace")
    except PackageNotFoundError:
        # A checkout that runs without being installed.
        return "0"
