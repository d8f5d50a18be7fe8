"""Documents: uploaded together or not at all, under a harmless name."""

import hashlib
from uuid import UUID

import pytest
from httpx2 import AsyncClient

from contracts.analysis import MAX_FILE_BYTES
from database.engine import Database
from database.talk.files import file_content, store_file

FILES = "/api/v1/files"


async def test_several_files_are_stored_in_one_upload(client: AsyncClient, store: Database):
    answer = await client.post(
        FILES, files=[("files", ("a.md", b"# A", "text/markdown")), ("files", ("b.csv", b"x,y\n1,2"))]
    )

    first, second = answer.json()["items"]
    assert answer.status_code == 201
    assert (first["name"], first["media_type"], first["size"]) == ("a.md", "text/markdown", 3)
    assert (second["name"], second["media_type"]) == ("b.csv", "text/csv")
    assert first["sha256"] == hashlib.sha256(b"# A").hexdigest()
    async with store.read() as session:
        assert await file_content(session, "local", UUID(first["id"])) == b"# A"


async def test_a_file_of_the_full_size_is_taken_and_one_byte_more_is_not(client: AsyncClient):
    full = await client.post(FILES, files={"files": ("big.txt", b"x" * MAX_FILE_BYTES)})
    more = await client.post(FILES, files={"files": ("big.txt", b"x" * (MAX_FILE_BYTES + 1))})

    assert (full.status_code, full.json()["items"][0]["size"]) == (201, MAX_FILE_BYTES)
    assert (more.status_code, more.json()["code"]) == (413, "too_large")


async def test_one_bad_file_refuses_the_whole_upload(client: AsyncClient):
    """All or none: nobody has to find out which came through."""
    answer = await client.post(FILES, files=[("files", ("a.txt", b"good")), ("files", ("b.txt", b""))])

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "files.1")
    assert (await client.get(FILES)).json()["items"] == []


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"file": ("a.txt", b"x")}},
        {"files": {"files": ("a.txt", b"x"), "more": ("b.txt", b"x")}},
        {"files": {"files": ("a.txt", b"x")}, "data": {"title": "A"}},
        {"files": {"files": (None, b"words without a file name")}},
    ],
)
async def test_another_field_is_refused_with_the_name_of_the_right_one(client: AsyncClient, form):
    """`curl -F file=@a.txt` is the first thing that people try."""
    answer = await client.post(FILES, **form)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "files")
    assert (await client.get(FILES)).json()["items"] == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\offer.pdf", "offer.pdf"),
        ("/abs/olute.txt", "olute.txt"),
        ("Übersicht 2026, Entwurf.md", "Übersicht 2026, Entwurf.md"),
    ],
)
async def test_a_name_is_kept_without_its_folders(client: AsyncClient, sent: str, kept: str):
    answer = await client.post(FILES, files={"files": (sent, b"x")})

    assert answer.json()["items"][0]["name"] == kept


@pytest.mark.parametrize("name", ["..", "folder/", "a\x00b.txt", "a\x1b[2J.txt", "x" * 201])
async def test_a_name_that_could_do_harm_is_refused(client: AsyncClient, name: str):
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode()
    body += b'"\r\n\r\nx\r\n--b--\r\n'
    answer = await client.post(
        FILES, content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert answer.status_code in {400, 422}
    assert (await client.get(FILES)).json()["items"] == []


@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "<script>/x", "x/" + "y" * 200, ""])
async def test_a_media_type_is_one_or_is_guessed(client: AsyncClient, media_type: str):
    answer = await client.post(FILES, files={"files": ("page.html", b"<p>", media_type)})

    assert answer.json()["items"][0]["media_type"] == "text/html"


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"{}", {"Content-Type": "application/json"}, "unsupported_media_type"),
        (b"x", {"Content-Type": "multipart/form-data"}, "bad_request"),
        (b"x", {"Content-Type": "multipart/form-data; boundary=b"}, "bad_request"),
        (b"", {"Content-Type": "multipart/form-data; boundary=b"}, "invalid_parameters"),
    ],
)
async def test_an_upload_that_is_none_is_refused(
    client: AsyncClient, content: bytes, headers: dict[str, str], code: str
):
    answer = await client.post(FILES, content=content, headers=headers)

    assert answer.json()["code"] == code


async def test_files_are_listed_shown_and_put_away(client: AsyncClient):
    for name in ("a.txt", "b.txt", "c.txt"):
        await client.post(FILES, files={"files": (name, b"x")})
    page = (await client.get(FILES, params={"limit": 2})).json()
    rest = (await client.get(FILES, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [each["name"] for each in page["items"] + rest["items"]] == ["c.txt", "b.txt", "a.txt"]

    address = f"{FILES}/{page['items'][0]['id']}"
    assert (await client.get(address)).json()["name"] == "c.txt"
    assert (await client.delete(address)).status_code == 204
    assert {(await client.get(address)).status_code, (await client.delete(address)).status_code} == {404}


async def test_the_file_of_somebody_else_does_not_exist(client: AsyncClient, store: Database):
    foreign = await store.write(store_file, "other", name="a.txt", media_type="text/plain", content=b"x")

    assert (await client.get(f"{FILES}/{foreign.id}")).status_code == 404
    assert (await client.delete(f"{FILES}/{foreign.id}")).status_code == 404
