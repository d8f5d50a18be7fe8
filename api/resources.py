"""What the process opened at its start and every request may use."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.auth.people import People
from api.settings import ApiSettings
from api.tail import EventTail
from database.engine import Database


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings, the results database, the one reader of its event log, and what knows people."""

    settings: ApiSettings
    database: Database
    tail: EventTail
    # None: nobody is asked who they are (AUTH=none).
    people: People | None = None


async def current_resources(connection: HTTPConnection) -> Resources:
    """Return what the lifespan opened."""
    return cast("Resources", connection.app.state.resources)


ResourcesNow = Annotated[Resources, Depends(current_resources)]
