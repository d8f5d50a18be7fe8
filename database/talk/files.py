"""Uploaded files of an owner."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.statements import AnyRow, AnySelect, changed_rows, insert_or_existing
from database.tables import FileRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_FILES = core(FileRow)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file without its content. `size` is in bytes, `sha256` in hex."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime


async def store_file(
    session: WriteSession,
    owner: str,
    *,
    name: str,
    media_type: str,
    content: bytes,
    file_id: UUID | None = None,
) -> StoredFile:
    """Store a file; under a given id, storing it twice stores one.

    `name` has at most 200 characters, `media_type` (e.g. `text/markdown`) at most 127. `content` may have
    about 7 MB: MariaDB takes 16 MiB in one packet, and bytes may double on the way.

    Raises:
        NotFound: `file_not_found`, the given id is taken by somebody else or its file is deleted.
    """
    values: dict[str, Any] = {
        "id": file_id or new_id(),
        "owner": owner,
        "name": name,
        "media_type": media_type,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": content,
        "created_at": utcnow(),
    }
    await insert_or_existing(session, _FILES, values, [_FILES.c.id])
    return await get_file(session, owner, values["id"])


async def get_file(session: ReadSession, owner: str, file_id: UUID) -> StoredFile:
    """Return what is known of one file of the owner.

    Raises:
        NotFound: `file_not_found`.
    """
    row = (await session.execute(_query(owner).where(FileRow.id == file_id))).one_or_none()
    if row is None:
        raise _not_found(file_id)
    return _file(row)


async def file_content(session: ReadSession, owner: str, file_id: UUID) -> bytes:
    """Return the bytes of one file of the owner.

    Raises:
        NotFound: `file_not_found`.
    """
    query = sa.select(FileRow.content).where(FileRow.id == file_id, *_visible(owner))
    content = (await session.execute(query)).scalar_one_or_none()
    if content is None:
        raise _not_found(file_id)
    return content


async def list_files(
    session: ReadSession, owner: str, *, limit: int = 50, cursor: str | None = None
) -> Page[StoredFile]:
    """Return the owner's files, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _query(owner).order_by(FileRow.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(FileRow.id < cursor_id(cursor))
    items = [_file(row) for row in await session.execute(query)]
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if more else None)


async def delete_file(session: WriteSession, owner: str, file_id: UUID) -> None:
    """Delete a file softly.

    Raises:
        NotFound: `file_not_found`.
    """
    here = (_FILES.c.id == file_id, _FILES.c.owner == owner, _FILES.c.deleted_at.is_(None))
    if not await changed_rows(session, sa.update(_FILES).where(*here).values(deleted_at=utcnow())):
        raise _not_found(file_id)


def _query(owner: str) -> AnySelect:
    return sa.select(
        *(FileRow.id, FileRow.name, FileRow.media_type, FileRow.size, FileRow.sha256, FileRow.created_at)
    ).where(*_visible(owner))


def _visible(owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    return FileRow.owner == owner, FileRow.deleted_at.is_(None)


def _file(row: AnyRow) -> StoredFile:
    return StoredFile(*row)


def _not_found(file_id: UUID) -> NotFound:
    return NotFound(f"There is no file {file_id}.", "file_not_found")
