"""The arena over HTTP."""

from xml.etree import ElementTree as ET

from httpx2 import AsyncClient

from contracts.arena import Verdict
from database.engine import Database
from runtime.ids import new_id
from tests.database.test_arena import played, said

SVG = "{http://www.w3.org/2000/svg}"


async def test_a_pair_is_given_blind_voted_on_and_revealed(client: AsyncClient, store: Database):
    await played(store, said("a"), said("b"), Verdict.TIE)
    blind = (await client.get("/api/v1/arena/matches/next")).json()
    assert {blind["first"], blind["second"]} == {"a", "b"}
    assert "gpt" not in str(blind)
    votes = f"/api/v1/arena/matches/{blind['id']}/votes"

    seen = (await client.post(votes, json={"choice": "first"})).json()

    assert {seen["first"]["contestant"], seen["second"]["contestant"]} == {"gpt", "claude"}
    assert (seen["judge"], float(seen["first"]["cost_usd"])) == ("tie", 0.002)
    again = await client.post(votes, json={"choice": "tie"})
    assert (again.status_code, again.json()["code"]) == (409, "already_voted")
    none = await client.get("/api/v1/arena/matches/next", params={"kind": "general"})
    assert (none.status_code, none.json()["code"]) == (404, "no_match_left")
    (shown,) = (await client.get("/api/v1/arena/matches")).json()["items"]
    assert (shown["voted"], shown["verdict"]) == (True, "tie")
    missing = await client.post(f"/api/v1/arena/matches/{new_id()}/votes", json={"choice": "tie"})
    assert (missing.status_code, missing.json()["code"]) == (404, "match_not_found")


async def test_the_leaderboard_has_numbers_a_picture_and_a_page(client: AsyncClient, store: Database):
    await played(store, said("a"), said("b"), Verdict.ONE)

    board = (await client.get("/api/v1/arena/leaderboard", params={"by": "judge"})).json()
    picture = await client.get("/api/v1/arena/leaderboard/plot", params={"kind": "general"})
    page = await client.get("/api/v1/arena/leaderboard/page")

    assert [one["contestant"] for one in board["items"]] == ["gpt", "claude"]
    assert len(ET.fromstring(picture.text).findall(f"{SVG}circle")) == 2  # noqa: S314  our own plot
    assert "gpt" in page.text
    for answer in (picture, page):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    empty = await client.get("/api/v1/arena/leaderboard/plot", params={"kind": "unknown"})
    assert "Nothing is known yet" in empty.text


async def test_what_cannot_be_played_is_refused_before_a_run_exists(client: AsyncClient):
    body = {"params": {"tasks": [{"input": "?"}], "contestants": [{"deployment": "gpt"}]}}
    refused = await client.post("/api/v1/pipelines/arena/runs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameters")
