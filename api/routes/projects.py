"""Projects: spaces that several people work in, and who is in them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.routes.sign_in import BODY
from contracts.people import Email, Member, PersonName, Project, Role, Scope
from database.people import projects
from database.people.directory import is_team
from runtime.errors import NotAllowed

router = APIRouter(prefix="/projects", tags=["people"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.PROJECTS_READ)]
Writer = Annotated[Caller, needs(Scope.PROJECTS_WRITE)]
ProjectName = Annotated[PersonName, Field(min_length=1, examples=["Contract review"])]


class NewProject(BaseModel):
    """A project to make."""

    model_config = ConfigDict(extra="forbid")

    name: ProjectName


class NewMember(BaseModel):
    """Somebody of this server, and what they are in the project."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    role: Role = Role.USER


class ProjectPage(BaseModel):
    """Some of the caller's projects."""

    items: list[Project]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class MemberList(BaseModel):
    """Who is in a project."""

    items: list[Member]
    next_cursor: None = Field(None, description="They come on one page.")


@router.post("", status_code=201, responses=errors("no_people", *BODY))
async def create_project(
    body: NewProject, caller: Writer, response: Response, resources: ResourcesNow, by: DoerNow
) -> Project:
    """Make a project. Work in it with the header `Millrace-Project`."""
    project = await resources.database.write(projects.create_project, by, caller.person(), body.name)
    _forget(resources)
    response.headers["Location"] = f"/api/v1/projects/{project.id}"
    return project


@router.get("", responses=errors("no_people", "bad_cursor", "invalid_parameters"))
async def list_projects(
    caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> ProjectPage:
    """List the projects that the caller is in, newest first."""
    async with resources.database.read() as session:
        page = await projects.list_projects(session, caller.person(), limit=limit, cursor=cursor)
    return ProjectPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{project_id}", responses=errors("no_people", "project_not_found", "invalid_parameters"))
async def get_project(project_id: UUID, caller: Reader, resources: ResourcesNow) -> Project:
    """Show a project."""
    async with resources.database.read() as session:
        return await projects.get_project(session, caller.person(), project_id)


@router.patch("/{project_id}", responses=errors("project_not_found", "project_admin_needed", *BODY))
async def rename_project(
    project_id: UUID, body: NewProject, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> Project:
    """Rename a project."""
    return await resources.database.write(projects.rename_project, by, caller.person(), project_id, body.name)


@router.delete(
    "/{project_id}",
    status_code=204,
    responses=errors("project_not_found", "project_admin_needed", "invalid_parameters"),
)
async def delete_project(project_id: UUID, caller: Writer, resources: ResourcesNow, by: DoerNow) -> None:
    """Put a project away: nobody can work in it any more. What it holds is kept."""
    await resources.database.write(projects.delete_project, by, caller.person(), project_id)
    _forget(resources)


@router.get("/{project_id}/members", responses=errors("project_not_found", "invalid_parameters"))
async def list_members(project_id: UUID, caller: Reader, resources: ResourcesNow) -> MemberList:
    """List who is in a project."""
    async with resources.database.read() as session:
        return MemberList(items=await projects.list_members(session, caller.person(), project_id))


@router.put(
    "/{project_id}/members",
    responses=errors(
        *("project_not_found", "user_not_found", "project_admin_needed", "last_admin", "project_full"),
        *("managed_elsewhere", *BODY),
    ),
)
async def set_member(
    project_id: UUID, body: NewMember, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> MemberList:
    """Let somebody in, or give a member another role."""
    _refuse_team(resources, project_id)
    members = await resources.database.write(
        projects.set_member, by, caller.person(), project_id, body.email, body.role
    )
    _forget(resources)
    return MemberList(items=members)


@router.delete(
    "/{project_id}/members/{user_id}",
    status_code=204,
    responses=errors(
        *("project_not_found", "project_admin_needed", "last_admin", "managed_elsewhere"),
        "invalid_parameters",
    ),
)
async def remove_member(
    project_id: UUID, user_id: UUID, caller: Writer, resources: ResourcesNow, by: DoerNow
) -> None:
    """Take somebody out of a project, or leave it."""
    _refuse_team(resources, project_id)
    await resources.database.write(projects.remove_member, by, caller.person(), project_id, user_id)
    _forget(resources)


def _refuse_team(resources: Resources, project_id: UUID) -> None:
    """Keep a team's members as they are: what is changed here would be undone with their next request."""
    if resources.people is not None and resources.people.directory.keeps_teams and is_team(project_id):
        raise NotAllowed("The project is a team in Appwrite: its members change there.", "managed_elsewhere")


def _forget(resources: Resources) -> None:
    """See the change at once, here; other replicas see it within AUTH_CACHE_SECONDS."""
    if resources.people is not None:
        resources.people.guard.known.clear()
