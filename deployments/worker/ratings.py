"""What a worker does about the arena's ratings: it moves weights within their bounds, and moves them back."""

from dataclasses import dataclass

import structlog

from contracts.rated_weights import weights_by_rating
from contracts.routing import RoleName
from database.engine import Database
from database.gateway.overrides import end_rated, list_overrides, set_rated
from database.learning.arena import games_of
from database.people.audit import Doer
from llm.door import Door
from llm.providers import RatedWeights

log = structlog.get_logger()

MOVE_SECONDS = 10.0
OURSELVES = Doer("millrace", "local")


@dataclass(frozen=True, slots=True)
class Ratings:
    """The duties of a worker about ratings; what every worker finds is the same, and written once."""

    database: Database
    door: Door

    async def move(self) -> None:
        """Let the file's roles be weighted by ratings while they hold, and by the file when they do not."""
        rated = self.door.rated_roles()
        for role, (told, deployments) in rated.items():
            await self._move(role, told, deployments)
        async with self.database.read() as session:
            holding = await list_overrides(session)
        for one in holding:
            if one.source == "arena" and one.role not in rated:
                await self._back(one.role, "The file does not want it any more.")

    async def _move(self, role: RoleName, told: RatedWeights, deployments: tuple[str, ...]) -> None:
        async with self.database.read() as session:
            games = await games_of(session, told.space, kind=told.kind)
        weights = weights_by_rating(games, deployments, least=told.least, most=told.most, needed=told.games)
        if weights is None:
            await self._back(role, "No deployment is proven to be the strongest any more.")
        elif await self.database.write(set_rated, role, weights, about=told.kind, by=OURSELVES):
            log.info("ratings moved the weights of a role", role=role, weights=weights)

    async def _back(self, role: RoleName, why: str) -> None:
        if await self.database.write(end_rated, role, by=OURSELVES, why=why):
            log.info("ratings let the file route a role again", role=role)
