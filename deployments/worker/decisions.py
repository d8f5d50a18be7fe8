"""What a worker does about experiments: it ends those that are decided."""

import asyncio
from dataclasses import dataclass

import structlog

from contracts.experiment_results import result_of
from database.engine import Database
from database.learning.arms import claim_look, outcomes_of
from database.learning.experiments import DECIDED, stop_experiment
from database.people.audit import Doer
from runtime.errors import Conflict

log = structlog.get_logger()

LOOK_SECONDS = 15.0
OURSELVES = "millrace"


@dataclass(frozen=True, slots=True)
class Decisions:
    """The duties of one worker about experiments, each looked at by one worker at a time."""

    database: Database
    every_seconds: float = LOOK_SECONDS

    async def look(self) -> None:
        """End every experiment whose bounds say who is better; promoting the winner is left to people."""
        for owner, experiment in await self.database.write(claim_look, self.every_seconds):
            async with self.database.read() as session:
                outcomes, full = await outcomes_of(session, experiment.id)
            found = await asyncio.to_thread(result_of, experiment, outcomes, full=full)
            if found.leader is None and not full:
                continue
            why = DECIDED if found.leader else "It is as large as experiments are looked at, and undecided."
            try:
                await self.database.write(
                    stop_experiment, experiment.id, by=Doer(OURSELVES, owner), why=why, winner=found.leader
                )
            except Conflict:  # a person was quicker
                continue
            log.info("an experiment ended", experiment_id=str(experiment.id), winner=found.leader)
