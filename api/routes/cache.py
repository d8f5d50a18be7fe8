"""Answers that are kept: what they saved, and forgetting them."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.cache import CacheStatistics, Reviewed
from contracts.people import Scope
from database.gateway.cache import cache_statistics, clear_cache
from database.gateway.reuses import list_reuses

router = APIRouter(prefix="/cache", tags=["models"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.MODELS_READ)]
User = Annotated[Caller, needs(Scope.MODELS_USE)]


class Cleared(BaseModel):
    """How many answers were removed."""

    removed: int


@router.get("", responses=errors("invalid_parameters"))
async def read_cache(caller: Reader, resources: ResourcesNow) -> CacheStatistics:
    """Tell what the cache holds of the caller's answers, and what it saved in the last 30 days."""
    async with resources.database.read() as session:
        return await cache_statistics(session, caller.owner)


class ReuseList(BaseModel):
    """Some uses of the caller's kept answers for other questions."""

    items: list[Reviewed]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("/reuses", responses=errors("bad_cursor", "invalid_parameters"))
async def read_reuses(
    caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> ReuseList:
    """List answers that were given to another question than their own, or would have been in shadow mode.

    A sample, newest first, with what the judge said. Those that it found wrong are used no more.
    """
    async with resources.database.read() as session:
        page = await list_reuses(session, caller.owner, limit=limit, cursor=cursor)
    return ReuseList(items=page.items, next_cursor=page.next_cursor)


@router.delete("", responses=errors("invalid_parameters"))
async def forget_answers(caller: User, resources: ResourcesNow) -> Cleared:
    """Remove the caller's kept answers. Workers may use one that stands in their memory for a minute more."""
    return Cleared(removed=await resources.database.write(clear_cache, caller.owner))
