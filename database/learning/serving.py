"""Which version answers: one active per program and owner, perhaps a canary beside it, and the audit trail.

Who changes that holds the program's row, so two versions are never active at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from contracts.canaries import CanaryPolicy, CanaryStatus
from contracts.program_states import refuse_mismatch, signature_changes
from contracts.programs import Change, ChangeAction, ProgramUse, Version, VersionOrigin, VersionStatus
from database.engine import ReadSession, WriteSession
from database.learning.canaries import begin_canary, end_canary, note_active
from database.learning.programs import (
    NewVersion,
    add_version,
    get_program,
    get_version,
    lock_program,
    version_by_id,
)
from database.learning.superseding import supersede
from database.learning.under_test import refuse_under_test
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.people.audit import Doer, record
from database.statements import insert_or_existing
from database.tables import ProgramChangeRow, ProgramRow, ProgramVersionRow, RunProgramRow, RunRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict
from runtime.ids import new_id

OURSELVES = "millrace"
_PROGRAMS = core(ProgramRow)
_VERSIONS = core(ProgramVersionRow)
_CHANGES = core(ProgramChangeRow)
_PINS = core(RunProgramRow)
_RUNS = core(RunRow)


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers for a program now: ids of versions, and how many of a hundred the canary gets."""

    active: UUID
    active_fingerprint: str
    active_origin: VersionOrigin
    active_hash: str
    canary: UUID | None = None
    canary_fingerprint: str | None = None
    canary_percent: float = 0


async def serving_of(session: ReadSession, owner: str) -> dict[str, Serving]:
    """Return what answers for each of the owner's programs; those that never ran are missing."""
    query = (
        sa.select(
            *(_PROGRAMS.c.name, _VERSIONS.c.id, _VERSIONS.c.status, _VERSIONS.c.signature_fingerprint),
            *(_VERSIONS.c.origin, _VERSIONS.c.content_hash, _VERSIONS.c.canary_percent),
        )
        .join_from(_VERSIONS, _PROGRAMS)
        .where(_VERSIONS.c.owner == owner)
        .where(_VERSIONS.c.status.in_([VersionStatus.ACTIVE, VersionStatus.CANARY]))
    )
    rows = (await session.execute(query)).all()
    canaries = {row.name: row for row in rows if row.status == VersionStatus.CANARY}
    found = {}
    for row in rows:
        if row.status == VersionStatus.ACTIVE:
            canary = canaries.get(row.name)
            found[row.name] = Serving(
                *(row.id, row.signature_fingerprint, VersionOrigin(row.origin), row.content_hash),
                canary=canary.id if canary else None,
                canary_fingerprint=canary.signature_fingerprint if canary else None,
                canary_percent=(canary.canary_percent or 0) if canary else 0,
            )
    return found


async def ship(session: WriteSession, owner: str, program: str, source: NewVersion) -> Version:
    """Store the state that the running code ships, and let it answer where nothing better does.

    It becomes active when it is new and nothing is active, the active version does not fit the code any
    more, or the active version was the code's own before. Only a new one: while workers of an old and of
    a new version of the code run side by side, the old ones must not take back what the new ones did.
    """
    version, created = await add_version(session, owner, program, source)
    active = await _with_status(session, owner, program, VersionStatus.ACTIVE)
    if active is None:
        await _activate(session, owner, version, None, ChangeAction.SHIP, OURSELVES, "Shipped with the code.")
    elif created and active.signature_fingerprint != version.signature_fingerprint:
        changed = "; ".join(signature_changes(active.signature, version.signature)[:5])
        why = f"Version {active.version} does not fit the code any more: {changed}."
        await _activate(session, owner, version, active, ChangeAction.SHIP, OURSELVES, why)
    elif created and active.origin == VersionOrigin.SOURCE:
        why = "The code ships other instructions."
        await _activate(session, owner, version, active, ChangeAction.SHIP, OURSELVES, why)
    return await version_by_id(session, owner, version.id)


async def promote(
    session: WriteSession, owner: str, program: str, version: int, *, by: str, reason: str
) -> Version:
    """Let a version answer from now on; the one that did is retired. Promoting the active one does nothing.

    Raises:
        NotFound: `unknown_program` or `program_version_not_found`.
        Conflict: `signature_changed`, the version was made for other code.
    """
    await lock_program(session, program)
    new = await get_version(session, owner, program, version)
    refuse_mismatch(program, new.signature, (await get_program(session, owner, program)).signature)
    active = await _with_status(session, owner, program, VersionStatus.ACTIVE)
    if active is None or active.id != new.id:
        await _activate(session, owner, new, active, ChangeAction.PROMOTE, by, reason)
    return await version_by_id(session, owner, new.id)


