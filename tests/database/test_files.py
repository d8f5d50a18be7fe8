"""Uploaded files."""

import hashlib

import pytest

from database.talk.files import delete_file, file_content, get_file, list_files, store_file
from runtime.errors import NotFound
from runtime.ids import new_id


async def store(database, content=b"# Title", **values):
    return await database.write(
        store_file, "local", **{"name": "a.md", "media_type": "text/markdown", "content": content, **values}
    )


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff'\"\\%s?",
        bytes(range(256)) * 20_480,
        # Each of these bytes is escaped, so that 10 MB travel; the server takes 16 MiB in one packet.
        b"'" * (5 * 1024 * 1024),
    ],
    ids=["empty", "odd", "5 MB", "5 MB that doubles on the way"],
)
async def test_any_bytes_up_to_5_mb_come_back_as_they_were(database, content):
    stored = await store(database, content)
    assert await read(database, file_content, "local", stored.id) == content
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert await read(database, get_file, "local", stored.id) == stored


async def test_a_file_stored_twice_under_one_id_is_one_file(database):
    file_id = new_id()
    first = await store(database, file_id=file_id)
    assert await store(database, b"other", file_id=file_id) == first
    assert await read(database, file_content, "local", file_id) == b"# Title"


async def test_a_deleted_file_is_gone(database):
    stored = await store(database)
    await database.write(delete_file, "local", stored.id)
    assert (await read(database, list_files, "local")).items == []
    for query in (get_file, file_content):
        with pytest.raises(NotFound) as caught:
            await read(database, query, "local", stored.id)
        assert caught.value.code == "file_not_found"
    with pytest.raises(NotFound):
        await database.write(delete_file, "local", stored.id)


async def test_a_file_of_somebody_else_does_not_exist(database):
    stored = await store(database)
    for query in (get_file, file_content):
        with pytest.raises(NotFound):
            await read(database, query, "someone", stored.id)
    with pytest.raises(NotFound):
        await database.write(delete_file, "someone", stored.id)
    assert (await read(database, list_files, "someone")).items == []


async def test_files_are_listed_newest_first_page_by_page(database):
    made = [(await store(database, name=f"{n}.md")).name for n in range(5)]
    page = await read(database, list_files, "local", limit=3)
    rest = await read(database, list_files, "local", limit=3, cursor=page.next_cursor)
    assert [file.name for file in page.items + rest.items] == made[::-1]
    assert rest.next_cursor is None
