"""A storm over the model door: calls in their thousands, and providers that fail in every way at random.

    python -m tests.chaos.storm [--calls 10000] [--seed 1] [--database mariadb]

What must hold, whatever the dice say: each call is asked a bounded number of times in a bounded time and has
one answer; afterwards no slot is taken and no call is open; the next calls are answered at the first try; and
the ledger's calls, tokens and dollars are those that the servers say they served.
The last line of output is the report as JSON; the exit code is 1 when a promise was broken.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from pydantic import SecretStr

from benchmarks.children import children
from benchmarks.model_endpoint import start_endpoint
from benchmarks.report import Report
from benchmarks.results_database import measurable, results_database
from contracts.pipelines import PROBE
from contracts.runs import Origin
from database.engine import Database, open_database
from database.queue.leases import claim_runs, mark_running
from database.queue.runs import accept_run
from database.settings import DatabaseSettings
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.run import Run
from flows.durable.versions import Versions
from llm.door import Door
from llm.errors import RoleDown, translate
from llm.ledger import StepCalls
from llm.settings import LlmSettings
from tests.chaos.storm_books import books_of, differences, still_taken

if TYPE_CHECKING:
    from llm.engine import AsyncEngine

TEXT = "an answer of a few words"
RUNS_AT_ONCE = 20
AT_ONCE = 50
AFTERWARDS, AFTERWARDS_AT_ONCE = 100, 8
# As a step's policy: tries of which each may ask every deployment once.
TRIES = 12
# While a whole role rests nobody is asked, so these rounds cost nothing; they too have an end.
RESTS = 300
# An answer that comes after its caller's patience is billed and in no ledger of ours, so patience is long
# where answers come: only a deployment that never answers in the storm is given up soon.
TIMEOUT_SECONDS = 120.0
IDLE_SECONDS = 20.0
SILENT, SILENT_SECONDS = "silent", 4.0
LONGEST_PAUSE = 2.0
# US dollars per million tokens in and out; another price each, so that a wrong name shows in the sums.
PRICES = {
    "alpha": ("0.15", "0.60"),
    "beta": ("1.25", "10"),
    "gamma": ("0.037", "0.113"),
    SILENT: ("2", "3"),
}
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 429, "rate": 0.04},
    {"kind": "status", "status": 429, "retry_after": 1, "rate": 0.03},
    {"kind": "status", "status": 500, "rate": 0.05},
    {"kind": "status", "status": 503, "rate": 0.02},
    {"kind": "reset", "rate": 0.04},
    {"kind": "truncated", "rate": 0.02},
    {"kind": "malformed", "rate": 0.03},
    {"kind": "html", "rate": 0.02},
    {"kind": "cut", "after": 2, "rate": 0.05},
    {"kind": "ends_early", "after": 3, "rate": 0.03},
    {"kind": "stall", "after": 1, "rate": 0.003},
)


@dataclass(slots=True)
class Told:
    """What the callers saw: tries and seconds of each call, codes of failures, wrong or missing answers."""

    tries: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def storm(
    database: Database, server: str, folder: Path, *, calls: int, seed: int
) -> tuple[list[str], dict[str, Any]]:
    """Make the calls while the providers at `server` fail at random; then let them be well again.

    Returns:
        The promises that were broken, and the report.
    """
    async with AsyncExitStack() as held:
        control = await held.enter_async_context(
            httpx.AsyncClient(base_url=server.removesuffix("/v1"), trust_env=False, timeout=60)
        )
        door = Door.open(LlmSettings(providers_file=_providers(folder, server)))
        held.push_async_callback(door.close)
        events = EventLog(database)
        held.push_async_callback(events.close)
        runs = [await _running(database, door, events) for _ in range(RUNS_AT_ONCE)]
        await control.delete("/stats")
        for model in PRICES.keys() - {SILENT}:
            faults = [{**fault, "times": 0} for fault in FAULTS]
            await control.post("/faults", json={"model": model, "faults": faults, "text": TEXT})
        await control.post("/faults", json={"model": SILENT, "faults": [{"kind": "hang", "times": 0}]})
        began = monotonic()
        during = await _called(door, runs, range(calls), AT_ONCE, seed)
        seconds = monotonic() - began
        stormy = (await control.get("/stats")).json()["total"]

        await control.delete("/faults")
        for model in PRICES:
            await control.post("/faults", json={"model": model, "text": TEXT})
        await _rested(door)
        after = await _called(door, runs, range(calls, calls + AFTERWARDS), AFTERWARDS_AT_ONCE, seed)
        served = (await control.get("/stats")).json()
        books = await books_of(database, [run.id for run in runs])
        left = still_taken(door)

    broken = [f"one answer: {each}" for each in (during.wrong + after.wrong)[:5]]
    broken += [f"bounded time: {each}" for each in during.late[:5]]
    broken += [f"stuck: {name} holds {count}" for name, count in left.items() if count]
    broken += differences(books, served, PRICES, calls + AFTERWARDS)
    if set(after.tries) != {1}:
        broken.append(f"recovery: {Counter(after.tries)} tries after the storm")
    requests = served["total"]["requests"] - stormy["requests"]
    if requests != AFTERWARDS:
        broken.append(f"recovery: {requests} requests for {AFTERWARDS} calls after the storm")
    report = {
        "name": "storm",
        "seed": seed,
        "calls": calls,
        "seconds": round(seconds, 1),
        "calls_per_s": round(calls / seconds, 1),
        "asked": stormy,
        "failures": dict(during.codes.most_common()),
        "most_tries": max(during.tries),
        "longest_call_seconds": round(max(during.seconds), 1),
        "ledger": {name: {**asdict(row), "usd": str(row.usd)} for name, row in books.by_model.items()},
        "broken": broken,
        "holds": not broken,
    }
    return broken, report


async def _called(door: Door, runs: list[Run], numbers: range, at_once: int, seed: int) -> Told:
    told, left, chance = Told(), iter(numbers), random.Random(seed)

    async def caller() -> None:
        for number in left:
            await _one(door, runs[number % len(runs)], f"storm[{number}]", chance, told)

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return told


async def _one(door: Door, run: Run, step: str, chance: random.Random, told: Told) -> None:
    """Ask as a step does: again while it can heal, with a pause, and only so often."""
    began, tries, rests = monotonic(), 0, 0
    streamed = chance.random() < 0.5
    while tries < TRIES and rests < RESTS:
        engine = door.engine("chat", StepCalls(Journal(run), step, stop=run.stop, owner=run.owner))
        try:
            text = await _asked(engine, step, streamed=streamed)
        except Exception as exc:  # noqa: BLE001  counted by its code
            error = translate(exc)
            told.codes[error.code] += 1
            if not error.retryable:
                told.wrong.append(f"{step}: {error.code}")
                break
            if isinstance(error, RoleDown):
                rests += 1
            else:
                tries += 1
            wanted = error.detail.get("retry_after") or 0.05 * 2 ** min(tries, 5)
            await asyncio.sleep(min(wanted, LONGEST_PAUSE) * chance.uniform(0.5, 1))
            continue
        tries += 1
        if text != TEXT:
            told.wrong.append(f"{step}: {text!r}")
        break
    else:
        told.wrong.append(f"{step}: no answer after {tries} tries and {rests} rests")
    took = monotonic() - began
    told.tries.append(tries)
    told.seconds.append(took)
    if took > tries * len(PRICES) * (TIMEOUT_SECONDS + IDLE_SECONDS + 2) + (tries + rests) * LONGEST_PAUSE:
        told.late.append(f"{step}: {took:.0f} s for {tries} tries and {rests} rests")


async def _asked(engine: "AsyncEngine", question: str, *, streamed: bool) -> str:
    from dspy.lm15 import Message, Request

    request = Request(model="millrace/chat", messages=(Message.user(f"What is {question}?"),))
    if not streamed:
        return (await engine.complete(request)).text or ""
    text = ""
    async with aclosing(engine.stream(request)) as stream:
        async for event in stream:
            if event.type == "delta":
                text += event.delta.text
    return text


async def _rested(door: Door) -> None:
    """Wait until every deployment may be asked again."""
    async with asyncio.timeout(60):
        while door.resting():  # noqa: ASYNC110  a clock has no event
            await asyncio.sleep(0.05)


def _providers(folder: Path, server: str) -> Path:
    def provider(name: str, usd_in: str, usd_out: str) -> dict[str, Any]:
        patience = {"timeout_seconds": SILENT_SECONDS} if name == SILENT else {}
        cost = {"input_per_million": usd_in, "output_per_million": usd_out}
        return {"kind": "openai_compatible", "model": name, "base_url": server, "cost": cost, **patience}

    told = {
        "providers": {name: provider(name, *usd) for name, usd in PRICES.items()},
        "routing": {"default": {"weights": {"alpha": 3, "beta": 2, "gamma": 2, SILENT: 1}}},
        "policies": {
            "timeout_seconds": TIMEOUT_SECONDS,
            "idle_seconds": IDLE_SECONDS,
            "allowed_fails": 2,
            "cooldown_seconds": 1,
        },
    }
    path = folder / "providers.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


async def _running(database: Database, door: Door, events: EventLog) -> Run:
    await database.write(
        accept_run, pipeline=PROBE.name, pool=PROBE.pool, params={}, owner="storm", origin=Origin.CLI
    )
    (claim,) = await database.write(claim_runs, pool=PROBE.pool, worker="storm", limit=1, lease_seconds=7200)
    await database.write(mark_running, claim.id, claim.attempt)
    return Run(
        claim.id, claim.attempt, claim.owner, claim.pipeline, database, door, events, Versions(database)
    )


def main() -> int:
    """Run what the command line asks for; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="Make model calls while providers fail at random.")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["mariadb", "sqlite"], default="mariadb")
    told = parser.parse_args()
    report = Report("storm")
    (kind,) = measurable((told.database,), report)
    with children() as kept, results_database(kind, kept) as url:
        report.say(f"storm: {told.calls} calls on {kind}, seed {told.seed} ...")
        broken, found = asyncio.run(_on(url, start_endpoint(kept), kept.folder, told.calls, told.seed))
    for promise in broken:
        report.say(promise)
    print(json.dumps({**found, "database": kind}), flush=True)  # noqa: T201  the report
    return 1 if broken else 0


async def _on(url: str, server: str, folder: Path, calls: int, seed: int) -> tuple[list[str], dict[str, Any]]:
    database = open_database(DatabaseSettings(database_url=SecretStr(url)))
    try:
        return await storm(database, server, folder, calls=calls, seed=seed)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