async def start_canary(
    session: WriteSession,
    owner: str,
    program: str,
    version: int,
    *,
    percent: float,
    by: str,
    reason: str,
    policy: CanaryPolicy | None = None,
) -> Version:
    """Let a version answer a share of the runs beside the active one, or change its share.

    From then on its results are watched, and it is promoted or rolled back by itself.

    Args:
        session: of the transaction.
        owner: whose program it is.
        program: its name.
        version: the candidate's number.
        percent: how many of a hundred chats (or runs that belong to none) it answers.
        by: who wants it.
        reason: for the audit trail.
        policy: when it is promoted, and when rolled back.

    Raises:
        NotFound: `unknown_program` or `program_version_not_found`.
        Conflict: `signature_changed`; or `no_canary`, it is active already, nothing is, or another version is
            the canary; or `experiment_running`.
    """
    await lock_program(session, program)
    await refuse_under_test(session, owner, program)
    new = await get_version(session, owner, program, version)
    refuse_mismatch(program, new.signature, (await get_program(session, owner, program)).signature)
    active = await _with_status(session, owner, program, VersionStatus.ACTIVE)
    canary = await _with_status(session, owner, program, VersionStatus.CANARY)
    if active is None or active.id == new.id:
        raise Conflict(f"A canary of {program} answers beside another version, which is active.", "no_canary")
    if canary is not None and canary.id != new.id:
        raise Conflict(
            f"Version {canary.version} is the canary of {program}; roll it back or promote it first.",
            "no_canary",
        )
    change = sa.update(_VERSIONS).where(_VERSIONS.c.id == new.id)
    await session.execute(change.values(status=VersionStatus.CANARY, canary_percent=percent))
    await begin_canary(*(session, owner, program, new.id, active.id), percent=percent, policy=policy, by=by)
    why = f"{percent:g} %. {reason}".strip()
    await _note(session, ChangeAction.CANARY, new, active.id, new.id, by, why)
    return await version_by_id(session, owner, new.id)


async def rollback(session: WriteSession, owner: str, program: str, *, by: str, reason: str) -> Version:
    """Undo the last change of what answers: end the canary when there is one, else take the version before.

    Raises:
        NotFound: `unknown_program`.
        Conflict: `nothing_to_roll_back`, or `signature_changed` for a version that the code cannot load.
    """
    await lock_program(session, program)
    canary = await _with_status(session, owner, program, VersionStatus.CANARY)
    active = await _with_status(session, owner, program, VersionStatus.ACTIVE)
    if canary is not None:
        await _set_status(session, canary.id, VersionStatus.RETIRED)
        await end_canary(session, owner, program, CanaryStatus.ROLLED_BACK, by=by, reason=reason)
        await _note(
            session, ChangeAction.END_CANARY, canary, canary.id, active.id if active else None, by, reason
        )
        return active or canary
    before = await _served_before(session, active) if active else None
    if active is None or before is None:
        raise Conflict(f"{program} was never served by another version.", "nothing_to_roll_back")
    refuse_mismatch(program, before.signature, (await get_program(session, owner, program)).signature)
    await _activate(session, owner, before, active, ChangeAction.ROLLBACK, by, reason)
    return await version_by_id(session, owner, before.id)


async def list_changes(
    session: ReadSession, owner: str, program: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Change]:
    """Return the audit trail of the owner's program, newest first.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    was, now = _VERSIONS.alias("was"), _VERSIONS.alias("now")
    query = (
        sa.select(
            *(_CHANGES.c.id, _PROGRAMS.c.name.label("program"), _CHANGES.c.action, _CHANGES.c.reason),
            *(_CHANGES.c.done_by.label("by"), _CHANGES.c.at),
            *(was.c.version.label("from_version"), now.c.version.label("to_version")),
        )
        .join_from(_CHANGES, _PROGRAMS)
        .outerjoin(was, was.c.id == _CHANGES.c.from_id)
        .outerjoin(now, now.c.id == _CHANGES.c.to_id)
        .where(_PROGRAMS.c.name == program, _CHANGES.c.owner == owner)
    )
    if cursor is not None:
        query = query.where(_CHANGES.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_CHANGES.c.id.desc()).limit(limit + 1))).all()
    if not rows:
        await get_program(session, owner, program)
    items = [Change.model_validate(row, from_attributes=True) for row in rows]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def pin_versions(session: WriteSession, run_id: UUID, wanted: Mapping[str, UUID]) -> dict[str, UUID]:
    """Bind a run to versions, and return those that it is bound to: the first attempt's hold for all."""
    pinned = {}
    for program, version_id in sorted(wanted.items()):
        values = {"run_id": run_id, "program": program, "version_id": version_id}
        row = await insert_or_existing(session, _PINS, values, [_PINS.c.version_id])
        pinned[program] = row.version_id
    return pinned


