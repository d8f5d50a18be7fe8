"""Large prompts and answers: stored once per owner, by the hashes of their pieces.

Below `INLINE_CHARS` a value stays in its row, because most calls are small and a statement costs them more
than the bytes. Blobs belong to the owner of the run that wrote them and are never looked for anywhere else:
equal texts of two owners are two rows, so nobody learns by a hash what somebody else has said.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite

from database.engine import ReadSession, WriteSession
from database.journal.pieces import Blob, join, split
from database.statements import is_sqlite
from database.tables import BlobRow, RunRow, core
from runtime.clock import utcnow

INLINE_CHARS = 4096
_AT_ONCE = 1000

_BLOBS = core(BlobRow)
_RUNS = core(RunRow)


@dataclass(frozen=True, slots=True)
class Packed:
    """A value as its row keeps it: in the row, or as the root of its pieces."""

    inline: dict[str, Any] | None
    root: str | None = None
    blobs: Mapping[str, Blob] = field(default_factory=dict)


def pack(value: dict[str, Any]) -> Packed:
    """Return a JSON value ready to be stored; `keep` must follow in the same transaction."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) <= INLINE_CHARS:
        return Packed(value)
    return Packed(None, *split(text))


async def keep(session: WriteSession, run_id: UUID, packed: Packed) -> None:
    """Store those blobs of a packed value that the run's owner does not have: none, or two statements more.

    What is asked for are nodes only, whose pieces are there with them; so a long chat's next turn asks for a
    few dozen hashes and writes the pieces of its new message.
    """
    if packed.root is None:
        return
    asked = [blob.hash for blob in packed.blobs.values() if blob.is_node] or [packed.root]
    owner, known = await _known(session, run_id, asked)
    rows = [
        {
            "owner": owner,
            "hash": blob.hash,
            "is_node": blob.is_node,
            "content": blob.content,
            "created_at": utcnow(),
        }
        # In the order of their key: two writers of the same pieces never wait for each other in a ring.
        for blob in sorted(_missing(packed, known), key=attrgetter("hash"))
    ]
    if rows:
        await session.execute(_insert(sqlite_=is_sqlite(session)), rows)


async def unpack(
    session: ReadSession, run_id: UUID, inline: dict[str, Any] | None, root: str | None
) -> dict[str, Any] | None:
    """Return the value of a row of this run, exactly as it was packed."""
    if root is None:
        return inline
    found: dict[str, Blob] = {}
    wanted = {root}
    # Level by level: as many statements as the tree is high, two or three for a long prompt.
    while wanted:
        level = [blob async for blob in _blobs(session, run_id, wanted)]
        found |= {blob.hash: blob for blob in level}
        wanted = {part for blob in level for part in blob.parts} - found.keys()
    value: dict[str, Any] = json.loads(join(root, found))
    return value


async def _known(session: ReadSession, run_id: UUID, asked: Sequence[str]) -> tuple[str, set[str]]:
    """Return the owner of a run, and which of these blobs it has."""
    owner, known = "", set()
    for some in _batches(asked):
        theirs = (_BLOBS.c.owner == _RUNS.c.owner) & _BLOBS.c.hash.in_(some)
        query = sa.select(_RUNS.c.owner, _BLOBS.c.hash).join_from(_RUNS, _BLOBS, theirs, isouter=True)
        for row in await session.execute(query.where(_RUNS.c.id == run_id)):
            owner = row.owner
            known.add(row.hash)
    return owner, known


def _missing(packed: Packed, known: set[str]) -> Iterator[Blob]:
    """Yield each blob that no known node stands for, once."""
    waiting, seen = [packed.root or ""], set(known)
    while waiting:
        if (name := waiting.pop()) in seen:
            continue
        seen.add(name)
        blob = packed.blobs[name]
        yield blob
        waiting += blob.parts


async def _blobs(session: ReadSession, run_id: UUID, names: set[str]) -> AsyncIterator[Blob]:
    columns = (_BLOBS.c.hash, _BLOBS.c.is_node, _BLOBS.c.content)
    for some in _batches(list(names)):
        query = sa.select(*columns).join(_RUNS, _RUNS.c.owner == _BLOBS.c.owner)
        for row in await session.execute(query.where(_RUNS.c.id == run_id, _BLOBS.c.hash.in_(some))):
            yield Blob(row.hash, row.is_node, row.content)


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


@cache
def _insert(*, sqlite_: bool) -> sa.Insert:
    if sqlite_:
        return sqlite.insert(_BLOBS).on_conflict_do_nothing()
    return mysql.insert(_BLOBS).on_duplicate_key_update(hash=_BLOBS.c.hash)
