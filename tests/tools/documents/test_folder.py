"""Files of the documents folder, and no way out of it."""

import os
from pathlib import Path

import pytest

from runtime.errors import BadInput, NotFound
from tools.documents import Limits, find_files, read_file


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    for name in ("a.md", "b.txt", "docs/c.md", "docs/deep/d.md", ".env", ".git/config.md"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"words of {name}")
    (tmp_path / "secret.md").write_text("secret")
    return folder


def names(root, pattern, limit=100):
    return [path.relative_to(root).as_posix() for path in find_files(root, pattern, limit)]


def test_patterns_find_files_in_order(root):
    assert names(root, "*.md") == ["a.md"]
    assert names(root, "**/*.md") == ["a.md", "docs/c.md", "docs/deep/d.md"]
    assert names(root, "./docs/**/d.md") == ["docs/deep/d.md"]
    assert names(root, "docs/*.pdf") == []


def test_hidden_files_and_folders_are_left_out_even_when_they_are_asked_for(root):
    """`**/*` in a project's folder would otherwise hand its `.env` to a model."""
    assert ".env" not in names(root, "**/*")
    assert names(root, ".env") == []
    assert names(root, ".git/*") == []


def test_hidden_folders_are_not_even_walked_through(root, monkeypatch):
    """A `.venv` has more files than all documents: they were all listed, and then left out."""
    entered, scandir = [], os.scandir

    def told(folder):
        entered.append(Path(folder).name)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", told)
    assert names(root, "**/*.md") == ["a.md", "docs/c.md", "docs/deep/d.md"]
    assert set(entered) == {"root", "docs", "deep"}


def test_a_link_that_leads_up_is_walked_once_and_two_stars_find_a_file_once(root):
    (root / "docs" / "up").symlink_to(root)
    assert names(root, "**/deep/**/*.md") == ["docs/deep/d.md"]
    assert names(root, "docs/*/a.md") == ["docs/up/a.md"]


@pytest.mark.parametrize(
    "pattern",
    ["../secret.md", "docs/../../secret.md", "/etc/passwd", "~/x", "C:/x", "..\\secret.md", "docs/../a.md"],
)
def test_a_pattern_that_leads_out_is_refused(root, pattern):
    with pytest.raises(BadInput) as caught:
        find_files(root, pattern, 10)
    assert caught.value.code == "path_outside_root"


@pytest.mark.parametrize("pattern", ["", ".", "a\0b", "**/**/**/x", "a**b/c", "/".join("x" * 100)])
def test_a_broken_or_costly_pattern_is_refused(root, pattern):
    with pytest.raises(BadInput) as caught:
        find_files(root, pattern, 10)
    assert caught.value.code == "bad_pattern"


def test_a_link_that_leaves_the_root_is_refused_and_one_inside_is_followed(root, tmp_path):
    (root / "inside.md").symlink_to(root / "a.md")
    assert names(root, "i*.md") == ["inside.md"]
    (root / "file.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path)
    for pattern in ("file.md", "folder/*.md"):
        with pytest.raises(BadInput) as caught:
            find_files(root, pattern, 10)
        assert caught.value.code == "path_outside_root"


def test_too_many_files_are_refused_with_the_limit(root):
    with pytest.raises(BadInput) as caught:
        find_files(root, "**/*.md", 2)
    assert caught.value.code == "too_many_files"
    assert len(find_files(root, "**/*.md", 3)) == 3


def test_a_file_is_read_under_its_path_in_the_folder(root):
    (path,) = find_files(root, "docs/deep/*", 10)
    document = read_file(root, path)
    assert (document.name, document.text) == ("docs/deep/d.md", "words of docs/deep/d.md")


def test_a_file_that_is_gone_too_large_or_outside_is_refused_by_code(root, tmp_path):
    with pytest.raises(NotFound) as gone:
        read_file(root, root / "no.md")
    with pytest.raises(BadInput) as large:
        read_file(root, root / "a.md", Limits(content_bytes=5))
    with pytest.raises(BadInput) as outside:
        read_file(root, tmp_path / "secret.md")
    assert [caught.value.code for caught in (gone, large, outside)] == [
        "file_not_found",
        "document_too_large",
        "path_outside_root",
    ]
