"""Documents to analyse: uploaded, listed and put away."""

import re
from datetime import datetime
from mimetypes import MimeTypes
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.problems import invalid
from api.resources import ResourcesNow
from contracts.analysis import MAX_FILE_BYTES
from contracts.people import Scope
from database.engine import WriteSession
from database.talk import files as store
from runtime.errors import BadInput

router = APIRouter(prefix="/files", tags=["files"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.FILES_READ)]
Writer = Annotated[Caller, needs(Scope.FILES_WRITE)]

MAX_NAME_CHARS = 200
MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
UNKNOWN = "application/octet-stream"
# Built-in types only: the machine's own lists would make the same upload differ from host to host.
KNOWN_TYPES = MimeTypes(filenames=())


class FileInfo(BaseModel):
    """What is known of an uploaded file."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="For `sources` of an analysis: `{kind: file, file_id: …}`.")
    name: str
    media_type: str
    size: int = Field(description="In bytes.")
    sha256: str
    created_at: datetime


class FileList(BaseModel):
    """The files of one upload, in its order."""

    items: list[FileInfo]


class FilePage(BaseModel):
    """Some of the caller's files."""

    items: list[FileInfo]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class _Upload(BaseModel):
    name: str
    media_type: str
    content: bytes


@router.post(
    "",
    status_code=201,
    responses=errors("bad_request", "too_large", "unsupported_media_type", "invalid_parameters"),
)
async def upload_files(
    caller: Writer,
    resources: ResourcesNow,
    files: Annotated[list[UploadFile], File(description="One or several, at most 5 MiB each.")],
) -> FileList:
    """Store documents; all of them or none. A request may have 6 MiB: send large files one by one."""
    uploads = [await _read(number, sent) for number, sent in enumerate(files)]
    return await resources.database.write(_store, caller.owner, uploads)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_files(
    caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> FilePage:
    """List uploaded files, newest first."""
    async with resources.database.read() as session:
        page = await store.list_files(session, caller.owner, limit=limit, cursor=cursor)
    return FilePage(
        items=[FileInfo.model_validate(file) for file in page.items], next_cursor=page.next_cursor
    )


@router.get("/{file_id}", responses=errors("file_not_found", "invalid_parameters"))
async def get_file(file_id: UUID, caller: Reader, resources: ResourcesNow) -> FileInfo:
    """Show what is known of a file."""
    async with resources.database.read() as session:
        return FileInfo.model_validate(await store.get_file(session, caller.owner, file_id))


@router.delete("/{file_id}", status_code=204, responses=errors("file_not_found", "invalid_parameters"))
async def delete_file(file_id: UUID, caller: Writer, resources: ResourcesNow) -> None:
    """Put a file away; a run that names it from now on does not find it."""
    await resources.database.write(store.delete_file, caller.owner, file_id)


async def _store(session: WriteSession, owner: str, uploads: list[_Upload]) -> FileList:
    stored = [await store.store_file(session, owner, **dict(upload)) for upload in uploads]
    return FileList(items=[FileInfo.model_validate(file) for file in stored])


async def _read(number: int, sent: UploadFile) -> _Upload:
    name = _name(number, sent.filename or "")
    content = await sent.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise BadInput(f"{name} is larger than {MAX_FILE_BYTES} bytes.", code="too_large")
    if not content:
        raise invalid([(f"files.{number}", f"{name} is empty")])
    return _Upload(name=name, media_type=_media_type(name, sent.content_type or ""), content=content)


def _name(number: int, sent: str) -> str:
    """Return a file's name without the folders that some clients send along."""
    name = sent.replace("\\", "/").rpartition("/")[2].strip()
    if not name or name in {".", ".."} or not name.isprintable() or len(name) > MAX_NAME_CHARS:
        raise invalid([(f"files.{number}", f"needs a name of 1 to {MAX_NAME_CHARS} printable characters")])
    return name


def _media_type(name: str, sent: str) -> str:
    declared = sent.partition(";")[0].strip().lower()
    if MEDIA_TYPE.fullmatch(declared) and declared != UNKNOWN:
        return declared
    return KNOWN_TYPES.guess_type(name)[0] or UNKNOWN
