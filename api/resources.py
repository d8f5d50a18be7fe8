"""What the process opened at its start and every request may use."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api.settings import ApiSettings
from api.tail import EventTail
from database.engine import Database


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings, the results database, and the one reader of its event log."""

    settings: ApiSettings
    database: Database
    tail: EventTail


async def current_resources(request: Request) -> Resources:
    """Return what the lifespan opened."""
    return cast("Resources", request.app.state.resources)


ResourcesNow = Annotated[Resources, Depends(current_resources)]
