"""Tenants: what is one's answers no question of another's, whatever the address, the cursor or the stream."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from api.app import create_app
from api.settings import ApiSettings
from contracts.people import Role, user_space
from database.people.personal import FOLLOWING, NOT_EXPORTED, OF_A_PERSON, OWNED, SECRETS, SHARED
from database.tables import Table
from tests.api.every_table import MARK, fill, personal_tables
from tests.api.people import Town
from tests.fixtures.made_programs import NAME, register


def test_every_table_is_known_to_belong_to_somebody_or_to_all():
    """A table in no group is neither exported nor erased, and nobody has thought about whose it is."""
    groups = [OWNED, set(FOLLOWING), OF_A_PERSON, SHARED]
    known = [name for group in groups for name in group]

    assert sorted(known) == sorted(Table.metadata.tables), (
        "put the table in a group of database/people/personal.py"
    )
    for name in OWNED:
        assert "owner" in Table.metadata.tables[name].columns, name
    for name in SHARED - {"audit_log"}:
        assert "owner" not in Table.metadata.tables[name].columns, name


def test_what_is_kept_back_is_there_to_be_kept_back():
    """A secret under a name that no column has is handed out under the one that it has."""
    columns = {
        (name, column.name) for name, table in Table.metadata.tables.items() for column in table.columns
    }

    assert columns >= SECRETS
    assert Table.metadata.tables.keys() >= NOT_EXPORTED
    # What people and programs show to be let in; other hashes are of contents.
    shown = {each for each in columns if each[1] in {"hash", "secret", "password_hash"}}
    assert {each for each in shown - SECRETS if each[0] not in NOT_EXPORTED} == {("blobs", "hash")}


async def possessions(town: Town) -> dict[str, str]:
    """Make Uma own one of each thing that the API makes; return ids by the name of their path parameter."""
    uma = town["uma"]
    chat = (await uma.post("/chats", {"title": MARK})).json()["id"]
    turn = (await uma.post(f"/chats/{chat}/messages", {"content": MARK})).json()
    files = {"files": ("secret.txt", MARK.encode())}
    file = (await uma.call("POST", "/files", files=files)).json()["items"][0]["id"]
    project = (await uma.post("/projects", {"name": MARK})).json()["id"]
    says = {"name": f"umas-{uuid4()}", "instructions": MARK}
    agent = (await uma.post("/agents", says)).json()["id"]
    await uma.key("runs:read")
    key = (await uma.get("/api-keys")).json()["items"][0]["id"]
    return {
        "chat_id": chat,
        "run_id": turn["run"]["id"],
        "agent_id": agent,
        "message_id": turn["message"]["id"],
        "file_id": file,
        "project_id": project,
        "key_id": key,
        "user_id": uma.id,
    }


# What these must be sent to get as far as looking for the row; an empty object does for the others.
BODIES: dict[str, Any] = {
    "trigger_run": {"params": {}},
    "decide_approval": {"decision": "approve", "digest": "d" * 64},
    "start_canary": {"percent": 10},
    "vote_on_match": {"choice": "first"},
    "promote_arm": {"arm": "a"},
    "decide_about_recommendation": {"decision": "approve", "digest": "d" * 64},
    "send_message": {"content": "x"},
    "change_chat": {"title": "x"},
    "change_agent": {"description": "x"},
    "run_agent": {"message": "x"},
    "rename_project": {"name": "x"},
    "set_member": {"email": "mallory@example.org"},
    "judge_message": {"score": 1},
    "judge_run": {"score": 1},
    "share_agent": {"project_id": "0198c0de-7a11-7000-8000-000000000001"},
    "share_chat": {"project_id": "0198c0de-7a11-7000-8000-000000000001"},
}
# Their last part names what the server has for all; nothing there is anybody's.
NAMES_OF_ALL = {
    *(
        "/api/v1/pipelines/{name}/runs",
        "/api/v1/models/{name}",
        "/api/v1/routing/{role}",
        "/v1/models/{name}",
    ),
}
# An id names a row of the table that is called as it is; where it is not, this does.
TABLES = {"key_id": "api_keys", "match_id": "arena_matches", "share_id": "chat_shares"}


def table_of(parameter: str) -> str:
    """Return the table that an id in an address names a row of."""
    name = parameter.removesuffix("_id")
    return TABLES.get(parameter, f"{name[:-1]}ies" if name.endswith("y") else f"{name}s")


def parameters(path: str) -> list[str]:
    return [each.partition("}")[0] for each in path.split("{")[1:]]


OPERATIONS = [
    (method, path, operation)
    for path, item in create_app(ApiSettings()).openapi()["paths"].items()
    for method, operation in item.items()
]
WITH_IDS = [each for each in OPERATIONS if parameters(each[1]) and each[1] not in NAMES_OF_ALL]
LISTS = [each for each in OPERATIONS if each[0] == "get" and not parameters(each[1])]


@pytest.fixture
async def robbed(town: Town) -> tuple[Town, dict[str, Any]]:
    """Uma, with a row in every table, and Mallory, who may do all but administer; the ids by table."""
    await town.settle("mallory", Role.OPERATOR)
    await register(town.resources.database)
    project = (await town["uma"].post("/projects", {"name": MARK})).json()["id"]
    return town, await fill(town.resources.database, UUID(town["uma"].id), UUID(project))


def test_every_id_in_an_address_names_a_row_that_is_tried():
    """A route that comes later is tried with somebody else's id, or it says here why it need not be."""
    named = {name for _, path, _ in WITH_IDS for name in parameters(path)} - {"name", "version"}
    tables = {*(table.name for table in personal_tables()), "users", "projects"}

    assert {name: table_of(name) for name in named if table_of(name) not in tables} == {}


