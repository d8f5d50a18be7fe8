"""The registry: programs of the code, and an owner's versions of them. See also `serving`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.program_states import content_hash, fingerprint_of, refuse_mismatch
from contracts.programs import (
    ProgramDetail,
    ProgramFile,
    ProgramKind,
    Signature,
    State,
    Version,
    VersionOrigin,
    VersionStatus,
    VersionSummary,
)
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, bad_cursor, decode_cursor, encode_cursor
from database.people.audit import Doer, record
from database.statements import AnyRow, AnySelect, insert_or_existing
from database.tables import ProgramRow, ProgramVersionRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_PROGRAMS = core(ProgramRow)
_VERSIONS = core(ProgramVersionRow)
_SUMMARY = [_VERSIONS.c[name] for name in VersionSummary.model_fields if name != "program"]


@dataclass(frozen=True, slots=True)
class NewProgram:
    """A program as the running code has it."""

    name: str
    title: str
    role: str
    signature: Signature
    inputs: dict[str, bool]
    expects: list[str]
    kind: ProgramKind = ProgramKind.WRITER


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A state that `contracts.program_states.checked_state` has seen, and where it comes from."""

    state: State
    signature: Signature
    origin: VersionOrigin
    parent_id: UUID | None = None
    origin_run_id: UUID | None = None
    scores: dict[str, Any] | None = None
    note: str = ""
    offered_by: UUID | None = None
    deployment: str = ""
    imported_by: str | None = None


async def register_programs(session: WriteSession, programs: Iterable[NewProgram]) -> None:
    """Write what the running code has; every worker does so when it starts, and the last one holds."""
    for program in programs:
        at = utcnow()
        values = {
            "title": program.title,
            "role": program.role,
            "kind": program.kind,
            "signature": _plain(program.signature),
            "signature_fingerprint": fingerprint_of(program.signature),
            "inputs": program.inputs,
            "expects": program.expects,
            "updated_at": at,
        }
        new = {"id": new_id(), "name": program.name, "created_at": at, **values}
        known = await insert_or_existing(session, _PROGRAMS, new, [_PROGRAMS.c.id])
        await session.execute(sa.update(_PROGRAMS).where(_PROGRAMS.c.id == known.id).values(values))


async def list_programs(session: ReadSession, owner: str) -> list[ProgramDetail]:
    """Return all programs by name, with the owner's versions counted."""
    rows = (await session.execute(sa.select(_PROGRAMS).order_by(_PROGRAMS.c.name))).all()
    count = sa.select(_VERSIONS.c.program_id, sa.func.count()).where(_VERSIONS.c.owner == owner)
    counted = (await session.execute(count.group_by(_VERSIONS.c.program_id))).all()
    counts = {row[0]: row[1] for row in counted}
    serving = sa.select(
        _VERSIONS.c.program_id, _VERSIONS.c.version, _VERSIONS.c.status, _VERSIONS.c.canary_percent
    ).where(_VERSIONS.c.owner == owner, _VERSIONS.c.status.in_([VersionStatus.ACTIVE, VersionStatus.CANARY]))
    details = {row.id: _detail(row, counts.get(row.id, 0)) for row in rows}
    for row in await session.execute(serving):
        detail = details[row.program_id]
        if row.status == VersionStatus.ACTIVE:
            detail.active = row.version
        else:
            detail.canary, detail.canary_percent = row.version, row.canary_percent
    return list(details.values())


async def get_program(session: ReadSession, owner: str, name: str) -> ProgramDetail:
    """Return one program.

    Raises:
        NotFound: `unknown_program`, with what there is.
    """
    found = await list_programs(session, owner)
    for program in found:
        if program.name == name:
            return program
    raise _unknown(name, [program.name for program in found])


async def add_version(
    session: WriteSession, owner: str, program: str, new: NewVersion
) -> tuple[Version, bool]:
    """Store a candidate; the same content for the same deployment is stored once.

    Returns:
        The version, and whether this call made it.

    Raises:
        NotFound: `unknown_program`.
    """
    # The row stays locked until the commit, so that version numbers are given one after the other.
    program_id = (await lock_program(session, program)).id
    newest = sa.select(sa.func.coalesce(sa.func.max(_VERSIONS.c.version), 0))
    mine = (_VERSIONS.c.program_id == program_id, _VERSIONS.c.owner == owner)
    number = (await session.execute(newest.where(*mine))).scalar_one() + 1
    values = {
        "id": new_id(),
        "program_id": program_id,
        "owner": owner,
        "version": number,
        "status": VersionStatus.CANDIDATE,
        "origin": new.origin,
        "state": new.state,
        "content_hash": content_hash(new.state),
        "signature": _plain(new.signature),
        "signature_fingerprint": fingerprint_of(new.signature),
        "parent_id": new.parent_id,
        "origin_run_id": new.origin_run_id,
        "offered_by": new.offered_by,
        "imported_by": new.imported_by,
        "deployment": new.deployment,
        "scores": new.scores,
        "note": new.note,
        "created_at": utcnow(),
    }
    stored = await insert_or_existing(session, _VERSIONS, values, [_VERSIONS.c.id])
    return await version_by_id(session, owner, stored.id), stored.id == values["id"]


