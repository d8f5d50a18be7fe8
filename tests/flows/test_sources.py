"""Where an analysis gets its documents: one that cannot be read is skipped with a reason, never silently."""

from pathlib import Path
from uuid import uuid4

import pytest

from contracts.analysis import FileSource, FolderSource, TextSource
from database.engine import Database
from database.talk.files import store_file
from flows.durable.run import Run
from flows.sources import read_sources
from runtime.errors import BadInput, NotFound


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The worker's documents folder."""
    documents = tmp_path / "documents"
    documents.mkdir()
    monkeypatch.setenv("DOCUMENTS_ROOT", str(documents))
    return documents


async def test_text_uploads_and_folder_files_come_in_the_order_of_the_request(
    database: Database, folder: Path
) -> None:
    (folder / "b.md").write_text("# B\n\nFrom the folder.")
    (folder / "a.md").write_text("# A\n\nFrom the folder.")
    upload = await database.write(
        store_file, "local", name="up.csv", media_type="text/csv", content=b"k,v\nlease,15\n"
    )
    collected = await read_sources(
        run_of(database),
        [
            TextSource(name="note", text="One word"),
            FileSource(file_id=upload.id),
            FolderSource(pattern="*.md"),
        ],
    )
    assert [document.name for document in collected.documents] == ["note", "up.csv", "a.md", "b.md"]
    assert collected.skipped == []


async def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(
    database: Database, folder: Path
) -> None:
    (folder / "good.txt").write_text("Readable.")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    collected = await read_sources(run_of(database), [FolderSource(pattern="*")])
    assert [document.name for document in collected.documents] == ["good.txt"]
    assert [skipped.document for skipped in collected.skipped] == ["bad.pdf"]
    assert collected.skipped[0].reason


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "a/../../*"])
@pytest.mark.usefixtures("folder")
async def test_a_pattern_that_leaves_the_documents_folder_is_refused(
    database: Database, pattern: str
) -> None:
    with pytest.raises(BadInput) as raised:
        await read_sources(run_of(database), [FolderSource(pattern=pattern)])
    assert raised.value.code == "path_outside_root"


async def test_people_read_by_pattern_from_the_folder_of_their_space_alone(
    database: Database, folder: Path
) -> None:
    """Everybody who signed in could analyse everybody's documents."""
    hers, project = f"user:{uuid4()}", f"project:{uuid4()}"
    for owner in (hers, project):
        theirs = folder / owner.replace(":", "-")
        theirs.mkdir()
        (theirs / "a.md").write_text(f"Of {owner}.")
    (folder / "all.md").write_text("Of the operator.")
    for owner in (hers, project):
        collected = await read_sources(run_of(database, owner), [FolderSource(pattern="**/*")])
        assert [document.text for document in collected.documents] == [f"Of {owner}."]
    collected = await read_sources(run_of(database), [FolderSource(pattern="*")])
    assert [document.name for document in collected.documents] == ["all.md"]
    (folder / hers.replace(":", "-") / "link.md").symlink_to(folder / "all.md")
    for pattern in ("link.md", f"../{project.replace(':', '-')}/*"):
        with pytest.raises(BadInput) as raised:
            await read_sources(run_of(database, hers), [FolderSource(pattern=pattern)])
        assert raised.value.code == "path_outside_root"


@pytest.mark.parametrize("is_set", [False, True])
async def test_people_without_a_folder_are_told_to_upload(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, is_set: bool
) -> None:
    """With no DOCUMENTS_ROOT they read the product's own configuration."""
    if not is_set:
        monkeypatch.delenv("DOCUMENTS_ROOT")
    (folder / "all.md").write_text("Of the operator.")
    with pytest.raises(BadInput, match="upload the files") as raised:
        await read_sources(run_of(database, f"user:{uuid4()}"), [FolderSource(pattern="*.md")])
    assert raised.value.code == "no_documents_folder"


@pytest.mark.usefixtures("folder")
async def test_somebody_elses_upload_does_not_exist(database: Database) -> None:
    theirs = await database.write(
        store_file, "somebody", name="x.txt", media_type="text/plain", content=b"secret"
    )
    with pytest.raises(NotFound):
        await read_sources(run_of(database), [FileSource(file_id=theirs.id)])


@pytest.mark.usefixtures("folder")
async def test_nothing_to_read_is_an_error_that_says_so(database: Database) -> None:
    with pytest.raises(BadInput) as raised:
        await read_sources(run_of(database), [FolderSource(pattern="*.md")])
    assert raised.value.code == "nothing_to_read"


async def test_more_documents_than_promised_are_refused(database: Database, folder: Path) -> None:
    for number in range(201):
        (folder / f"{number}.txt").write_text("x")
    with pytest.raises(BadInput) as raised:
        await read_sources(run_of(database), [FolderSource(pattern="*.txt")])
    assert raised.value.code in {"too_many_files", "too_many_documents"}


def run_of(database: Database, owner: str = "local") -> Run:
    """A run that asks no model and tells nothing."""
    nothing = object()
    return Run(uuid4(), 1, owner, "analysis", database, nothing, nothing, nothing)
