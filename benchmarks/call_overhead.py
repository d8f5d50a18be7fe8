"""What the ledger and the door add to one model call: `python -m benchmarks.call_overhead [--quick]`.

One loopback endpoint that answers at once is asked in every way, in blocks that take turns, so that whatever
else the machine does hits all of them alike: LiteLLM's Router alone, a DSPy program on that Router, the same
program on our door without a ledger, with the ledger on SQLite and on MariaDB, and with two budgets on each.
"Added" is against the DSPy program on the Router, which does the same work without remembering it.
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks.children import children, resident_mb
from benchmarks.model_endpoint import start_endpoint, write_providers
from benchmarks.report import Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database

if TYPE_CHECKING:
    from benchmarks.ways_to_ask import Way
    from database.engine import Database

WARM_UP = 10
BLOCK = 20
AT_ONCE = 50
# What a worker has (WORKER_THREADS): DSPy hops through the default executor several times a call.
THREADS = 64


def measure(options: Options, report: Report) -> None:
    """Start the endpoint and the databases, then measure in this process."""
    with ExitStack() as held:
        kept = held.enter_context(children())
        held.enter_context(_working_in(kept.folder))
        url = start_endpoint(kept)
        providers = write_providers(kept.folder, url)
        databases = {
            kind: held.enter_context(results_database(kind, kept))
            for kind in measurable(options.databases, report)
        }
        asyncio.run(_compare(options, report, url, providers, databases))


async def _compare(
    options: Options, report: Report, url: str, providers: Path, databases: dict[Any, str]
) -> None:
    report.say("importing dspy and litellm ...")
    from pydantic import SecretStr

    from database.engine import open_database
    from database.settings import DatabaseSettings
    from llm.door import Door
    from llm.settings import LlmSettings

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    door = Door.open(LlmSettings(providers_file=providers))
    from benchmarks import ways_to_ask as ways

    router = ways.plain_router(url)
    opened = {
        kind: open_database(DatabaseSettings(database_url=SecretStr(address)))
        for kind, address in databases.items()
    }
    unrecorded = [ways.router_alone(router), ways.predict_on_router(router), ways.predict_on_door(door)]
    # One after the other, a run's calls follow each other; at once, they come from as many runs.
    in_one_run, in_many = [
        [
            await ways.predict_on_ledger(f"{name}_on_{kind}", door, opened[kind], runs, capped=capped)
            for name, capped in (("ledger", False), ("budgets", True))
            for kind in opened
        ]
        for runs in (1, AT_ONCE)
    ]
    times, cpu = await _in_turns([*unrecorded, *in_one_run], rounds=5 if options.quick else 30, report=report)
    statements = {way.name: await _statements(opened[way.name.rpartition("_")[2]], way) for way in in_one_run}
    calls = 300 if options.quick else 2000
    report.say(f"{AT_ONCE} calls at once, {calls} of them ...")
    speeds = {way.name: await _calls_per_second(way, calls) for way in (*unrecorded, *in_many)}
    _tell(report, times, cpu, speeds, statements)
    await door.close()
    for database in opened.values():
        await database.close()


async def _in_turns(
    compared: list["Way"], rounds: int, report: Report
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Make calls one after the other, the ways taking turns in blocks.

    Returns:
        The milliseconds of each call, and how many of processor time this process spent on one.
    """
    times: dict[str, list[float]] = {way.name: [] for way in compared}
    cpu = dict.fromkeys(times, 0.0)
    for way in compared:
        way.prepare()
        for _ in range(WARM_UP):
            await way.ask()
    report.say(f"one call at a time: {rounds} rounds of {BLOCK} calls, {len(compared)} ways ...")
    for _ in range(rounds):
        for way in compared:
            way.prepare()
            cpu[way.name] -= process_time()
            for _ in range(BLOCK):
                began = perf_counter()
                await way.ask()
                times[way.name].append((perf_counter() - began) * 1000)
            # What this way left for later must not slow down the next one.
            if way.settle:
                await way.settle()
            cpu[way.name] += process_time()
    return times, {name: spent * 1000 / (rounds * BLOCK) for name, spent in cpu.items()}


async def _statements(database: "Database", way: "Way") -> dict[str, float]:
    from benchmarks.ways_to_ask import counted

    with counted(database) as found:
        for _ in range(BLOCK):
            await way.ask()
        if way.settle:
            await way.settle()
    return {"ledger": found.ledger / BLOCK, "events": found.other / BLOCK}


async def _calls_per_second(way: "Way", calls: int) -> float:
    """Return how many calls a second end, `AT_ONCE` of them in flight."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await way.ask()

    way.prepare()
    for _ in range(AT_ONCE):
        await way.ask()
    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    if way.settle:
        await way.settle()
    return calls / (perf_counter() - began)


def _tell(
    report: Report,
    times: dict[str, list[float]],
    cpu: dict[str, float],
    speeds: dict[str, float],
    statements: dict[str, dict[str, float]],
) -> None:
    peers = ("router", "predict_on_router")
    told: dict[str, dict[str, Any]] = {
        name: {"ms": summary(taken), "cpu_ms": cpu[name], "calls_per_s": speeds[name]}
        for name, taken in times.items()
    }
    base = told["predict_on_router"]
    for name, each in told.items():
        ms = each["ms"]
        report.say(
            f"  {name:20} p50 {ms['p50']:6.2f} ms   p95 {ms['p95']:6.2f} ms"
            f"   cpu {each['cpu_ms']:5.2f} ms   {each['calls_per_s']:5.0f} calls/s"
        )
        if name not in peers:
            each["added_ms"] = {part: ms[part] - base["ms"][part] for part in ("p50", "p95")}
            each["added_cpu_ms"] = each["cpu_ms"] - base["cpu_ms"]
            each["calls_per_s_over_peer"] = each["calls_per_s"] / base["calls_per_s"]
    for name, found in statements.items():
        told[name]["statements_per_call"] = found
    report.measured |= {name: each for name, each in told.items() if name not in peers}
    report.measured["concurrency"] = AT_ONCE
    report.measured["rss_mb"] = resident_mb(os.getpid())
    report.measured["note"] = (
        "statements exclude BEGIN, COMMIT and the pool's ping; `events` are the run's log, written in batches"
        " beside the calls; MariaDB with its default of an fsync per commit"
    )
    report.peers |= {name: told[name] for name in peers}
    on_mariadb = told.get("ledger_on_mariadb")
    report.bar("added_p50_mariadb", on_mariadb["added_ms"]["p50"] if on_mariadb else None, "<= 3", "ms")
    counted = statements.get("ledger_on_mariadb", {}).get("ledger")
    report.bar("statements_per_call_mariadb", counted, "<= 2", "statements")


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Work in another folder: the one we were started in may hold a `.env` of its own."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    bench("call_overhead", str(__doc__), measure, databases=("mariadb", "sqlite"))
