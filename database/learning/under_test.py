"""Whether an experiment runs on something: a canary beside it would answer out of the experiment's sight."""

import sqlalchemy as sa

from contracts.experiments import Kind
from database.engine import ReadSession
from database.tables import ExperimentRow, core
from runtime.errors import Conflict

_EXPERIMENTS = core(ExperimentRow)


def busy_with(kind: Kind, target: str) -> str:
    """Return the key of which one experiment of an owner may be running."""
    return f"{kind}:{target}"


async def refuse_under_test(session: ReadSession, owner: str, program: str) -> None:
    """Do nothing unless an experiment compares versions of the owner's program.

    Raises:
        Conflict: `experiment_running`.
    """
    query = sa.select(_EXPERIMENTS.c.id).where(
        _EXPERIMENTS.c.owner == owner, _EXPERIMENTS.c.busy == busy_with(Kind.PROGRAM, program)
    )
    if (found := (await session.execute(query)).scalar_one_or_none()) is not None:
        raise Conflict(
            f"The experiment {found} compares versions of {program}: stop it first.", "experiment_running"
        )
