"""Programs that think, their versions, and which of them answers."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.people import Scope
from contracts.program_diff import diff
from contracts.program_states import checked_file, refuse_mismatch
from contracts.programs import (
    MAX_REASON_CHARS,
    Change,
    ProgramDetail,
    ProgramFile,
    ProgramSummary,
    Version,
    VersionDiff,
    VersionSummary,
)
from database.learning import programs, serving

router = APIRouter(prefix="/programs", tags=["programs"], route_class=StrictRoute)

Name = Annotated[str, Path(max_length=100, examples=["support.sort"])]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[2])]
AskedNumber = Annotated[int, Query(ge=1, le=2**31 - 1)]
Reader = Annotated[Caller, needs(Scope.PROGRAMS_READ)]
Writer = Annotated[Caller, needs(Scope.PROGRAMS_WRITE)]
Promoter = Annotated[Caller, needs(Scope.PROGRAMS_PROMOTE)]
SENT = ("malformed_json", "too_large", "unsupported_media_type", "invalid_parameters")


class ProgramList(BaseModel):
    """All programs of the running code."""

    items: list[ProgramSummary]
    next_cursor: None = Field(None, description="They come on one page.")


class VersionPage(BaseModel):
    """Some versions of a program."""

    items: list[VersionSummary]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class ChangePage(BaseModel):
    """Some lines of a program's audit trail."""

    items: list[Change]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class Reason(BaseModel):
    """Why it is done; it stands in the audit trail."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=MAX_REASON_CHARS, examples=["Two points better on the test split."])


@router.get("", responses=errors("invalid_parameters"))
async def list_programs(caller: Reader, resources: ResourcesNow) -> ProgramList:
    """List the programs of the running code, and which version of each answers."""
    async with resources.database.read() as session:
        found = await programs.list_programs(session, caller.owner)
    return ProgramList(items=[ProgramSummary.model_validate(each.model_dump()) for each in found])


@router.get("/{name}", responses=errors("unknown_program", "invalid_parameters"))
async def get_program(name: Name, caller: Reader, resources: ResourcesNow) -> ProgramDetail:
    """Show a program with its signature: the fields that its examples and demos have."""
    async with resources.database.read() as session:
        return await programs.get_program(session, caller.owner, name)


@router.get("/{name}/versions", responses=errors("unknown_program", "bad_cursor", "invalid_parameters"))
async def list_versions(
    name: Name, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> VersionPage:
    """List the versions of a program, newest first."""
    async with resources.database.read() as session:
        page = await programs.list_versions(session, caller.owner, name, limit=limit, cursor=cursor)
    return VersionPage(items=page.items, next_cursor=page.next_cursor)


@router.get(
    "/{name}/versions/{version}",
    responses=errors("unknown_program", "program_version_not_found", "invalid_parameters"),
)
async def get_version(name: Name, version: Number, caller: Reader, resources: ResourcesNow) -> Version:
    """Show a version with its instructions and demos."""
    async with resources.database.read() as session:
        return await programs.get_version(session, caller.owner, name, version)


@router.get(
    "/{name}/diff", responses=errors("unknown_program", "program_version_not_found", "invalid_parameters")
)
async def diff_versions(
    name: Name, before: AskedNumber, after: AskedNumber, caller: Reader, resources: ResourcesNow
) -> VersionDiff:
    """Show what changes: instructions side by side, demos added and removed, and another model."""
    async with resources.database.read() as session:
        old = await programs.get_version(session, caller.owner, name, before)
        new = await programs.get_version(session, caller.owner, name, after)
    return diff(old, new)


@router.get(
    "/{name}/versions/{version}/export",
    responses=errors("unknown_program", "program_version_not_found", "invalid_parameters"),
)
async def export_version(name: Name, version: Number, caller: Reader, resources: ResourcesNow) -> ProgramFile:
    """Give a version as one JSON object to keep in git; `import_version` takes it back."""
    async with resources.database.read() as session:
        found = await programs.get_version(session, caller.owner, name, version)
    return ProgramFile.model_validate(found.model_dump(include=set(ProgramFile.model_fields)))


@router.post(
    "/{name}/import",
    status_code=201,
    responses={
        200: {"model": Version, "description": "This content is known: the version that has it."},
        **errors("unknown_program", "signature_changed", "bad_program_state", *SENT),
    },
)
async def import_version(
    name: Name,
    file: ProgramFile,
    response: Response,
    caller: Writer,
    by: DoerNow,
    resources: ResourcesNow,
) -> Version:
    """Store an exported version as a candidate. Nothing answers with it before it is promoted.

    It is the work of the person who imports it: under four eyes somebody else approves it.
    """
    async with resources.database.read() as session:
        program = await programs.get_program(session, caller.owner, name)
    # First: values of demos are held against schemas of our code alone, never against those of a file.
    refuse_mismatch(name, file.signature, program.signature)
    file = checked_file(file).model_copy(update={"program": name})
    version, created = await resources.database.write(programs.import_version, by, caller.responsible, file)
    response.status_code = 201 if created else 200
    return version


@router.post(
    "/{name}/versions/{version}/promote",
    responses=errors("unknown_program", "program_version_not_found", "signature_changed", *SENT),
)
async def promote_version(
    name: Name, version: Number, body: Reason, caller: Promoter, resources: ResourcesNow
) -> Version:
    """Let a version answer from now on. Workers notice within 5 s; runs that have begun keep theirs."""
    return await resources.database.write(
        serving.promote, caller.owner, name, version, by=caller.actor, reason=body.reason
    )


@router.post(
    "/{name}/rollback",
    responses=errors("unknown_program", "nothing_to_roll_back", "signature_changed", *SENT),
)
async def rollback_program(name: Name, body: Reason, caller: Promoter, resources: ResourcesNow) -> Version:
    """End a canary, or let the version answer again that did before; returns the active version."""
    return await resources.database.write(
        serving.rollback, caller.owner, name, by=caller.actor, reason=body.reason
    )


@router.get("/{name}/changes", responses=errors("unknown_program", "bad_cursor", "invalid_parameters"))
async def list_changes(
    name: Name, caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> ChangePage:
    """List who changed what answers, when and why, newest first."""
    async with resources.database.read() as session:
        page = await serving.list_changes(session, caller.owner, name, limit=limit, cursor=cursor)
    return ChangePage(items=page.items, next_cursor=page.next_cursor)
