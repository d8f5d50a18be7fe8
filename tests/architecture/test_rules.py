"""Rules of the code base that no linter knows."""

import re
import subprocess
from pathlib import Path

from tests.fixtures.project_files import PACKAGES, ROOT

MOST_LINES = 400
FORBIDDEN_NOUNS = {"utils", "util", "common", "helpers", "helper", "core", "services", "managers", "misc"}


def sources(*folders: str) -> list[Path]:
    """Return the Python files below these folders of the project."""
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


def test_one_file_commits():
    """Application code never commits: a transaction that another one ends early cannot be retried."""
    committing = [
        file.relative_to(ROOT).as_posix()
        for file in sources(*PACKAGES)
        if re.search(r"\b(session|connection|transaction|database|db|conn)\.commit\(", file.read_text())
    ]

    assert committing == ["database/engine.py"]


def test_no_file_grows_beyond_what_one_can_hold_in_mind():
    long = {
        file.relative_to(ROOT).as_posix(): lines
        for file in sources(*PACKAGES, "tests", "benchmarks", "alembic")
        if (lines := len(file.read_text().splitlines())) > MOST_LINES
    }

    assert long == {}


def test_what_the_makefile_runs_does_something():
    """`make storm` once ran a module without an entrance: it ended well, at once, having done nothing."""
    named = set(re.findall(r"\$\(PYTHON\) -m ([a-z_.]+)", (ROOT / "Makefile").read_text())) - {"pytest"}
    assert {"deployments.cli", "tests.chaos.storm"} <= named
    for name in named:
        place = ROOT.joinpath(*name.split("."))
        entrance = (place / "__main__.py") if place.is_dir() else place.with_suffix(".py")
        assert re.search(r"^(if __name__ == .__main__.:|main\(\))", entrance.read_text(), re.MULTILINE), name


def test_nobody_is_told_to_install_millrace_from_an_index():
    """It is on none: `pip install millrace[vault]` finds nothing, or one day what a stranger put there."""
    docs = [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        ROOT / ".env.example",
        *(ROOT / "docker").iterdir(),
    ]
    telling = [
        file.relative_to(ROOT).as_posix()
        for file in [*docs, *sources(*PACKAGES)]
        if re.search(r"(pip install|uv add) [^\n]*\bmillrace\b", file.read_text())
    ]

    assert telling == []


def test_folders_that_share_a_name_with_a_library_are_no_packages():
    """An `__init__.py` there would shadow `import alembic` and `import docker` for everyone."""
    assert not (ROOT / "alembic" / "__init__.py").exists()
    assert not (ROOT / "docker" / "__init__.py").exists()


def test_every_package_says_in_its_first_line_what_it_is():
    for package in PACKAGES:
        text = (ROOT / package / "__init__.py").read_text()
        assert text.startswith('"""'), f"{package} has no sentence"


def test_folders_and_files_are_named_by_nouns_of_the_domain():
    """A file called `utils` is where subjects go to be forgotten."""
    names = {part for file in sources(*PACKAGES) for part in file.relative_to(ROOT).with_suffix("").parts}

    assert names & FORBIDDEN_NOUNS == set()


def test_what_is_committed_holds_no_secret_file_and_no_state():
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607  git as the PATH has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    wrong = [name for name in listed if re.search(r"(^|/)\.env$|\.db(-|$)|\.venv/|__pycache__", name)]

    assert wrong == []
