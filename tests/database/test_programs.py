"""Programs and their versions."""

import asyncio

import pytest

from database.programs import active_version, get_version, list_versions, register_version
from runtime.errors import Conflict, NotFound
from runtime.ids import new_id


async def register(database, content_hash, **values):
    given = {"program": "answer", "signature_fingerprint": "s" * 64, "state": {"demos": [content_hash]}}
    return await database.write(register_version, content_hash=content_hash, **{**given, **values})


async def read(database, query, *args):
    async with database.read() as session:
        return await query(session, *args)


async def test_the_same_content_is_one_version(database):
    first = await register(database, "a")
    assert await register(database, "a") == first
    second = await register(database, "b", parent_id=first.id)
    assert [found.version for found in await read(database, list_versions, "answer")] == [2, 1]
    assert (second.parent_id, second.state) == (first.id, {"demos": ["b"]})


async def test_versions_registered_at_once_are_numbered_without_gaps(database):
    """Every worker registers the shipped programs when it starts."""
    await asyncio.gather(*(register(database, f"{n % 5}") for n in range(20)))
    versions = await read(database, list_versions, "answer")
    assert sorted(found.version for found in versions) == [1, 2, 3, 4, 5]


async def test_the_newest_active_version_is_served(database):
    assert await read(database, active_version, "answer") is None
    active = await register(database, "a")
    await register(database, "b", status="candidate")
    assert await read(database, active_version, "answer") == active


async def test_a_changed_signature_is_refused(database):
    """A state of other fields would load in silence and answer nonsense."""
    await register(database, "a")
    with pytest.raises(Conflict) as caught:
        await register(database, "b", signature_fingerprint="t" * 64)
    assert caught.value.code == "signature_changed"


async def test_a_version_that_is_not_there_is_not_found(database):
    with pytest.raises(NotFound):
        await read(database, get_version, new_id())
