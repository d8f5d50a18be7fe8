"""Projects: who works in one, who sees it, and who may change it."""

from contracts.people import Role
from tests.api.people import Town

RUN = {"params": {}}


async def made(town: Town, *members: tuple[str, str]) -> str:
    """Make a project of Uma's with these members and return its id."""
    project = (await town["uma"].post("/projects", {"name": "Contracts"})).json()["id"]
    for name, role in members:
        body = {"email": town[name].email, "role": role}
        assert (await town["uma"].call("PUT", f"/projects/{project}/members", json=body)).status_code == 200
    return project


async def test_members_see_what_is_done_in_the_project_and_others_do_not(town: Town):
    project = await made(town, ("otto", "user"))
    run = (await town["uma"].post("/pipelines/probe/runs", RUN, project)).json()

    assert (await town["otto"].get(f"/runs/{run['id']}", project)).status_code == 200
    assert (await town["otto"].get(f"/runs/{run['id']}")).json()["code"] == "run_not_found"
    assert (await town["uma"].get("/runs")).json()["items"] == []
    assert (await town["ada"].get(f"/runs/{run['id']}", project)).json()["code"] == "project_not_found"
    assert (await town["ada"].get(f"/projects/{project}")).json()["code"] == "project_not_found"


async def test_in_a_project_its_role_counts(town: Town):
    project = await made(town, ("otto", "viewer"))
    await town.settle("vera", Role.VIEWER)
    body = {"email": "vera@example.org", "role": "user"}
    await town["uma"].call("PUT", f"/projects/{project}/members", json=body)

    assert (await town["otto"].post("/pipelines/probe/runs", RUN, project)).json()["code"] == "missing_scope"
    assert (await town["otto"].post("/pipelines/probe/runs", RUN)).status_code == 202
    assert (await town["vera"].post("/pipelines/probe/runs", RUN, project)).status_code == 202


async def test_an_administrator_of_a_project_is_none_of_the_server(town: Town):
    project = await made(town)

    assert (await town["uma"].get("/auth/me", project)).json()["role"] == "admin"
    for path in ("/users", "/audit"):
        assert (await town["uma"].get(path, project)).json()["code"] == "missing_scope"


async def test_only_its_administrators_change_a_project(town: Town):
    project = await made(town, ("otto", "operator"))
    otto = town["otto"]
    tries = [
        await otto.call("PATCH", f"/projects/{project}", json={"name": "Mine"}),
        await otto.call("DELETE", f"/projects/{project}"),
        await otto.call("PUT", f"/projects/{project}/members", json={"email": otto.email, "role": "admin"}),
        await otto.call("DELETE", f"/projects/{project}/members/{town['uma'].id}"),
    ]

    assert {each.json()["code"] for each in tries} == {"project_admin_needed"}
    renamed = await town["uma"].call("PATCH", f"/projects/{project}", json={"name": "Deeds"})
    assert renamed.json()["name"] == "Deeds"


async def test_a_project_keeps_an_administrator(town: Town):
    project = await made(town, ("otto", "user"))
    uma = town["uma"]
    steps = [
        await uma.call("PUT", f"/projects/{project}/members", json={"email": uma.email, "role": "user"}),
        await uma.call("DELETE", f"/projects/{project}/members/{uma.id}"),
    ]

    assert {each.json()["code"] for each in steps} == {"last_admin"}
    assert (
        await town["otto"].call("DELETE", f"/projects/{project}/members/{town['otto'].id}")
    ).status_code == 204
    assert (await town["otto"].get(f"/projects/{project}")).status_code == 404


async def test_a_deleted_project_is_gone_for_everybody_and_for_its_keys(town: Town):
    project = await made(town, ("otto", "user"))
    key = await town["uma"].key("runs:read", project=project)
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 200

    assert (await town["uma"].call("DELETE", f"/projects/{project}")).status_code == 204

    assert (await town["uma"].get("/projects")).json()["items"] == []
    assert (await town["otto"].get("/runs", project)).status_code == 404
    assert (await town.with_credential(key, "GET", "/runs")).status_code == 404


async def test_a_projects_key_works_in_its_project_alone(town: Town):
    project, other = await made(town), await made(town)
    key = await town["uma"].key("runs:read", "runs:write", project=project)
    run = (await town.with_credential(key, "POST", "/pipelines/probe/runs", json=RUN)).json()

    assert (await town["uma"].get(f"/runs/{run['id']}", project)).status_code == 200
    elsewhere = await town.with_credential(key, "GET", "/runs", headers={"Millrace-Project": other})
    assert elsewhere.json()["code"] == "project_not_found"
    assert (await town.with_credential(key, "GET", "/projects")).json()["code"] == "missing_scope"


async def test_projects_come_in_pages(town: Town):
    for _ in range(3):
        await made(town)
    first = (await town["uma"].get("/projects?limit=2")).json()
    rest = (await town["uma"].get(f"/projects?limit=2&cursor={first['next_cursor']}")).json()

    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)


async def test_the_audit_log_tells_who_did_what(town: Town):
    project = await made(town, ("otto", "viewer"))
    lines = (await town["ada"].get("/audit", params={"target": f"project:{project}"})).json()["items"]

    assert [line["action"] for line in lines] == ["project.member_set", "project.created"]
    assert {line["actor"] for line in lines} == {f"user:{town['uma'].id}"}
    assert lines[0]["detail"] == {"user": town["otto"].id, "role": "viewer"}
    assert all(line["request_id"] for line in lines)
    assert (await town["uma"].get("/audit")).json()["code"] == "missing_scope"


async def test_the_last_administrator_of_the_server_stays(town: Town):
    ada = town["ada"]
    for change in ({"role": "user"}, {"disabled": True}):
        refused = await ada.call("PATCH", f"/users/{ada.id}", json=change)
        assert refused.json()["code"] == "last_admin"
