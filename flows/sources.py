"""Where the documents of an analysis come from: the request, uploaded files, or the worker's folder."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from contracts.analysis import MAX_SOURCES, FileSource, FolderSource, SkippedDocument, Source, TextSource
from contracts.people import LOCAL_SPACE
from database.patience import outlast
from database.talk.files import StoredFile, file_content, get_file
from flows.durable.run import Run
from flows.settings import FlowSettings
from runtime.errors import BadInput
from runtime.home import PROJECT
from tools.documents import Document, find_files, read_document, read_file


@dataclass(slots=True)
class Collected:
    """The documents that could be read, and those that could not, with the reason."""

    documents: list[Document] = field(default_factory=list)
    skipped: list[SkippedDocument] = field(default_factory=list)


async def read_sources(run: Run, sources: list[Source]) -> Collected:
    """Read every source in the order given.

    A document that cannot be read is skipped with its reason; reading goes on.

    Raises:
        BadInput: `nothing_to_read` when no document is left, `too_many_documents` above 200,
            `path_outside_root` for a pattern that leaves the documents folder, or `no_documents_folder` for
            one of somebody who has none.
        NotFound: `file_not_found` for a file that is not the run's owner's.
    """
    collected = Collected()
    for source in sources:
        if isinstance(source, FolderSource):
            await _read_folder(run.owner, source, collected)
        elif isinstance(source, FileSource):
            await _read_upload(run, source, collected)
        else:
            await _read(source.name, partial(_inline, source), collected)
        if len(collected.documents) > MAX_SOURCES:
            raise BadInput(
                f"more than {MAX_SOURCES} documents; narrow the pattern or split the question",
                code="too_many_documents",
            )
    if not collected.documents:
        reasons = "; ".join(f"{one.document}: {one.reason}" for one in collected.skipped[:5])
        raise BadInput(f"there is nothing to read ({reasons or 'no file matches'})", code="nothing_to_read")
    return collected


async def _read_upload(run: Run, source: FileSource, collected: Collected) -> None:
    stored, content = await outlast(lambda: _upload(run, source))
    await _read(stored.name, partial(read_document, stored.name, content, stored.media_type), collected)


async def _upload(run: Run, source: FileSource) -> tuple[StoredFile, bytes]:
    async with run.database.read() as session:
        stored = await get_file(session, run.owner, source.file_id)
        return stored, await file_content(session, run.owner, source.file_id)


async def _read_folder(owner: str, source: FolderSource, collected: Collected) -> None:
    root = _folder_of(owner)
    for path in await asyncio.to_thread(find_files, root, source.pattern, MAX_SOURCES):
        await _read(path.name, partial(read_file, root, path), collected)


def _folder_of(owner: str) -> Path:
    """Return what a space may read by pattern: people have a folder each, and not what the operator has."""
    root = FlowSettings().documents_root
    if owner == LOCAL_SPACE:
        return root or PROJECT
    name = owner.replace(":", "-")
    if root is None or not (root / name).is_dir():
        raise BadInput(
            f"this server has no documents folder for {owner}: upload the files, or let its operator set"
            f" DOCUMENTS_ROOT for the workers and make the folder {name} in it",
            code="no_documents_folder",
        )
    return root / name


async def _read(name: str, read: Callable[[], Document], collected: Collected) -> None:
    # In a thread: a 5 MB PDF takes seconds, and the loop belongs to all runs of the worker.
    try:
        collected.documents.append(await asyncio.to_thread(read))
    except BadInput as problem:
        collected.skipped.append(SkippedDocument(document=name, reason=problem.message))


def _inline(source: TextSource) -> Document:
    return read_document(source.name, source.text.encode(), "text/markdown")
