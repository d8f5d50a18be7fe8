"""Programs and their versions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from database.engine import ReadSession, WriteSession
from database.statements import AnySelect, insert_or_existing
from database.tables import ProgramRow, ProgramVersionRow, core
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound
from runtime.ids import new_id

ACTIVE = "active"
_PROGRAMS = core(ProgramRow)
_VERSIONS = core(ProgramVersionRow)


@dataclass(frozen=True, slots=True)
class ProgramVersion:
    """One state of a program. `version` counts from 1 inside the program."""

    id: UUID
    program: str
    version: int
    state: dict[str, Any]
    content_hash: str
    status: str
    signature_fingerprint: str
    parent_id: UUID | None
    origin_run_id: UUID | None
    created_at: datetime


async def register_version(
    session: WriteSession,
    *,
    program: str,
    signature_fingerprint: str,
    state: dict[str, Any],
    content_hash: str,
    status: str = ACTIVE,
    parent_id: UUID | None = None,
    origin_run_id: UUID | None = None,
) -> ProgramVersion:
    """Store a version, and its program at the first; the same content is stored once.

    Raises:
        Conflict: `signature_changed`, the program is known with another signature.
    """
    values = {
        "id": new_id(),
        "name": program,
        "signature_fingerprint": signature_fingerprint,
        "created_at": utcnow(),
    }
    # The row stays locked until the commit (an upsert takes the lock as well), so that version numbers
    # are given one after the other.
    known = await insert_or_existing(
        session, _PROGRAMS, values, [_PROGRAMS.c.id, _PROGRAMS.c.signature_fingerprint]
    )
    if known.signature_fingerprint != signature_fingerprint:
        raise Conflict(f"The signature of the program {program} has changed.", "signature_changed")
    newest = sa.select(sa.func.coalesce(sa.func.max(_VERSIONS.c.version), 0))
    number = (await session.execute(newest.where(_VERSIONS.c.program_id == known.id))).scalar_one() + 1
    version = {
        "id": new_id(),
        "program_id": known.id,
        "version": number,
        "state": state,
        "content_hash": content_hash,
        "status": status,
        "parent_id": parent_id,
        "origin_run_id": origin_run_id,
        "created_at": utcnow(),
    }
    stored = await insert_or_existing(session, _VERSIONS, version, [_VERSIONS.c.id])
    return await get_version(session, stored.id)


async def get_version(session: ReadSession, version_id: UUID) -> ProgramVersion:
    """Return one version.

    Raises:
        NotFound: `program_version_not_found`.
    """
    row = (await session.execute(_query().where(ProgramVersionRow.id == version_id))).one_or_none()
    if row is None:
        raise NotFound(f"There is no program version {version_id}.", "program_version_not_found")
    return ProgramVersion(*row)


async def active_version(session: ReadSession, program: str) -> ProgramVersion | None:
    """Return the newest active version of a program, None when it has none."""
    query = _query().where(ProgramRow.name == program, ProgramVersionRow.status == ACTIVE)
    row = (await session.execute(query.order_by(ProgramVersionRow.version.desc()).limit(1))).one_or_none()
    return None if row is None else ProgramVersion(*row)


async def list_versions(session: ReadSession, program: str) -> list[ProgramVersion]:
    """Return all versions of a program, newest first."""
    query = _query().where(ProgramRow.name == program).order_by(ProgramVersionRow.version.desc())
    return [ProgramVersion(*row) for row in await session.execute(query)]


def _query() -> AnySelect:
    return sa.select(
        *(ProgramVersionRow.id, ProgramRow.name, ProgramVersionRow.version, ProgramVersionRow.state),
        *(ProgramVersionRow.content_hash, ProgramVersionRow.status, ProgramRow.signature_fingerprint),
        *(ProgramVersionRow.parent_id, ProgramVersionRow.origin_run_id, ProgramVersionRow.created_at),
    ).join(ProgramRow, ProgramRow.id == ProgramVersionRow.program_id)