async def test_the_ids_of_another_answer_nothing_at_any_address(robbed: tuple[Town, dict[str, Any]]):
    """Every operation of the document that takes an id, asked by Mallory with Uma's."""
    town, ids = robbed
    known = {"name": NAME, "version": "7"}
    wrong = {}
    for method, path, operation in WITH_IDS:
        names, filled = parameters(path), path.removeprefix("/api/v1")
        for name in names:
            filled = filled.replace(f"{{{name}}}", known.get(name) or str(ids[table_of(name)]))
        body = BODIES.get(operation["operationId"], {}) if "requestBody" in operation else None
        sent = {} if body is None else {"json": body}
        answer = await town["mallory"].call(method.upper(), filled, **sent)
        # A program is everybody's; its versions are their owners'.
        good = {403, 404} if set(names) != {"name"} else {200, 202, 403, 404, 409, 422}
        if answer.status_code not in good or MARK in answer.text:
            wrong[f"{method} {path}"] = answer.status_code, answer.text
    assert wrong == {}


async def test_no_list_shows_a_row_of_another(robbed: tuple[Town, dict[str, Any]]):
    """Every list and the export, with a row of Uma's in every table."""
    town, _ = robbed
    headers = {"Authorization": f"Bearer {town['mallory'].tokens['access_token']}"}
    wrong = {}
    for _, path, _ in LISTS:
        answer = await town.client.get(path, headers=headers)
        if (answer.status_code >= 500 and path != "/readyz") or MARK in answer.text:
            wrong[path] = answer.status_code, answer.text
    assert wrong == {}


async def test_ones_export_has_ones_row_of_every_table(robbed: tuple[Town, dict[str, Any]]):
    town, _ = robbed
    told = [json.loads(line) for line in (await town["uma"].get("/auth/export")).text.splitlines()]
    marked = {each["table"] for each in told}

    assert marked == {table.name for table in personal_tables()} - NOT_EXPORTED | {"users", "audit_log"}


async def test_an_erased_person_has_no_row_in_any_table(robbed: tuple[Town, dict[str, Any]]):
    town, ids = robbed
    assert (await town["ada"].call("DELETE", f"/users/{town['uma'].id}")).status_code == 204

    async with town.resources.database.read() as session:
        for table in personal_tables():
            rows = (await session.execute(sa.select(table))).mappings()
            left = [row for row in rows if MARK in str(dict(row)) or row.get("id") == ids[table.name]]
            assert left == [], table.name


