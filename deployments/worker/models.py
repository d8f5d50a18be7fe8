"""What a worker does about its models besides asking them: it shares what it knows and hears what changed."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from contracts.cache import Claimed, KeptAnswer
from contracts.cache_review import CacheReviewParams
from contracts.pipelines import CACHE_REVIEW
from contracts.runs import Origin
from database.engine import Database
from database.gateway.cache import (
    claim_answer,
    find_answer,
    look_for_answer,
    renew_claims,
    tell_cache,
    tidy_cache,
)
from database.gateway.health import claim_probe, end_rest, forget_latencies, shared_health, tell_health
from database.gateway.models import register_models
from database.gateway.overrides import list_overrides
from database.gateway.reuses import newest_questions, owners_waiting, questions_since, wrong_since
from database.queue.runs import accept_run
from llm.claims import LEASE_SECONDS
from llm.door import Door
from llm.providers import Providers
from runtime.clock import utcnow
from runtime.errors import Unavailable

# A rest that begins in one worker is told at its next turn and heard at the others' next: within a second.
SHARE_SECONDS = 0.4
TIDY_SECONDS = 60.0
MEGABYTE = 1024 * 1024
# How often it is looked whether a probe is due; how often one is, the file says.
PROBE_SECONDS = 2.0
PROBES_AT_ONCE = 4
HEAR_SECONDS = 1.0
# Clocks differ, and a row is written a moment before it can be read.
OVERLAP = timedelta(seconds=10)
REVIEW_SECONDS = 60.0
ENOUGH_TO_REVIEW = 10
REVIEW_AFTER = timedelta(minutes=10)


@dataclass(slots=True)
class Models:
    """The duties of one worker about its door to models."""

    database: Database
    door: Door
    # Until when the news of other workers about kept answers was heard.
    heard_at: datetime | None = None
    # The file whose catalogue all others know.
    registered: Providers | None = None

    async def register(self) -> None:
        """Write the catalogue, and hear which routing holds: at the start, and whenever the file changed."""
        file = self.door.file
        await self.database.write(register_models, self.door.catalogue())
        self.registered = file
        async with self.database.read() as session:
            self.door.heed(await list_overrides(session))

    async def reload(self) -> None:
        """Take over a changed file. A run that began meanwhile may have done so first."""
        await self.door.reload()
        if self.door.file is not self.registered:
            await self.register()

    async def share(self) -> None:
        """Tell what was seen here, when there is something to tell, and hear what all workers know."""
        if (health := self.door.seen) is None:
            return
        rests, seen = health.breaker.take_tripped(), health.take_seen()
        if rests or seen:
            try:
                await self.database.write(tell_health, seen, rests)
            except BaseException:
                health.give_back_seen(seen)
                health.breaker.tripped = {**rests, **health.breaker.tripped}
                raise
        async with self.database.read() as session:
            shared = await shared_health(session)
            overrides = await list_overrides(session)
        self.door.heed(overrides)
        health.heed(
            rests=shared.rests,
            known=shared.known,
            switched_off=shared.switched_off,
            usd_today=shared.usd_today,
            workers=shared.workers,
        )

    async def probe(self) -> None:
        """Ask deployments that rest for one token, one worker each: who answers is asked again at once."""
        admin, resting = self.door.providers.admin, self.door.resting()
        # A vector costs for what goes in alone, so both must be free; a price that is not known is not.
        free = {
            entry.name
            for entry in self.door.catalogue()
            if entry.input_per_million == 0 and entry.output_per_million == 0
        }
        names = [name for name in resting if (admin.probe_free if name in free else admin.probe_paid)]
        gate = asyncio.Semaphore(PROBES_AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                mine = await self.database.write(claim_probe, name, admin.probe_seconds)
                if mine and await self.door.probe(name):
                    await self.database.write(end_rest, name)

        await asyncio.gather(*(one(name) for name in names))

    async def tell_cache(self) -> None:
        """Write the answers that were kept here, what was used and counted, and who asks no more."""
        if (cache := self.door.cache) is None:
            return
        if held := cache.claims.ending():
            await self.database.write(renew_claims, held, LEASE_SECONDS)
        over, news = cache.claims.take_over(), cache.take_news()
        if over or news.kept or news.used or news.counts or news.questions or news.reuses:
            # What is lost here while the database is away is asked again one day: nobody waits for it.
            kept = list(news.kept.values())
            told = (kept, news.used, news.counts, news.questions, news.reuses, over)
            await self.database.write(tell_cache, *told)

    async def hear_cache(self) -> None:
        """Forget what was found to be wrong, and learn the questions that other workers kept."""
        if (cache := self.door.cache) is None:
            return
        at, since = utcnow(), (self.heard_at or utcnow()) - OVERLAP
        shelves = {(owner, role): shelf for owner, role, shelf in cache.shelves.all()}
        async with self.database.read() as session:
            cache.forget(await wrong_since(session, since))
            known = sorted({owner for (owner, _), shelf in shelves.items() if shelf.heard_at is not None})
            for question in await questions_since(session, since, known) if known else []:
                if (shelf := shelves.get((question.owner, question.role))) is not None:
                    shelf.hear([question])
            for (owner, role), shelf in shelves.items():
                if shelf.heard_at is None:
                    shelf.hear(await newest_questions(session, owner, role, shelf.capacity))
                shelf.heard_at = at
        self.heard_at = at

    async def review_cache(self) -> None:
        """Start a run that lets the judge look at answers that were reused, at most one an hour."""
        if not self.door.providers.cache.semantic:
            return
        async with self.database.read() as session:
            owners = await owners_waiting(session, ENOUGH_TO_REVIEW, utcnow() - REVIEW_AFTER)
        for owner in owners:
            await self.database.write(
                accept_run,
                pipeline=CACHE_REVIEW.name,
                pool=CACHE_REVIEW.pool,
                params=CacheReviewParams().model_dump(mode="json"),
                owner=owner,
                origin=Origin.SCHEDULE,
                idempotency_key=f"cache-review:{utcnow():%Y-%m-%dT%H}",
            )

    async def tidy(self) -> None:
        """Remove old histograms, and answers that are too old or too many."""
        await self.database.write(forget_latencies)
        await self.database.write(tidy_cache, self.door.providers.cache.megabytes * MEGABYTE)


@dataclass(frozen=True, slots=True)
class Answers:
    """The kept answers of all workers, in the database."""

    database: Database

    async def find(self, key: str) -> KeptAnswer | None:
        """Return the answer under a key; none while the database is away, for then it must be asked."""
        try:
            async with self.database.read() as session:
                return await find_answer(session, key)
        except Unavailable:
            return None

    async def claim(self, key: str, owner: str, claim_id: UUID, seconds: float) -> Claimed:
        """Write a claim unless somebody has one; while the database is away, everybody asks."""
        try:
            return await self.database.write(claim_answer, key, owner, claim_id, seconds)
        except Unavailable:
            return Claimed(mine=True)

    async def look(self, key: str) -> Claimed:
        """Return the answer, or whether the key could be claimed; a database that is away has neither."""
        try:
            async with self.database.read() as session:
                return await look_for_answer(session, key)
        except Unavailable:
            return Claimed(mine=True)
