"""Two workers and their kept answers: what one learns or forgets the other does too, over a real database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from sqlalchemy.ext.asyncio import create_async_engine

from contracts.calls import CallAnswer
from contracts.runs import Origin
from database.engine import Database
from database.gateway.cache import renew_claims
from database.gateway.reuses import Judged, pending_reuses, remove_wrong, settle_reuses
from database.queue.runs import list_runs
from deployments.worker import models
from deployments.worker.models import Answers, Models
from llm.cache import Cache
from llm.door import Door
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.fixtures.model_server import ModelServer, model_server
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, asked

pytestmark = QUIET
__all__ = ["model_server"]

QUESTION, AGAIN = "What is the capital of Peru?", "Please tell me what the capital of Peru is."
OpenWorker = Callable[[], Awaitable[Models]]


@pytest.fixture
async def open_worker(
    database: Database, model_server: ModelServer, tmp_path: Path
) -> AsyncIterator[OpenWorker]:
    """Opens the model duties of a worker of its own, all on one file and one database."""
    model_server.behaviour["*"].text = "good answer to you"
    own = {"kind": "openai_compatible", "base_url": model_server.url, "model": "first", "temperature": 0}
    semantic = {"chat": {"mode": "answer", "similarity": 0.5, "review_share": 1}}
    told = {
        "providers": {"first": {**own, "cost": {"input_per_million": 1, "output_per_million": 1}}},
        "routing": {"default": ["first"]},
        "policies": {"timeout_seconds": 60},
        "cache": {"semantic": semantic},
    }
    path = tmp_path / "providers.yaml"
    path.write_text(yaml.safe_dump(told))
    doors: list[Door] = []

    async def open_() -> Models:
        doors.append(Door.open(LlmSettings(providers_file=path), answers=Answers(database)))
        return Models(database, doors[-1])

    yield open_
    for door in doors:
        await door.close()


async def ask(worker: Models, text: str) -> CallAnswer:
    """Ask in a new run, and return what its ledger has of the model's call."""
    ledger = NotebookLedger()
    await worker.door.lm("chat", StepCalls(ledger, "answer#1", owner="ada")).acall(request=asked(text))
    (answer,) = [row.answer for row in ledger.rows.values() if row.call.kind == "model"]
    assert answer is not None
    return answer


async def test_a_question_that_one_worker_kept_is_found_by_another_in_other_words(
    open_worker: OpenWorker, model_server: ModelServer
):
    one, other = await open_worker(), await open_worker()
    await ask(one, QUESTION)
    await one.tell_cache()
    await ask(other, "How high is Everest?")  # from now on it has questions of this owner and role
    await other.hear_cache()

    found = await ask(other, AGAIN)

    assert (found.cache_hit, model_server.stats["first"].requests) == ("semantic", 2)


async def test_what_comes_after_the_first_reading_is_heard_too(
    open_worker: OpenWorker, model_server: ModelServer
):
    one, other = await open_worker(), await open_worker()
    await ask(other, "How high is Everest?")
    await other.hear_cache()
    await ask(one, QUESTION)
    await one.tell_cache()

    await other.hear_cache()

    assert (await ask(other, AGAIN)).cache_hit == "semantic"
    assert model_server.stats["first"].requests == 2


@pytest.mark.parametrize("found_by", ["person", "judge"])
async def test_an_answer_that_was_found_wrong_is_forgotten_by_all_workers(
    open_worker: OpenWorker, database: Database, found_by: str
):
    """Out of their memories as well, for the equal question and for those in other words."""
    one, other = await open_worker(), await open_worker()
    await ask(one, QUESTION)
    await one.tell_cache()
    assert (await ask(other, QUESTION)).cache_hit == "exact"
    hit = await ask(one, AGAIN)
    await one.tell_cache()
    if found_by == "judge":
        async with database.read() as session:
            (use,) = await pending_reuses(session, "ada", "chat", 10)
        await database.write(settle_reuses, "ada", "chat", [Judged(use.id, "different", 0)])
    else:
        await database.write(remove_wrong, "ada", {str(hit.cache_key): "chat"}, "person")

    for worker in (one, other):
        await worker.hear_cache()

    assert not (await ask(other, QUESTION)).cached
    assert not (await ask(one, AGAIN)).cached


async def test_a_review_is_started_once_an_hour_for_whom_it_is_due(
    open_worker: OpenWorker, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(models, "ENOUGH_TO_REVIEW", 1)
    worker = await open_worker()
    await ask(worker, QUESTION)
    await worker.review_cache()
    await ask(worker, AGAIN)
    await worker.tell_cache()

    await worker.review_cache()
    await worker.review_cache()

    async with database.read() as session:
        (run,) = (await list_runs(session, "ada")).items
    assert (run.pipeline, run.origin) == ("cache_review", Origin.SCHEDULE)


async def test_nobody_waits_for_another_worker_longer_than_the_call_may_take(
    open_worker: OpenWorker, model_server: ModelServer, database: Database, tmp_path: Path
):
    """A claim that is never given up costs whoever meets it this time, once."""
    path = tmp_path / "providers.yaml"
    told = yaml.safe_load(path.read_text())
    told["policies"]["timeout_seconds"] = 1
    path.write_text(yaml.safe_dump(told))
    stuck, other = await open_worker(), await open_worker()
    await ask(stuck, QUESTION)  # and tells nobody
    await database.write(renew_claims, stuck.door.cache.claims.take_over(), 3600)

    assert not (await ask(other, QUESTION)).cached

    assert model_server.stats["first"].requests == 2


async def test_without_a_database_every_worker_asks(open_worker: OpenWorker):
    """It cannot say who else does, and an answer is worth more than its price."""
    one, other = await open_worker(), await open_worker()
    away = Database(create_async_engine("mysql+aiomysql://nobody:x@127.0.0.1:1/none"))
    for worker in (one, other):
        worker.door.cache = Cache(Answers(away))

    assert not (await ask(one, QUESTION)).cached
    assert not (await ask(other, QUESTION)).cached
    await away.close()
