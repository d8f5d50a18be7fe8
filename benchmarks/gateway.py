"""Our door to models beside LiteLLM's Router and plain DSPy: `python -m benchmarks.gateway [--quick]`.

All ask one loopback endpoint that answers at once, in blocks that take turns: one call at a time for
what a call takes, then 50 in flight for how many there are in a second.
Ours has the ledger on MariaDB and its breaker, limits and routing on the way. Like is compared with like: the
door asked with messages (what `/v1/chat/completions` does) with the Router's `acompletion`, a DSPy program
on the door with one on the Router. A server at an address is asked by DSPy's client; beside it the door
over LiteLLM, by which it asks all others. On a busy machine look at `cpu_ms`, the processor time of this
process per call, and at the statements and commits per call.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from benchmarks.children import children
from benchmarks.model_endpoint import start_endpoint, write_providers
from benchmarks.report import Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database

if TYPE_CHECKING:
    from benchmarks.ways_to_ask import Way

AT_ONCE = 50
# What a worker has (WORKER_THREADS): DSPy hops through the default executor several times a call.
THREADS = 64
OVER_LITELLM = "analyst"


def measure(options: Options, report: Report) -> None:
    """Start the endpoint and a database, then measure in this process."""
    with ExitStack() as held:
        kept = held.enter_context(children())
        url = start_endpoint(kept)
        providers = write_providers(kept.folder, url, over_litellm=OVER_LITELLM)
        kinds = measurable(options.databases, report)
        addresses = {kind: held.enter_context(results_database(kind, kept)) for kind in kinds}
        asyncio.run(_compare(options, report, url, providers, addresses))


async def _compare(
    options: Options, report: Report, url: str, providers: Path, addresses: Mapping[Any, str]
) -> None:
    report.say("importing dspy and litellm ...")
    from pydantic import SecretStr

    from benchmarks import ways_to_ask as ways
    from database.engine import open_database
    from database.settings import DatabaseSettings
    from llm.door import Door
    from llm.settings import LlmSettings

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    door = Door.open(LlmSettings(providers_file=providers))
    router = ways.plain_router(url)
    databases = {
        kind: open_database(DatabaseSettings(database_url=SecretStr(address)))
        for kind, address in addresses.items()
    }
    peers = [ways.router_alone(router), ways.predict_on_router(router)]
    ours = {
        kind: [
            await ways.messages_on_ledger(f"door_on_{kind}", door, database, AT_ONCE),
            await ways.predict_on_ledger(f"predict_on_door_on_{kind}", door, database, AT_ONCE),
            await ways.messages_on_ledger(
                f"door_over_litellm_on_{kind}", door, database, AT_ONCE, OVER_LITELLM
            ),
        ]
        for kind, database in databases.items()
    }
    every = [*peers, *(way for each in ours.values() for way in each)]
    rounds, calls = (1, 100) if options.quick else (6, 500)
    alone: dict[str, list[float]] = {way.name: [] for way in every}
    crowded: dict[str, list[float]] = {way.name: [] for way in every}
    seconds, cpu = dict.fromkeys(alone, 0.0), dict.fromkeys(alone, 0.0)
    for number in range(rounds + 1):
        report.say(f"round {number} of {rounds} ...")
        for way in every:
            _, each = await _block(way, calls // 5, at_once=1)
            began = process_time()
            spent, many = await _block(way, calls, at_once=AT_ONCE)
            if number:  # the first round warms up
                cpu[way.name] += process_time() - began
                seconds[way.name] += spent
                alone[way.name] += each
                crowded[way.name] += many
    told: dict[str, dict[str, Any]] = {}
    for name, each in alone.items():
        one, crowd, speed = summary(each), summary(crowded[name]), len(crowded[name]) / seconds[name]
        each_cpu = cpu[name] * 1000 / len(crowded[name])
        told[name] = {
            "one_at_a_time_ms": one,
            "in_flight_ms": crowd,
            "calls_per_s": speed,
            "cpu_ms": each_cpu,
        }
        report.say(
            f"  {name:20} alone p50 {one['p50']:5.1f} p95 {one['p95']:5.1f} ms   {AT_ONCE} in flight"
            f" p50 {crowd['p50']:6.0f} p95 {crowd['p95']:6.0f} ms  {speed:4.0f}/s"
            f"  cpu {each_cpu:4.1f} ms"
        )
    for kind, (way, *_) in ours.items():
        with ways.counted(databases[kind]) as found:
            await _block(way, calls, at_once=AT_ONCE)
        written = {"statements": found.ledger / calls, "commits": found.commits / calls}
        told[way.name]["in_flight_per_call"] = written
        report.say(
            f"  {way.name:20} in flight, per call: {written['statements']:.2f} statements of the ledger"
        )
    report.peers |= {way.name: told[way.name] for way in peers}
    report.measured |= {way.name: told[way.name] for each in ours.values() for way in each} | {
        "concurrency": AT_ONCE
    }
    pairs = {
        "router": ("door_on_mariadb", "router"),
        "router_over_litellm": ("door_over_litellm_on_mariadb", "router"),
        "dspy_on_router": ("predict_on_door_on_mariadb", "predict_on_router"),
        # Beside what converts nothing, all that a DSPy program costs on top.
        "router_by_dspy": ("predict_on_door_on_mariadb", "router"),
    }
    for peer, (mine, theirs) in pairs.items():
        added, share = None, None
        if mine in told:
            added = told[mine]["one_at_a_time_ms"]["p50"] - told[theirs]["one_at_a_time_ms"]["p50"]
            share = told[mine]["calls_per_s"] / told[theirs]["calls_per_s"]
        report.bar(f"added_p50_over_{peer}", added, "<= 3", "ms")
        report.bar(f"throughput_of_{peer}", share, ">= 0.8", "of it")
    await door.close()
    for database in databases.values():
        await database.close()


async def _block(way: "Way", calls: int, at_once: int) -> tuple[float, list[float]]:
    """Return how many seconds the calls took together, and how many milliseconds each."""
    left, each = iter(range(calls)), []

    async def caller() -> None:
        for _ in left:
            began = perf_counter()
            await way.ask()
            each.append((perf_counter() - began) * 1000)

    way.prepare()
    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    if way.settle:
        await way.settle()
    return perf_counter() - began, each


if __name__ == "__main__":
    bench("gateway", str(__doc__), measure, databases=("mariadb", "sqlite"))