async def programs_of(session: ReadSession, owner: str, run_id: UUID) -> list[ProgramUse]:
    """Return the versions that the owner's run answers with, by program; none when it uses none."""
    query = (
        sa.select(_PINS.c.program, _PINS.c.version_id, _VERSIONS.c.version)
        .join_from(_PINS, _VERSIONS, _VERSIONS.c.id == _PINS.c.version_id)
        .join(_RUNS, _RUNS.c.id == _PINS.c.run_id)
        .where(_PINS.c.run_id == run_id, _RUNS.c.owner == owner)
        .order_by(_PINS.c.program)
    )
    rows = await session.execute(query)
    return [ProgramUse.model_validate(row, from_attributes=True) for row in rows]


async def active_version(session: ReadSession, owner: str, program: str) -> Version | None:
    """Return the version that answers; none before the owner's first run."""
    return await _with_status(session, owner, program, VersionStatus.ACTIVE)


async def canary_version(session: ReadSession, owner: str, program: str) -> Version | None:
    """Return the version that answers a share beside the active one; none while there is no canary."""
    return await _with_status(session, owner, program, VersionStatus.CANARY)


async def _activate(
    session: WriteSession,
    owner: str,
    new: Version,
    old: Version | None,
    action: ChangeAction,
    by: str,
    reason: str,
) -> None:
    if old is not None:
        await _set_status(session, old.id, VersionStatus.RETIRED)
    await _set_status(session, new.id, VersionStatus.ACTIVE)
    await note_active(session, owner, new.program, new.id, by=by, reason=reason)
    why = f"Version {new.version} is active, and it was compared with another one."
    await supersede(session, Doer(by, owner), new.program, why, active_id=new.id)
    await _note(session, action, new, old.id if old else None, new.id, by, reason)


async def _note(
    session: WriteSession,
    action: ChangeAction,
    version: Version,
    from_id: UUID | None,
    to_id: UUID | None,
    by: str,
    reason: str,
) -> None:
    place = sa.select(_VERSIONS.c.program_id, _VERSIONS.c.owner).where(_VERSIONS.c.id == version.id)
    row = (await session.execute(place)).one()
    values = {
        "id": new_id(),
        "program_id": row.program_id,
        "owner": row.owner,
        "action": action,
        "from_id": from_id,
        "to_id": to_id,
        "done_by": by,
        "reason": reason,
        "at": utcnow(),
    }
    await session.execute(sa.insert(_CHANGES).values(values))
    told = {"version": version.version, "from_id": _text(from_id), "to_id": _text(to_id), "reason": reason}
    await record(session, Doer(by, row.owner), f"program.{action}", f"program:{version.program}", **told)


def _text(version_id: UUID | None) -> str | None:
    return None if version_id is None else str(version_id)


async def _set_status(session: WriteSession, version_id: UUID, status: VersionStatus) -> None:
    change = sa.update(_VERSIONS).where(_VERSIONS.c.id == version_id)
    await session.execute(change.values(status=status, canary_percent=None))


async def _with_status(
    session: ReadSession, owner: str, program: str, status: VersionStatus
) -> Version | None:
    query = sa.select(_VERSIONS.c.id).join_from(_VERSIONS, _PROGRAMS)
    query = query.where(_PROGRAMS.c.name == program, _VERSIONS.c.owner == owner, _VERSIONS.c.status == status)
    found = (await session.execute(query)).scalar_one_or_none()
    return None if found is None else await version_by_id(session, owner, found)


async def _served_before(session: ReadSession, active: Version) -> Version | None:
    """Return what was served before the active version was promoted."""
    place = sa.select(_VERSIONS.c.owner).where(_VERSIONS.c.id == active.id)
    owner = (await session.execute(place)).scalar_one()
    taken = [ChangeAction.SHIP, ChangeAction.PROMOTE]
    query = (
        sa.select(_CHANGES.c.from_id)
        .where(_CHANGES.c.to_id == active.id, _CHANGES.c.owner == owner, _CHANGES.c.action.in_(taken))
        .order_by(_CHANGES.c.id.desc())
        .limit(1)
    )
    before = (await session.execute(query)).scalar_one_or_none()
    return None if before is None else await version_by_id(session, owner, before)
