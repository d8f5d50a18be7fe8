"""A corpus of what attackers send: each answer is a refusal or plain data, never a 5xx, never an effect."""

import asyncio
import json

import httpx2
import pytest
import sqlalchemy as sa

from database.tables import Table
from tests.api.people import V1, Town

SQL = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "1) UNION SELECT password_hash FROM users --",
    "\\'; DELETE FROM runs; #",
    "%' AND SLEEP(5) AND '%'='",
    "admin'/*",
]
PATHS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "%2e%2e/%2e%2e/.env",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "file:///etc/passwd",
    "\0.txt",
]
TEXTS = [
    "\ud800",
    "a\0b",
    "\x1b[2J",
    "\u202etxt.exe",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "A" * 10_000,
]
JSON = [
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"title": 1e999}',
    b'{"title": ' + b"9" * 5_000 + b"}",
    b'{"title": "\\ud800"}',
    b'{"title": "\\u0000"}',
    b'{"title": NaN}',
    b"\xff\xfe{}",
    b'{"title": "a", "title": "b", "owner": "user:x"}',
    b'{"__proto__": {"admin": true}, "title": "x"}',
    b"null",
    b'"x"',
]
HEADERS = [
    ("X-Request-ID", "a\tb"),
    ("X-Request-ID", "x" * 5_000),
    ("Idempotency-Key", "' OR 1=1 --"),
    ("Last-Event-ID", "-1"),
    ("Last-Event-ID", "9" * 400),
    ("Millrace-Project", "../admin"),
    ("Content-Type", "application/json; charset=utf-7"),
    ("Authorization", "Bearer " + "A" * 7_000),
]


async def untouched(town: Town) -> None:
    """The tables are all there, and nobody has become anybody else."""
    async with town.resources.database.read() as session:
        for table in Table.metadata.tables.values():
            await session.execute(sa.select(sa.func.count()).select_from(table))
        users = Table.metadata.tables["users"]
        roles = (await session.execute(sa.select(users.c.role).order_by(users.c.email))).scalars().all()
    assert list(roles) == ["admin", "user", "user"]


@pytest.mark.parametrize("text", SQL)
async def test_sql_is_a_text_like_any_other(town: Town, text: str):
    uma = town["uma"]
    made = await uma.post("/chats", {"title": text})
    assert (made.status_code, made.json()["title"]) == (201, text.strip())
    for path in (f"/runs?pipeline={text}", f"/runs?cursor={text}", f"/runs/{text}", f"/audit?actor={text}"):
        answer = await uma.get(path)
        assert answer.status_code < 500
        assert "password_hash" not in answer.text
    assert (await town.login(text, text)).status_code in {401, 422}
    await untouched(town)


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_leads_nowhere(town: Town, path: str):
    uma = town["uma"]
    for address in (f"/files/{path}", f"/runs/{path}", f"/programs/{path}"):
        try:
            answer = await uma.get(address)
        except httpx2.InvalidURL:
            continue
        assert 400 <= answer.status_code < 500
        assert "root:" not in answer.text
    sent = await uma.call("POST", "/files", files={"files": (path, b"x")})
    assert sent.status_code in {201, 422}
    if sent.status_code == 201:
        name = sent.json()["items"][0]["name"]
        assert not {"/", "\\", "\0"} & set(name)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_odd_texts_come_back_as_they_were_or_not_at_all(town: Town, text: str):
    body = json.dumps({"title": text}).encode()
    answer = await town["uma"].call(
        "POST", "/chats", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code in {201, 422}
    assert answer.headers["content-type"].startswith("application/")
    if answer.status_code == 201:
        assert answer.json()["title"] == text.strip()


@pytest.mark.parametrize("body", JSON, ids=range(len(JSON)))
async def test_json_that_breaks_readers_is_refused(town: Town, body: bytes):
    headers = {"Content-Type": "application/json"}
    answer = await town["uma"].call("POST", "/chats", content=body, headers=headers)

    assert answer.status_code in {400, 413, 422}, answer.text[:200]
    assert answer.json()["code"] in {"malformed_json", "invalid_parameters", "too_large"}


@pytest.mark.parametrize(("name", "value"), HEADERS, ids=range(len(HEADERS)))
async def test_a_header_says_what_it_says_and_no_more(town: Town, name: str, value: str):
    token = town["uma"].tokens["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", name: value}
    answer = await town.client.post(f"{V1}/chats", content=b"{}", headers=headers)

    assert answer.status_code < 500
    assert all("\n" not in each and len(each) < 500 for each in answer.headers.values())


async def test_a_body_larger_than_allowed_is_refused_before_it_is_read(town: Town):
    answer = await town["uma"].post("/chats", {"title": "x" * 2_000_000})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_fields_that_nobody_may_set_are_not_set(town: Town):
    """Mass assignment: what a model does not name is refused, not ignored."""
    uma = town["uma"]
    tries = [
        await uma.post("/chats", {"title": "x", "owner": f"user:{town['ada'].id}"}),
        await uma.post("/pipelines/probe/runs", {"params": {}, "owner": "local"}),
        await uma.post("/projects", {"name": "x", "role": "admin"}),
        await uma.post("/auth/password", {"current": "x", "new": "x" * 12, "role": "admin"}),
    ]

    assert {each.status_code for each in tries} == {422}
    await untouched(town)


async def test_an_error_tells_nothing_of_the_inside(town: Town):
    answers = await asyncio.gather(
        town["uma"].get("/runs/x"),
        town["uma"].get("/nowhere"),
        town.with_credential("x.y.z", "GET", "/runs"),
        town["uma"].get("/runs?cursor=AAAA"),
    )

    for answer in answers:
        assert not any(word in answer.text for word in ("Traceback", "sqlalchemy", "site-packages", "SELECT"))
