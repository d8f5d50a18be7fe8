"""The migrations: one line of them, so that there is one newest schema."""

import re

from tests.fixtures.project_files import ROOT

FILES = sorted((ROOT / "alembic" / "versions").glob("*.py"))
NAMED = re.compile(r'^(revision|down_revision)(?:: [^=]+)? = (?:"(\d{4})"|None)$', re.MULTILINE)


def test_each_migration_follows_the_one_before_it():
    """Two that were made side by side with one number are two heads, and no database can be upgraded."""
    numbers = [file.name[:4] for file in FILES]
    assert numbers == [f"{number:04}" for number in range(1, len(FILES) + 1)]
    for file, before in zip(FILES, ["", *numbers], strict=False):
        told = dict(NAMED.findall(file.read_text(encoding="utf-8")))
        assert told == {"revision": file.name[:4], "down_revision": before}, file.name
