"""Whether this server is of use: each part that it leans on, all asked at once, with the time each took."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum

from pydantic import BaseModel, Field

from api.resources import Resources
from contracts.pipelines import PIPELINES
from database.gateway.health import shared_health
from database.queue.events import last_seqs
from database.queue.workers import SEEN_WITHIN_SECONDS, Worker, live_workers
from runtime.errors import MillraceError, Unavailable

CHECK_SECONDS = 3.0


class Part(StrEnum):
    """What this server leans on."""

    DATABASE = "database"
    PREFECT = "prefect"
    WORKERS = "workers"
    MODELS = "models"


class Check(BaseModel):
    """How one part is."""

    ok: bool | None = Field(description="null: nobody could tell.")
    needed: bool = Field(description="Whether the answer is 503 when this part is not ok.")
    milliseconds: float = Field(description="How long it took to find out.")
    detail: str


class Readiness(BaseModel):
    """Whether every needed part is ok, and how each one is."""

    ready: bool
    checks: dict[Part, Check]


async def readiness(resources: Resources, needed: Collection[Part]) -> Readiness:
    """Ask every part, at most 3 s each."""
    questions = {
        Part.DATABASE: _database,
        Part.PREFECT: _prefect,
        Part.WORKERS: _workers,
        Part.MODELS: _models,
    }
    found = await asyncio.gather(
        *(_check(ask, resources, needed=part in needed) for part, ask in questions.items())
    )
    return Readiness(
        ready=all(check.ok for check in found if check.needed),
        checks=dict(zip(questions, found, strict=True)),
    )


async def _check(
    ask: Callable[[Resources], Awaitable[tuple[bool | None, str]]], resources: Resources, *, needed: bool
) -> Check:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            ok, detail = await ask(resources)
    except TimeoutError:
        ok, detail = False, f"no answer within {CHECK_SECONDS:g} s"
    except MillraceError as error:
        ok, detail = False, error.message
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    return Check(ok=ok, needed=needed, milliseconds=milliseconds, detail=detail)


async def _database(resources: Resources) -> tuple[bool, str]:
    async with resources.database.read() as session:
        # A table of ours, so that a database which was never migrated is not called ready.
        await last_seqs(session, [])
    return True, "answers"


async def _prefect(resources: Resources) -> tuple[bool, str]:
    # Late: only this question needs it, and the process is up sooner without.
    import httpx

    address = f"{resources.settings.prefect_api_url.rstrip('/')}/health"
    # Certificates are read only where they are needed: it takes 20 ms each time.
    verify = address.startswith("https:")
    try:
        async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=CHECK_SECONDS) as client:
            answer = await client.get(address)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{_shown(address)} cannot be reached ({type(error).__name__})") from None
    return answer.is_success, f"{_shown(address)} answers {answer.status_code}"


def _shown(address: str) -> str:
    """Return an address without the user and password that it may hold."""
    return re.sub(r"//[^/?#]*@", "//", address)


async def _workers(resources: Resources) -> tuple[bool, str]:
    async with resources.database.read() as session:
        alive = await live_workers(session, SEEN_WITHIN_SECONDS)
    pools: dict[str, list[Worker]] = {pipeline.pool: [] for pipeline in PIPELINES.values()}
    for worker in alive:
        pools.setdefault(worker.pool, []).append(worker)
    return all(pools.values()), "; ".join(_told(pool, workers) for pool, workers in sorted(pools.items()))


def _told(pool: str, workers: list[Worker]) -> str:
    places = sum(worker.capacity for worker in workers)
    taken = sum(worker.running for worker in workers)
    return f"{pool}: {len(workers)} alive, {taken} of {places} places taken"


async def _models(resources: Resources) -> tuple[bool | None, str]:
    async with resources.database.read() as session:
        alive = await live_workers(session, SEEN_WITHIN_SECONDS)
        shared = await shared_health(session)
    # Role -> deployments, as the door to models of each worker describes them.
    told: dict[str, set[str]] = {}
    for worker in alive:
        for role, deployments in (worker.models or {}).get("roles", {}).items():
            told.setdefault(role, set()).update(deployments)
    if not told:
        return None, "no worker is there to tell"
    away = shared.rests.keys() | shared.switched_off
    roles = (f"{role}: {_named(names, away)}" for role, names in sorted(told.items()))
    return all(names - away for names in told.values()), "; ".join(roles)


def _named(names: set[str], away: Collection[str]) -> str:
    shown = (f"{name} (away)" if name in away else name for name in sorted(names))
    return ", ".join(shown) or "nobody"
