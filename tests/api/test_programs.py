"""Programs over HTTP: look, compare, promote, roll back, take out and bring in."""

from tests.fixtures.made_programs import NAME, SIGNATURE, add, file_of, register, state
from tests.fixtures.made_runs import accepted

BASE = f"/api/v1/programs/{NAME}"


async def test_programs_are_listed_with_what_answers(client, store):
    await register(store)
    await add(store, "one")
    await client.post(f"{BASE}/versions/1/promote", json={"reason": "first"})
    (program,) = (await client.get("/api/v1/programs")).json()["items"]
    assert (program["name"], program["active"], program["versions"]) == (NAME, 1, 1)
    detail = (await client.get(BASE)).json()
    assert [field["name"] for field in detail["signature"]["sort"]] == ["message", "label"]


async def test_a_version_is_promoted_and_rolled_back_by_one_call_each(client, store):
    await register(store)
    await add(store, "one")
    await add(store, "two")
    for number in (1, 2):
        promoted = await client.post(f"{BASE}/versions/{number}/promote", json={"reason": f"v{number}"})
        assert (promoted.status_code, promoted.json()["status"]) == (200, "active")
    back = await client.post(f"{BASE}/rollback", json={"reason": "worse"})
    assert (back.status_code, back.json()["version"]) == (200, 1)
    again = await client.post(f"{BASE}/rollback", json={})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_roll_back")
    changes = (await client.get(f"{BASE}/changes")).json()["items"]
    assert [(one["action"], one["to_version"], one["reason"]) for one in changes] == [
        ("rollback", 1, "worse"),
        ("promote", 2, "v2"),
        ("promote", 1, "v1"),
    ]


async def test_a_canary_is_started_by_one_call(client, store):
    await register(store)
    await add(store, "one")
    await add(store, "two")
    await client.post(f"{BASE}/versions/1/promote", json={})
    started = await client.post(f"{BASE}/versions/2/canary", json={"percent": 5, "reason": "try it"})
    assert (started.status_code, started.json()["status"]) == (200, "canary")
    shown = (await client.get(BASE)).json()
    assert (shown["active"], shown["canary"], shown["canary_percent"]) == (1, 2, 5)
    refused = await client.post(f"{BASE}/versions/1/canary", json={"percent": 5})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_canary")
    canary = (await client.get(f"{BASE}/canary")).json()
    assert (canary["version"], canary["against"], canary["status"]) == (2, 1, "watched")
    assert (canary["last"], canary["policy"]["undecided"]) == (None, "rollback")
    assert (await client.get(f"{BASE}/canary/looks")).json()["items"] == []
    assert [one["id"] for one in (await client.get(f"{BASE}/canaries")).json()["items"]] == [canary["id"]]
    for policy in ({"alpha": 0}, {"hours_at_least": 5, "hours_at_most": 1}, {"no": "such"}):
        wrong = await client.post(f"{BASE}/versions/2/canary", json={"percent": 5, "policy": policy})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_parameters")
    for percent in (0, 51, -1):
        bad = await client.post(f"{BASE}/versions/2/canary", json={"percent": percent})
        assert bad.status_code == 422


async def test_where_nothing_was_a_canary_there_is_nothing_to_see(client, store):
    await register(store)
    for path in ("canary", "canary/looks"):
        missing = await client.get(f"{BASE}/{path}")
        assert (missing.status_code, missing.json()["code"]) == (404, "canary_not_found")


async def test_two_versions_are_compared(client, store):
    await register(store)
    await add(store, "one")
    await add(store, "two")
    found = (await client.get(f"{BASE}/diff", params={"before": 1, "after": 2})).json()
    assert found["predictors"][0]["instructions"] == {"before": "one", "after": "two"}
    assert "-one" in found["text"]
    missing = await client.get(f"{BASE}/diff", params={"before": 1, "after": 9})
    assert (missing.status_code, missing.json()["code"]) == (404, "program_version_not_found")


async def test_a_version_goes_out_as_a_file_and_comes_back_as_the_same(client, store):
    await register(store)
    await add(store, "one")
    file = (await client.get(f"{BASE}/versions/1/export")).json()
    known = await client.post(f"{BASE}/import", json=file)
    assert (known.status_code, known.json()["version"]) == (200, 1)
    file["state"]["sort"]["signature"]["instructions"] = "edited by hand"
    refused = await client.post(f"{BASE}/import", json=file)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_program_state")
    new = await client.post(f"{BASE}/import", json={**file, "content_hash": None})
    assert (new.status_code, new.json()["status"], new.json()["origin"]) == (201, "candidate", "import")
    assert (known.json()["imported_by"], new.json()["imported_by"]) == (None, "local")
    target = f"program_version:{new.json()['id']}"
    log = (await client.get("/api/v1/audit", params={"target": target})).json()["items"]
    assert [(line["action"], line["detail"]["version"]) for line in log] == [("program.imported", 2)]


async def test_a_malformed_import_is_refused_with_the_place(client, store):
    await register(store)
    made = state("x")
    made["sort"]["lm"] = {"api_base": "http://elsewhere"}
    refused = await client.post(f"{BASE}/import", json=file_of(made, content_hash=None))
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_program_state")
    assert refused.json()["errors"][0]["field"] == "sort.lm"
    assert (await client.get(f"{BASE}/versions")).json()["items"] == []


async def test_values_of_an_import_are_held_against_the_programs_types_and_not_the_files(client, store):
    """A file's own schemas are a stranger's: they are refused before anything is read by them."""
    await register(store)
    made = state("x", ("My parcel is late", "nonsense"))
    refused = await client.post(f"{BASE}/import", json=file_of(made, content_hash=None))
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_program_state")
    told = {"field": "sort.demos.0.label", "message": "must be one of billing, shipping"}
    assert refused.json()["errors"] == [told]
    for theirs in ({"type": "string"}, {"type": "no such"}, {"$defs": [], "$ref": "http://elsewhere"}):
        fields = [one.model_dump() for one in SIGNATURE["sort"]]
        fields[1]["type"] = theirs
        file = file_of(made, content_hash=None, signature={"sort": fields})
        refused = await client.post(f"{BASE}/import", json=file)
        assert (refused.status_code, refused.json()["code"]) == (409, "signature_changed")


async def test_an_import_for_another_signature_is_refused_with_what_changed(client, store):
    await register(store)
    other = {"sort": [SIGNATURE["sort"][0].model_dump(), {"name": "topic", "side": "output", "type": "x"}]}
    file = file_of(state("x"), signature=other)
    refused = await client.post(f"{BASE}/import", json=file)
    assert (refused.status_code, refused.json()["code"]) == (409, "signature_changed")
    assert "output `sort.topic` is gone" in refused.json()["detail"]


async def test_an_unknown_program_is_not_found(client):
    for path in ("", "/versions", "/versions/1", "/changes", "/diff?before=1&after=2"):
        answer = await client.get(f"/api/v1/programs/no.such{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_program"), path


async def test_a_run_that_has_not_begun_answers_with_no_version_yet(client, store):
    run = await accepted(store)
    found = await client.get(f"/api/v1/runs/{run.id}/programs")
    assert (found.status_code, found.json()["items"]) == (200, [])
