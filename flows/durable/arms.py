"""The arms of experiments that a run meets: chosen at its begin, bound for all attempts, told once asked."""

import time
from collections.abc import Iterable, Sequence
from uuid import UUID

from contracts.experiments import Arm, By, Experiment, Kind
from contracts.pipelines import Pipeline
from database.engine import Database, WriteSession
from database.learning.arms import (
    Pin,
    arms_of,
    experiments_by_id,
    meet,
    pin_arms,
    running_experiments,
    starter_of,
)
from database.patience import outlast
from flows.durable.places import FRESH_SECONDS, canary_place
from flows.durable.run import MetArm, Run


class Experiments:
    """The experiments of each owner, as this process saw them a moment ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, list[Experiment]]] = {}

    async def pin(self, run: Run, spec: Pipeline, programs: Sequence[str], subject: str) -> dict[str, MetArm]:
        """Bind a run to one arm of each experiment that it takes part in, and return them by their target.

        Later attempts get the arms of the first, also when the experiment is over; a fork has those of the
        run that it begins from. What was not bound then takes no part.

        Args:
            run: the run.
            spec: its pipeline. One that measures takes no part: it would measure the experiment.
            programs: those that think in this run.
            subject: the chat, or the run that belongs to none.
        """
        if spec.measures:
            return {}
        if run.resumed:
            pins = await run.read(arms_of, run.id)
            known = await run.read(experiments_by_id, run.owner, list(pins)) if pins else []
            return dict(_bound(known, pins))
        running = [one for one in await self._running(run.owner) if _concerns(one, programs)]
        if not running:
            return {}

        async def bind(session: WriteSession) -> dict[UUID, Pin]:
            who = await starter_of(session, run.id) if any(one.by is By.USER for one in running) else None
            chosen = [(one, who if one.by is By.USER else subject) for one in running]
            pins = [Pin(one.id, arm_for(one, each).name, each) for one, each in chosen if each is not None]
            return await pin_arms(session, run.id, pins)

        return dict(_bound(running, await run.write(bind)))

    async def _running(self, owner: str) -> list[Experiment]:
        read_at, found = self._seen.get(owner, (-FRESH_SECONDS, []))
        if time.monotonic() - read_at >= FRESH_SECONDS:
            at = time.monotonic()

            async def read() -> list[Experiment]:
                async with self._database.read() as session:
                    return await running_experiments(session, owner)

            found = await outlast(read)
            self._seen[owner] = (at, found)
        return found


def arm_for(experiment: Experiment, subject: str) -> Arm:
    """Return the arm that a subject meets: by the same place among all as a canary gives it."""
    place = canary_place(experiment.id, subject) / 100 * sum(arm.weight for arm in experiment.arms)
    for arm in experiment.arms:
        place -= arm.weight
        if place < 0:
            return arm
    return experiment.arms[-1]


async def tell_met(run: Run) -> None:
    """Write which arms this run has asked since the last time; a fork counts nowhere."""
    while run.told < len(run.met):
        number, one = run.told, run.met[run.told]
        if not run.forked:
            await run.write(meet, run.id, Pin(one.experiment_id, one.arm.name, one.subject))
        # A parallel call may have told it meanwhile: saying it twice is saying it once.
        run.told = max(run.told, number + 1)


def _concerns(experiment: Experiment, programs: Sequence[str]) -> bool:
    return experiment.kind is Kind.MODEL or experiment.target in programs


def _bound(experiments: Iterable[Experiment], pins: dict[UUID, Pin]) -> Iterable[tuple[str, MetArm]]:
    for one in experiments:
        pin = pins.get(one.id)
        arm = one.arm(pin.arm) if pin is not None else None
        if pin is not None and arm is not None:
            yield f"{one.kind}:{one.target}", MetArm(one.id, arm, pin.subject)
