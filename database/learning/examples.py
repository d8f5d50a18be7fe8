"""Examples of an owner: stored once per input, listed, counted, taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from contracts.example_texts import input_hash, split_of
from contracts.examples import Example, ExampleOrigin, Imported, NewExample, Split
from database.engine import ReadSession, WriteSession
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.statements import changed_rows, insert_or_existing
from database.tables import ExampleRow, core
from runtime.clock import utcnow
from runtime.errors import NotFound
from runtime.ids import new_id

_EXAMPLES = core(ExampleRow)
_COLUMNS = [_EXAMPLES.c[name] for name in Example.model_fields]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where an example comes from."""

    origin: ExampleOrigin
    run_id: UUID | None = None
    message_id: UUID | None = None
    version_id: UUID | None = None
    feedback_id: UUID | None = None


async def put_example(
    session: WriteSession, owner: str, program: str, example: NewExample, lineage: Lineage
) -> tuple[Example, bool]:
    """Store an example; for inputs that are known, what is expected is brought up to date.

    Returns:
        The example, and whether its inputs were new.
    """
    digest = input_hash(example.inputs)
    told = {
        "expected": example.expected,
        "origin": lineage.origin,
        "run_id": lineage.run_id,
        "message_id": lineage.message_id,
        "version_id": lineage.version_id,
        "feedback_id": lineage.feedback_id,
    }
    values = {
        "id": new_id(),
        "owner": owner,
        "program": program,
        "inputs": example.inputs,
        "input_hash": digest,
        "split": split_of(digest),
        "created_at": utcnow(),
        **told,
    }
    stored = await insert_or_existing(session, _EXAMPLES, values, _COLUMNS)
    if stored.id != values["id"]:
        await session.execute(sa.update(_EXAMPLES).where(_EXAMPLES.c.id == stored.id).values(told))
        return await get_example(session, owner, stored.id), False
    return Example.model_validate(stored, from_attributes=True), True


async def import_examples(
    session: WriteSession, owner: str, program: str, examples: Sequence[NewExample]
) -> Imported:
    """Store examples that were checked before, all of them or none."""
    splits = dict.fromkeys(Split, 0)
    added = 0
    for example in examples:
        stored, created = await put_example(session, owner, program, example, Lineage(ExampleOrigin.IMPORT))
        splits[stored.split] += 1
        added += created
    return Imported(added=added, known=len(examples) - added, splits=splits)


async def get_example(session: ReadSession, owner: str, example_id: UUID) -> Example:
    """Return one example of the owner.

    Raises:
        NotFound: `example_not_found`.
    """
    query = sa.select(*_COLUMNS).where(_EXAMPLES.c.id == example_id, _EXAMPLES.c.owner == owner)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise _not_found(example_id)
    return Example.model_validate(row, from_attributes=True)


async def list_examples(
    session: ReadSession,
    owner: str,
    program: str,
    *,
    split: Split | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Example]:
    """Return the owner's examples for a program, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).where(_EXAMPLES.c.owner == owner, _EXAMPLES.c.program == program)
    if split is not None:
        query = query.where(_EXAMPLES.c.split == split)
    if cursor is not None:
        query = query.where(_EXAMPLES.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_EXAMPLES.c.id.desc()).limit(limit + 1))).all()
    items = [Example.model_validate(row, from_attributes=True) for row in rows]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def all_examples(session: ReadSession, owner: str, program: str) -> list[Example]:
    """Return all of the owner's examples for a program, in the order of their hashes: the same every time."""
    query = sa.select(*_COLUMNS).where(_EXAMPLES.c.owner == owner, _EXAMPLES.c.program == program)
    rows = await session.execute(query.order_by(_EXAMPLES.c.input_hash))
    return [Example.model_validate(row, from_attributes=True) for row in rows]


async def delete_example(session: WriteSession, owner: str, example_id: UUID) -> None:
    """Delete an example for good: it may hold what somebody wants forgotten.

    Raises:
        NotFound: `example_not_found`.
    """
    mine = sa.delete(_EXAMPLES).where(_EXAMPLES.c.id == example_id, _EXAMPLES.c.owner == owner)
    if not await changed_rows(session, mine):
        raise _not_found(example_id)


def _not_found(example_id: UUID) -> NotFound:
    return NotFound(f"There is no example {example_id}.", "example_not_found")
