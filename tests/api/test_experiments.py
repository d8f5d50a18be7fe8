"""Experiments over HTTP."""

from xml.etree import ElementTree as ET

from httpx2 import AsyncClient

from contracts.people import Role
from contracts.runs import RunStatus
from database.engine import Database
from database.gateway.models import register_models
from database.learning.experiments import get_experiment
from runtime.ids import new_id
from tests.api.people import Town
from tests.database.test_experiments import finished
from tests.database.test_models import entry

BODY = {
    "name": "<b>dear</b> or cheap",
    "role": "analyst",
    "arms": [{"deployment": "gpt"}, {"deployment": "claude", "weight": 2}],
    "metric": "success",
}
SVG = "{http://www.w3.org/2000/svg}"


async def started(client: AsyncClient, store: Database) -> str:
    await store.write(register_models, [entry(), entry("claude")])
    answer = await client.post("/api/v1/experiments", json=BODY)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_an_experiment_is_started_looked_at_stopped_and_promoted(client: AsyncClient, store: Database):
    one = await started(client, store)
    async with store.read() as session:
        experiment = await get_experiment(session, "local", experiment_id := new_id_of(one))
    for n in range(12):
        await finished(store, experiment, f"chat:{n}", RunStatus.SUCCEEDED)

    seen = (await client.get(f"/api/v1/experiments/{one}")).json()
    assert sum(arm["success"]["n"] for arm in seen["results"]) == 12
    assert (seen["leader"], seen["full"], seen["status"]) == (None, False, "running")
    assert seen["comparisons"][0]["difference"]["low"] < 0 < seen["comparisons"][0]["difference"]["high"]
    listed = (await client.get("/api/v1/experiments", params={"status": "running"})).json()["items"]
    assert [each["id"] for each in listed] == [one] == [str(experiment_id)]

    nobody = await client.post(f"/api/v1/experiments/{one}/promote", json={})
    assert (nobody.status_code, nobody.json()["code"]) == (409, "no_winner")
    stopped = await client.post(f"/api/v1/experiments/{one}/stop", json={"reason": "enough"})
    assert (stopped.json()["status"], stopped.json()["ended_why"]) == ("stopped", "enough")
    twice = await client.post(f"/api/v1/experiments/{one}/stop", json={})
    assert (twice.status_code, twice.json()["code"]) == (409, "experiment_ended")
    promoted = await client.post(f"/api/v1/experiments/{one}/promote", json={"arm": "claude"})
    assert (promoted.json()["status"], promoted.json()["winner"]) == ("promoted", "claude")
    overrides = (await client.get("/api/v1/providers")).json()["overrides"]
    assert [(each["role"], each["ask"], each["about"]) for each in overrides] == [
        ("analyst", ["claude"], one)
    ]
    wrong = await client.post(f"/api/v1/experiments/{one}/promote", json={"arm": "nobody"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_arm")


def new_id_of(text: str):
    """Return the id in a text."""
    return type(new_id())(text)


async def test_it_is_drawn_and_names_are_escaped(client: AsyncClient, store: Database):
    one = await started(client, store)

    picture = await client.get(f"/api/v1/experiments/{one}/plot")
    page = await client.get(f"/api/v1/experiments/{one}/page")

    assert ET.fromstring(picture.text).findall(f"{SVG}text")  # noqa: S314  our own plot
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["content-type"].startswith("text/html")
    assert "http-equiv" in page.text
    for text in (picture.text, page.text):
        assert "<b>" not in text


async def test_an_unknown_experiment_is_not_found(client: AsyncClient):
    for path in ("", "/plot", "/page"):
        answer = await client.get(f"/api/v1/experiments/{new_id()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "experiment_not_found")


async def test_users_start_in_their_own_space_look_in_a_project_and_do_not_route_the_server(town: Town):
    uma, otto = town["uma"], town["otto"]
    await town.resources.database.write(register_models, [entry(), entry("claude")])
    project = (await otto.post("/projects", {"name": "Legal"})).json()["id"]
    await otto.call("PUT", f"/projects/{project}/members", json={"email": uma.email, "role": "user"})

    assert (await uma.get("/experiments", project)).json()["items"] == []
    mine = await uma.post("/experiments", BODY)
    assert mine.status_code == 201, mine.text
    for refused in (
        await uma.post("/experiments", BODY, project),
        await uma.post(f"/experiments/{mine.json()['id']}/promote", {"arm": "claude"}),
        await (await town.settle("vera", Role.VIEWER)).post("/experiments", BODY),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
