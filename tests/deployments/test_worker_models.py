"""Two workers and a provider: what one learns the other knows, over a real database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID

import dspy
import pytest
import yaml

from contracts.arena import ArenaTask, Said
from contracts.routing import NewOverride
from database.engine import Database
from database.gateway.health import list_deployments
from database.gateway.models import list_models, switch_model
from database.gateway.overrides import end_override, set_override
from database.learning.arena import keep_answers, open_match
from database.people.audit import Doer, list_entries
from deployments.worker.models import Models
from deployments.worker.ratings import Ratings
from llm.door import Door
from llm.errors import translate
from llm.settings import LlmSettings
from runtime.ids import derived_id, new_id
from tests.fixtures.model_server import ModelServer, model_server
from tests.llm.conftest import QUIET, asked

pytestmark = QUIET
__all__ = ["model_server"]

Worker = Models
OpenWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def open_worker(
    database: Database, model_server: ModelServer, tmp_path: Path
) -> AsyncIterator[OpenWorker]:
    """Opens the model duties of a worker of its own, all on one file and one database."""
    model_server.behaviour["*"].text = "good answer to you"
    path = tmp_path / "providers.yaml"
    doors: list[Door] = []

    async def open_(usd: object = 1, admin: dict[str, object] | None = None) -> Worker:
        cost = {"cost": {"input_per_million": usd, "output_per_million": usd}} if usd is not None else {}
        own = {"kind": "openai_compatible", "base_url": model_server.url, **cost}
        told = {
            "providers": {name: {**own, "model": name} for name in ("first", "second")},
            "routing": {"default": ["first", "second"]},
            "policies": {"allowed_fails": 0, "cooldown_seconds": 300, "timeout_seconds": 60},
            "admin": admin or {},
        }
        path.write_text(yaml.safe_dump(told))
        doors.append(Door.open(LlmSettings(providers_file=path)))
        worker = Models(database, doors[-1])
        await worker.register()
        return worker

    yield open_
    for door in doors:
        await door.close()


async def ask(worker: Worker, text: str = "What is promised?") -> None:
    await worker.door.lm("chat").acall(request=asked(text))


async def test_a_deployment_that_failed_one_worker_is_not_asked_by_nineteen_others(
    open_worker: OpenWorker, model_server: ModelServer
):
    """Each of them would lose its timeout, and the provider would be asked twenty times while it is down."""
    model_server.fail("first", "status", status=503, times=0)
    one, *others = [await open_worker() for _ in range(20)]
    await ask(one)
    await one.share()
    for other in others:
        await other.share()

    for other in others:
        await ask(other)

    assert (model_server.stats["first"].requests, model_server.stats["second"].answers) == (1, 20)


async def test_what_workers_did_is_seen_by_people(
    open_worker: OpenWorker, model_server: ModelServer, database: Database
):
    model_server.fail("first", "status", status=503)
    worker = await open_worker()
    await ask(worker, "one")
    await ask(worker, "two")
    await worker.share()

    async with database.read() as session:
        first, second = await list_deployments(session)

    assert (first.failures, first.error, first.rests_until is not None) == (1, "model_unavailable", True)
    assert (second.answers, second.failures, second.p50_ms is not None) == (2, 0, True)
    served = model_server.stats["second"]
    assert (second.today.input_tokens, second.today.output_tokens) == (
        served.input_tokens,
        served.output_tokens,
    )
    assert second.today.cost_usd * 1_000_000 == served.input_tokens + served.output_tokens


async def test_a_model_that_is_switched_off_is_asked_by_nobody_until_it_is_on_again(
    open_worker: OpenWorker, model_server: ModelServer, database: Database
):
    worker = await open_worker()
    for name in ("first", "second"):
        await database.write(switch_model, name, enabled=False, by=Doer("local", "local"))
    await worker.share()

    with pytest.raises(dspy.LMError) as caught:
        await ask(worker)

    error = translate(caught.value)
    assert error.code == "model_role_down"
    assert error.detail["deployments"] == {"first": "model_switched_off", "second": "model_switched_off"}
    await database.write(switch_model, "second", enabled=True, by=Doer("local", "local"))
    await worker.share()
    await ask(worker)
    assert (model_server.stats["first"].requests, model_server.stats["second"].answers) == (0, 1)


async def test_a_probe_ends_a_rest_for_all_workers(open_worker: OpenWorker, model_server: ModelServer):
    """The provider is back after seconds; nobody has to wait for the end of a long rest."""
    model_server.fail("first", "status", status=503)
    one, other = await open_worker(usd=0), await open_worker(usd=0)
    await ask(one)
    for worker in (one, other):
        await worker.share()
    assert other.door.resting() == ["first"]

    await other.probe()
    for worker in (one, other):
        await worker.share()

    assert (one.door.resting(), other.door.resting()) == ([], [])
    assert model_server.bodies[-1]["max_tokens"] == 1


async def test_what_costs_money_is_not_probed_unless_the_file_says_so(
    open_worker: OpenWorker, model_server: ModelServer
):
    model_server.fail("first", "status", status=503, times=0)
    worker = await open_worker(usd=1)
    await ask(worker)
    await worker.probe()
    assert model_server.stats["first"].requests == 1

    paying = await open_worker(usd=1, admin={"probe_paid": True, "probe_seconds": 60})
    await ask(paying)
    await paying.probe()
    await paying.probe()

    assert model_server.stats["first"].requests == 3  # the call, and one probe in its period


async def test_a_model_that_makes_vectors_is_probed_by_one_and_only_where_that_is_free(
    open_worker: OpenWorker, model_server: ModelServer, tmp_path: Path
):
    """It costs for what goes in alone: no price for output does not make it free."""

    async def rests(input_usd: int) -> Worker:
        worker = await open_worker()
        path = tmp_path / "providers.yaml"
        told = yaml.safe_load(path.read_text())
        told["routing"] |= {"default": ["first"], "embedder": ["second"]}
        told["providers"]["second"]["cost"] = {"input_per_million": input_usd, "output_per_million": 0}
        path.write_text(yaml.safe_dump(told))
        await worker.reload()
        worker.door.seen.breaker.heed("second", 300)
        return worker

    paid = await rests(1)
    await paid.probe()
    assert model_server.stats["second"].requests == 0

    free = await rests(0)
    await free.probe()
    assert model_server.bodies[-1]["input"] in ("ping", ["ping"])
    assert (model_server.stats["second"].requests, model_server.stats["second"].answers) == (1, 1)


async def test_the_catalogue_follows_the_file_and_a_price_that_is_missing_is_reported(
    open_worker: OpenWorker, database: Database
):
    await open_worker(usd=1)
    await open_worker(usd=None)

    async with database.read() as session:
        first, _second = await list_models(session)

    assert (first.configured, first.price_source, first.input_per_million) == (True, None, None)
    assert first.roles == ["chat", "analyst", "judge", "reflector"]


async def test_what_was_seen_while_the_database_was_away_is_told_later(
    open_worker: OpenWorker, database: Database, monkeypatch: pytest.MonkeyPatch
):
    worker = await open_worker()
    await ask(worker)

    async def away(*_args: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(Database, "write", away)
    with pytest.raises(ConnectionError):
        await worker.share()
    monkeypatch.undo()
    await ask(worker)
    await worker.share()

    async with database.read() as session:
        assert (await list_deployments(session))[0].answers == 2


async def test_an_override_is_heard_by_all_workers_survives_a_reload_and_is_undone(
    open_worker: OpenWorker, model_server: ModelServer, database: Database, tmp_path: Path
):
    one, other = await open_worker(), await open_worker()
    await database.write(set_override, "chat", NewOverride(ask=["second"]), by=Doer("local", "local"))
    for worker in (one, other):
        await worker.share()
        await ask(worker)
    assert (model_server.stats["first"].requests, model_server.stats["second"].requests) == (0, 2)
    assert one.door.describe()["chat"] == ("second", "first")  # the file's others stand in

    path = tmp_path / "providers.yaml"
    path.write_text(path.read_text() + "# changed\n")
    await one.reload()
    await ask(one)
    await database.write(end_override, "chat", by=Doer("local", "local"))
    await one.share()
    await ask(one)

    assert (model_server.stats["first"].requests, model_server.stats["second"].requests) == (1, 3)


async def test_a_changed_file_that_a_run_took_over_first_is_told_to_all_others(
    open_worker: OpenWorker, database: Database, tmp_path: Path
):
    worker = await open_worker()
    path = tmp_path / "providers.yaml"
    told = yaml.safe_load(path.read_text())
    told["providers"]["third"] = told["providers"]["first"]
    path.write_text(yaml.safe_dump(told))

    assert await worker.door.reload()
    await worker.reload()

    async with database.read() as session:
        assert "third" in {model.name for model in await list_models(session)}


async def test_an_override_that_names_nobody_of_the_file_any_more_is_told_and_ignored(
    open_worker: OpenWorker,
    model_server: ModelServer,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    worker = await open_worker()
    await database.write(set_override, "chat", NewOverride(ask=["second"]), by=Doer("local", "local"))
    await worker.share()
    path = tmp_path / "providers.yaml"
    told = yaml.safe_load(path.read_text())
    del told["providers"]["second"]
    path.write_text(yaml.safe_dump(told | {"routing": {"default": ["first"]}}))

    await worker.reload()
    await ask(worker)

    assert model_server.stats["first"].requests == 1
    assert "the role chat names second, which is not enabled" in caplog.text
    assert worker.door.ignored


async def test_ratings_move_the_weights_of_a_role_within_bounds_and_back_when_they_stop_holding(
    open_worker: OpenWorker, database: Database, tmp_path: Path
):
    worker = await open_worker()
    path = tmp_path / "providers.yaml"
    told = yaml.safe_load(path.read_text())
    ratings = Ratings(database, worker.door)
    run_id = new_id()

    async def play(one: str, other: str, times: int) -> None:
        for number in range(times):
            await match(database, run_id, one, other, number)

    await play("first", "second", 40)
    await ratings.move()
    await worker.share()
    assert worker.door.describe()["chat"] == ("first", "second")  # off by default
    path.write_text(yaml.safe_dump(told | {"arena": {"chat": {"least": 2, "most": 8, "games": 30}}}))
    await worker.reload()

    await ratings.move()
    await worker.share()
    assert worker.door.providers.route("chat").weights == {"first": 8, "second": 2}

    run_id = new_id()
    await play("second", "first", 40)
    await ratings.move()
    await worker.share()
    assert worker.door.providers.route("chat").weights == {}
    async with database.read() as session:
        lines = (await list_entries(session, target="role:chat")).items
    assert [line.action for line in lines] == ["routing.restored", "routing.overridden"]


async def match(database: Database, run_id: UUID, winner: str, loser: str, number: int) -> None:
    """Let one deployment answer better than the other."""
    task, answers = ArenaTask(input="?"), {winner: Said(answer="good"), loser: Said()}
    ids = await database.write(keep_answers, "local", run_id, number, task, answers)
    task_id = derived_id(run_id, f"task {number}")
    pair = tuple((name, ids[name], answers[name]) for name in (winner, loser))
    made = {"match_id": derived_id(task_id, "match"), "task_id": task_id, "pair": pair}
    await database.write(open_match, "local", run_id, task, **made)
