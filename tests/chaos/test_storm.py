"""The short form of the storm; `python -m tests.chaos.storm` is ten thousand calls."""

from pathlib import Path

import pytest

from benchmarks.children import children
from benchmarks.model_endpoint import start_endpoint
from database.engine import Database
from tests.chaos.storm import storm
from tests.llm.conftest import QUIET

pytestmark = QUIET


@pytest.mark.timeout(600)
async def test_after_a_storm_every_call_has_one_answer_and_the_books_are_the_servers(
    database: Database, tmp_path: Path
) -> None:
    with children() as kept:
        broken, report = await storm(database, start_endpoint(kept), tmp_path, calls=250, seed=1)

    assert broken == [], report
    assert report["asked"]["faults"] > 50, "it was too quiet to prove anything"
    assert report["failures"]["stream_cut"] > 0
