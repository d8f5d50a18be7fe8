"""Experiments of an owner: started, ended, promoted. Which run met which arm is `database.learning.arms`."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.experiments import Arm, Experiment, ExperimentStatus, Kind, NewExperiment
from contracts.program_states import refuse_mismatch
from contracts.routing import NewOverride
from database.engine import ReadSession, WriteSession
from database.gateway.overrides import refuse_unknown, set_override
from database.learning.programs import get_program, get_version, lock_program
from database.learning.serving import canary_version, promote
from database.learning.under_test import busy_with
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.statements import insert_or_existing
from database.tables import ExperimentRow, core
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict, NotFound
from runtime.ids import new_id

_EXPERIMENTS = core(ExperimentRow)
_COLUMNS = [_EXPERIMENTS.c[name] for name in Experiment.model_fields]
DECIDED = "decided"


async def start_experiment(session: WriteSession, new: NewExperiment, *, by: Doer) -> Experiment:
    """Let these arms answer the runs that begin from now on, each chat or user always by the same one.

    Raises:
        NotFound: `unknown_program`, `program_version_not_found`.
        BadInput: `unknown_deployment`.
        Conflict: `signature_changed`; `canary_running`, a canary of the program answers;
            `experiment_running`, another one compares the same.
    """
    arms = await (_versions(session, by.owner, new) if new.kind is Kind.PROGRAM else _models(session, new))
    values: dict[str, Any] = {
        "id": new_id(),
        "owner": by.owner,
        "name": new.name,
        "kind": new.kind,
        "target": new.target,
        "busy": busy_with(new.kind, new.target),
        "arms": [arm.model_dump(mode="json") for arm in arms],
        **{name: getattr(new, name) for name in ("by", "metric", "largest", "alpha", "auto_stop")},
        "status": ExperimentStatus.RUNNING,
        "started_by": by.actor,
        "started_at": utcnow(),
    }
    row = await insert_or_existing(session, _EXPERIMENTS, values, [_EXPERIMENTS.c.id])
    if row.id != values["id"]:
        raise Conflict(
            f"The experiment {row.id} compares the same: stop it first.", "experiment_running", None
        )
    told = {"arms": [arm.name for arm in arms], "metric": new.metric, "on": values["busy"]}
    await record(session, by, "experiment.started", f"experiment:{row.id}", **told)
    return await get_experiment(session, by.owner, row.id)


async def stop_experiment(
    session: WriteSession, experiment_id: UUID, *, by: Doer, why: str = "", winner: str | None = None
) -> Experiment:
    """End an experiment: runs that begin from now on are answered as if it had never been.

    Raises:
        NotFound: `experiment_not_found`.
        Conflict: `experiment_ended`.
    """
    found = await _locked(session, by.owner, experiment_id)
    if found.status is not ExperimentStatus.RUNNING:
        raise Conflict(f"The experiment is {found.status} already.", "experiment_ended")
    await _end(session, found, ExperimentStatus.STOPPED, why, winner)
    await record(session, by, "experiment.stopped", f"experiment:{experiment_id}", why=why, winner=winner)
    return await get_experiment(session, by.owner, experiment_id)


async def promote_arm(
    session: WriteSession, experiment_id: UUID, arm: str, *, by: Doer, reason: str = ""
) -> Experiment:
    """Let one arm answer everything from now on: a version is promoted, a model overrides the role's routing.

    The experiment ends with it. Promoting the arm that was promoted does nothing new.

    Raises:
        NotFound: `experiment_not_found`, `program_version_not_found`.
        BadInput: `unknown_arm`, `unknown_deployment`.
        Conflict: `signature_changed`.
    """
    found = await _locked(session, by.owner, experiment_id)
    chosen = found.arm(arm)
    if chosen is None:
        listed = ", ".join(each.name for each in found.arms)
        raise BadInput(f"The experiment has no arm {arm}; there are {listed}.", "unknown_arm")
    why = reason or f"Winner of the experiment {found.name or found.id}."
    if chosen.version is not None:
        await promote(session, by.owner, found.target, chosen.version, by=by.actor, reason=why)
    else:
        new = NewOverride(ask=[chosen.deployment or ""], reason=why)
        about = str(experiment_id)
        await set_override(session, found.target, new, by=by, source="experiment", about=about)  # type: ignore[arg-type]
    await _end(session, found, ExperimentStatus.PROMOTED, why, arm)
    await record(session, by, "experiment.promoted", f"experiment:{experiment_id}", arm=arm, reason=why)
    return await get_experiment(session, by.owner, experiment_id)


async def get_experiment(session: ReadSession, owner: str, experiment_id: UUID) -> Experiment:
    """Return one experiment of the owner.

    Raises:
        NotFound: `experiment_not_found`.
    """
    return await _read(session, owner, experiment_id)


async def list_experiments(
    session: ReadSession,
    owner: str,
    *,
    status: ExperimentStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Experiment]:
    """Return the owner's experiments, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).where(_EXPERIMENTS.c.owner == owner)
    if status is not None:
        query = query.where(_EXPERIMENTS.c.status == status)
    if cursor is not None:
        query = query.where(_EXPERIMENTS.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_EXPERIMENTS.c.id.desc()).limit(limit + 1))).all()
    items = [Experiment.model_validate(row, from_attributes=True) for row in rows]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def _read(session: ReadSession, owner: str, experiment_id: UUID, *, locked: bool = False) -> Experiment:
    query = sa.select(*_COLUMNS).where(_EXPERIMENTS.c.id == experiment_id, _EXPERIMENTS.c.owner == owner)
    row = (await session.execute(query.with_for_update() if locked else query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no experiment {experiment_id}.", "experiment_not_found")
    return Experiment.model_validate(row, from_attributes=True)


async def _locked(session: WriteSession, owner: str, experiment_id: UUID) -> Experiment:
    return await _read(session, owner, experiment_id, locked=True)


async def _end(
    session: WriteSession, found: Experiment, status: ExperimentStatus, why: str, winner: str | None
) -> None:
    values = {
        "status": status,
        "busy": None,
        "winner": winner,
        "ended_why": found.ended_why or why,
        "ended_at": found.ended_at or utcnow(),
    }
    await session.execute(sa.update(_EXPERIMENTS).where(_EXPERIMENTS.c.id == found.id).values(values))


async def _versions(session: WriteSession, owner: str, new: NewExperiment) -> list[Arm]:
    """Return the arms of an experiment on a program, which nobody else changes until the transaction ends."""
    await lock_program(session, new.target)
    program = await get_program(session, owner, new.target)
    if await canary_version(session, owner, new.target) is not None:
        raise Conflict(
            f"A canary of {new.target} answers: promote it or roll it back first.", "canary_running"
        )
    arms = []
    for told in new.arms:
        version = await get_version(session, owner, new.target, told.version or 0)
        refuse_mismatch(new.target, version.signature, program.signature)
        arms.append(
            Arm(
                name=f"v{version.version}",
                weight=told.weight,
                version=version.version,
                version_id=version.id,
                fingerprint=version.signature_fingerprint,
            )
        )
    return arms


async def _models(session: WriteSession, new: NewExperiment) -> list[Arm]:
    names = [told.deployment or "" for told in new.arms]
    await refuse_unknown(session, names)
    return [
        Arm(name=name, weight=told.weight, deployment=name)
        for name, told in zip(names, new.arms, strict=True)
    ]
