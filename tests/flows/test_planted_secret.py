"""A secret that a model says, a person sends and an error quotes is nowhere to be found afterwards."""

import logging
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
import yaml
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from contracts.runs import EventKind, RunStatus
from database.engine import Database
from database.gateway.cache import tell_cache
from database.tables import Table
from deployments.worker.models import Answers
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.run import Run
from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from runtime import masking
from runtime.errors import MillraceError
from runtime.masking import GONE, remember
from runtime.redaction import WithoutSecrets
from tests.fixtures.made_runs import claimed
from tests.fixtures.model_server import ModelServer, model_server
from tests.llm.conftest import QUIET, asked

pytestmark = QUIET
__all__ = ["model_server"]

# With spaces: the provider streams a word a piece, so no piece holds it whole.
SECRET = "correct horse battery staple"
WAREHOUSE = "postgres://reader:hunter2-hunter2@warehouse/db"


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_known", {})
    remember(SECRET)


async def everything(database: Database) -> str:
    """Return all rows of all tables as one text."""
    async with database.read() as session:
        found = [await session.execute(sa.select(table)) for table in Table.metadata.sorted_tables]
        return "\n".join(repr(tuple(row)) for rows in found for row in rows)


async def test_it_is_in_no_table_and_in_no_piece_of_a_stream(
    database: Database, model_server: ModelServer, tmp_path: Path
):
    """Ledger, cache, events and result, of an answer that came in pieces and of a whole one."""
    model_server.behaviour["*"].text = f"the pass phrase is {SECRET} as you know"
    own = {"kind": "openai_compatible", "base_url": model_server.url, "model": "first", "temperature": 0}
    path = tmp_path / "providers.yaml"
    path.write_text(yaml.safe_dump({"providers": {"first": own}, "routing": {"default": ["first"]}}))
    door = Door.open(LlmSettings(providers_file=path), answers=Answers(database))
    made, events = await claimed(database), EventLog(database)
    run = Run(made.id, made.attempt, made.owner, made.pipeline, database, door, events, cast("Any", None))
    calls = StepCalls(Journal(run), "answer#1", owner=run.owner)

    engine, told = door.engine("chat", calls), ""
    async for event in engine.stream(asked(f"is it {SECRET}?")):
        if event.type == "delta":
            told += event.delta.text
            run.tell(EventKind.TOKEN, text=event.delta.text, step="answer#1")
    whole = await engine.complete(asked(f"is it still {SECRET}?"))
    run.tell(EventKind.PROGRESS, of=f"reading {SECRET}", done=1, total=1)
    assert door.cache is not None
    kept = list(door.cache.take_news().kept.values())
    await database.write(tell_cache, kept, {}, {})
    error = MillraceError(f"the server said {SECRET}", code="said")
    await run.end(RunStatus.FAILED, result={"answer": f"it is {SECRET}"}, error=error)
    await door.close()

    written = await everything(database)
    assert told == whole.text == f"the pass phrase is {GONE} as you know"
    assert written.count(f"the pass phrase is {GONE} as you know") >= 4
    assert len(kept) == 2
    assert SECRET not in written
    assert "horse" not in written


def sign_in() -> None:
    """Fail as libraries do, with all that they know in the message."""
    try:
        int(SECRET)
    except ValueError as cause:
        raise RuntimeError(f"no login at {WAREHOUSE} with {SECRET}") from cause


def test_it_is_not_in_what_prefects_handlers_send(caplog: pytest.LogCaptureFixture):
    """Its own log lines go to its server with the text of the exception and of its causes."""
    log = logging.getLogger("prefect.flow_runs.planted")
    # A test before this one may have let Prefect set its handlers up.
    unsent = temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False})
    with unsent, caplog.at_level(logging.INFO, logger=log.name):
        try:
            sign_in()
        except RuntimeError:
            log.exception("step failed with %s", SECRET)
    (record,) = caplog.records

    assert WithoutSecrets().filter(record)

    sent = logging.Formatter().format(record)
    assert "step failed" in sent
    assert "ValueError" in sent
    for secret in (SECRET, "hunter2"):
        assert secret not in sent