async def test_a_cursor_opens_nobody_elses_list(town: Town):
    """A cursor is a place in a list, whoever's it is."""
    for _ in range(2):
        await possessions(town)
    tried = 0
    for _, path, operation in LISTS:
        if "cursor" not in {each["name"] for each in operation.get("parameters", [])}:
            continue
        address = path.removeprefix("/api/v1")
        cursor = (await town["uma"].get(f"{address}?limit=1")).json().get("next_cursor")
        if cursor is not None:
            shown = await town["otto"].get(address, params={"cursor": cursor})
            assert shown.json()["items"] == [], path
            tried += 1
    assert tried >= 5


async def test_an_idempotency_key_is_ones_own(town: Town):
    """Two tenants that number their orders alike must not get each other's runs."""
    runs = [
        (
            await town[name].call(
                "POST", "/pipelines/probe/runs", json={"params": {}}, headers={"Idempotency-Key": "order-1"}
            )
        ).json()["id"]
        for name in ("uma", "otto")
    ]

    assert runs[0] != runs[1]


async def test_an_export_is_all_of_ones_own_and_nothing_else(town: Town):
    await possessions(town)
    await town["otto"].post("/chats", {"title": "ottos-word"})
    text = (await town["uma"].get("/auth/export")).text
    told = [json.loads(line) for line in text.splitlines()]

    assert MARK in text
    assert "ottos-word" not in text
    assert {"users", "chats", "messages", "runs", "run_events", "files", "api_keys"} <= {
        each["table"] for each in told
    }
    assert not any("hash" in each["row"] for each in told if each["table"] in {"api_keys", "refresh_tokens"})
    assert "$argon2" not in text
    assert "mlr_" not in text.replace(text[text.find("mlr_") : text.find("mlr_") + 10], "")


async def test_an_erased_person_leaves_nothing_that_tells_who_it_was(town: Town):
    ids = await possessions(town)
    ada, uma = town["ada"], town["uma"]
    under_way = await ada.call("DELETE", f"/users/{uma.id}")
    assert (under_way.status_code, under_way.json()["code"]) == (409, "runs_under_way")
    assert (await uma.post(f"/runs/{ids['run_id']}/cancel")).status_code in {200, 202}

    assert (await ada.call("DELETE", f"/users/{uma.id}")).status_code == 204

    assert (await uma.get("/auth/me")).status_code == 401
    assert (await town.login(uma.email)).status_code == 401
    assert (await ada.get(f"/users/{uma.id}")).status_code == 404
    tables = Table.metadata.tables
    async with town.resources.database.read() as session:
        for name in sorted(OWNED):
            rows = sa.select(sa.func.count()).where(tables[name].c.owner == user_space(uma.id))
            assert (await session.execute(rows.select_from(tables[name]))).scalar_one() == 0, name
        for name, table in tables.items():
            rows = (await session.execute(sa.select(table))).mappings()
            left = "\n".join(str(dict(row)) for row in rows)
            assert uma.email not in left, name
            assert MARK not in left or name in {"projects", "audit_log"}, name
    lines = (await ada.get("/audit", params={"action": "user.erased"})).json()["items"]
    assert [line["target"] for line in lines] == [f"user:{uma.id}"]


async def test_the_last_administrator_is_not_erased(town: Town):
    refused = await town["ada"].call("DELETE", f"/users/{town['ada'].id}")

    assert refused.json()["code"] == "last_admin"


@pytest.mark.parametrize("path", ["/runs/{}/events", "/chats/{}/messages", "/runs/{}/calls"])
async def test_what_never_was_and_what_is_anothers_look_alike(town: Town, path: str):
    """Else the answer itself tells that something exists."""
    ids = await possessions(town)
    name = "run_id" if path.startswith("/runs") else "chat_id"
    never = str(uuid4())
    anothers, nothing = [(await town["otto"].get(path.format(each))) for each in (ids[name], never)]

    assert anothers.status_code == nothing.status_code == 404
    assert anothers.json()["detail"].replace(ids[name], "") == nothing.json()["detail"].replace(never, "")