async def import_version(
    session: WriteSession, by: Doer, person: str, file: ProgramFile
) -> tuple[Version, bool]:
    """Store a version that came as a file, in the doer's space, with a line in the audit log.

    Args:
        session: of the transaction.
        by: the credential that acts.
        person: who answers for it, whatever key they use; it is their work where a policy wants four eyes.
        file: its state was checked before.

    Returns:
        The version, and whether this call made it: content that is known stays whose it was.

    Raises:
        NotFound: `unknown_program`.
        Conflict: `signature_changed`, it was made for other code.
    """
    program = await get_program(session, by.owner, file.program)
    refuse_mismatch(file.program, file.signature, program.signature)
    new = NewVersion(
        *(file.state, program.signature, VersionOrigin.IMPORT),
        scores=file.scores,
        note=file.note,
        deployment=file.deployment,
        imported_by=person,
    )
    version, created = await add_version(session, by.owner, file.program, new)
    if created:
        detail = {"program": version.program, "version": version.version, "person": person}
        await record(session, by, "program.imported", f"program_version:{version.id}", **detail)
    return version, created


async def get_version(session: ReadSession, owner: str, program: str, version: int) -> Version:
    """Return one version of the owner by its number.

    Raises:
        NotFound: `unknown_program` or `program_version_not_found`.
    """
    query = _query(owner).where(_PROGRAMS.c.name == program, _VERSIONS.c.version == version)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        await get_program(session, owner, program)
        raise NotFound(f"{program} has no version {version}.", "program_version_not_found")
    return as_version(row)


async def version_by_id(session: ReadSession, owner: str, version_id: UUID) -> Version:
    """Return one version of the owner.

    Raises:
        NotFound: `program_version_not_found`.
    """
    row = (await session.execute(_query(owner).where(_VERSIONS.c.id == version_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no program version {version_id}.", "program_version_not_found")
    return as_version(row)


async def list_versions(
    session: ReadSession, owner: str, program: str, *, limit: int = 50, cursor: str | None = None
) -> Page[VersionSummary]:
    """Return the owner's versions of a program, newest first, without their states.

    Raises:
        NotFound: `unknown_program`.
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_SUMMARY, _PROGRAMS.c.name.label("program")).join_from(_VERSIONS, _PROGRAMS)
    query = query.where(_VERSIONS.c.owner == owner, _PROGRAMS.c.name == program)
    if cursor is not None:
        query = query.where(_VERSIONS.c.version < _number(cursor))
    rows = (await session.execute(query.order_by(_VERSIONS.c.version.desc()).limit(limit + 1))).all()
    if not rows:
        await get_program(session, owner, program)
    items = [VersionSummary.model_validate(row, from_attributes=True) for row in rows]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].version)) if more else None)


async def lock_program(session: WriteSession, program: str) -> AnyRow:
    """Return a program's row, locked: who decides about its versions does so one after the other.

    Raises:
        NotFound: `unknown_program`.
    """
    query = sa.select(_PROGRAMS).where(_PROGRAMS.c.name == program).with_for_update()
    row = (await session.execute(query)).one_or_none()
    if row is None:
        known = await session.execute(sa.select(_PROGRAMS.c.name).order_by(_PROGRAMS.c.name))
        raise _unknown(program, list(known.scalars()))
    return row


def as_version(row: AnyRow) -> Version:
    """Return the contract of a row of `_query`."""
    return Version.model_validate(row, from_attributes=True)


def _query(owner: str) -> AnySelect:
    columns = [*_SUMMARY, _VERSIONS.c.state, _VERSIONS.c.signature, _PROGRAMS.c.name.label("program")]
    return sa.select(*columns).join_from(_VERSIONS, _PROGRAMS).where(_VERSIONS.c.owner == owner)


def _detail(row: AnyRow, versions: int) -> ProgramDetail:
    return ProgramDetail(
        name=row.name,
        title=row.title,
        role=row.role,
        kind=row.kind or ProgramKind.WRITER,
        versions=versions,
        signature=row.signature,
        signature_fingerprint=row.signature_fingerprint,
        inputs=row.inputs,
        expects=row.expects,
    )


def _plain(signature: Signature) -> dict[str, Any]:
    return {name: [field.model_dump(mode="json") for field in fields] for name, fields in signature.items()}


def _number(cursor: str) -> int:
    (text,) = decode_cursor(cursor, parts=1)
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004
        raise bad_cursor()
    return int(text)


def _unknown(name: str, known: list[str]) -> NotFound:
    there = f"there are {', '.join(known)}" if known else "none is registered: start a worker once"
    return NotFound(f"There is no program {name!r}; {there}.", "unknown_program", None, {"program": name})
