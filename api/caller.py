"""Who calls. Until people exist that is the local owner: the API listens to this machine only."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose rows a request may see: `owner` is the where clause of every read."""

    owner: str


LOCAL = Caller(owner="local")


async def current_caller() -> Caller:
    """Return who sent this request."""
    return LOCAL


CallerNow = Annotated[Caller, Depends(current_caller)]
