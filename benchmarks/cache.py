"""What a kept answer costs to be found: `python -m benchmarks.cache [--quick]`.

The backend is asked what it was asked before, as the engine asks it: once with an empty memory and the answer
in the database among others, once with the answer in memory. The ledger's two statements, which every call
has, are not in it (see call_overhead). The peer is asking the loopback endpoint, which answers at once.

Then the semantic cache: the guard on the pairs of `benchmarks/data`, beside bare thresholds on the built-in
word hashes; and an answer to a question in other words among 10,000 with vectors of 1,536 numbers, its own
vector given, beside a search through all vectors.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from benchmarks.children import children
from benchmarks.model_endpoint import start_endpoint, write_providers
from benchmarks.near_misses import measure_guard, measure_search
from benchmarks.report import Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database

ENTRIES = 10_000
OWNER = "bench"


def measure(options: Options, report: Report) -> None:
    """Start the endpoint and the databases, then measure in this process."""
    with ExitStack() as held:
        kept = held.enter_context(children())
        url = start_endpoint(kept)
        providers = write_providers(kept.folder, url)
        text = providers.read_text(encoding="utf-8")
        always = "cache: {exact: {chat: always}}\n"
        providers.write_text(f"{text}{always}", encoding="utf-8")
        for kind in measurable(options.databases, report):
            address = held.enter_context(results_database(kind, kept))
            asyncio.run(_measure(options, report, kind, providers, address))
        for database, found in list(report.measured.items()):
            for where in ("in_database", "in_memory"):
                report.bar(f"exact_hit_p50_{where}_{database}", found[where]["p50"], "<= 2", "ms")
    measure_guard(report)
    measure_search(options, report)


async def _measure(options: Options, report: Report, kind: str, providers: Path, address: str) -> None:
    from dspy.lm15 import Message, Request
    from pydantic import SecretStr

    from contracts.cache import KeptAnswer
    from database.engine import open_database
    from database.gateway.cache import tell_cache
    from database.settings import DatabaseSettings
    from deployments.worker.models import Answers
    from llm.cache import FRONT_ENTRIES, Cache, CachedBackend
    from llm.door import Door
    from llm.routing import Hints
    from llm.settings import LlmSettings

    database = open_database(DatabaseSettings(database_url=SecretStr(address)))
    door = Door.open(LlmSettings(providers_file=providers), answers=Answers(database))
    backend = door.engine("chat").backend
    if not isinstance(backend, CachedBackend) or door.cache is None:
        raise TypeError("the door keeps no answers")
    rounds = 200 if options.quick else 2000
    questions = [
        (
            Request(model="x", messages=(Message.user(f"Is {number} a number?"),)),
            Hints(fingerprint=f"{number:064x}", owner=OWNER),
        )
        for number in range(rounds)
    ]

    async def ask(through: CachedBackend, most: int = rounds) -> list[float]:
        times = []
        for request, hints in questions[-most:]:
            began = perf_counter()
            await through.complete("chat", request, hints)
            times.append((perf_counter() - began) * 1000)
        return times

    asked = await ask(backend)
    kept = list(door.cache.take_news().kept.values())
    told = {name: getattr(kept[0], name) for name in KeptAnswer.__slots__}
    others = [KeptAnswer(**{**told, "key": f"{number:064x}"}) for number in range(ENTRIES - len(kept))]
    for start in range(0, len(others), 1000):
        await database.write(tell_cache, others[start : start + 1000], {}, {})
    await database.write(tell_cache, kept, {}, {})
    fresh = CachedBackend(backend.inner, Cache(Answers(database)))
    far = await ask(fresh)
    # As many as memory keeps: who asks for more in the same order finds none of them there.
    near = await ask(fresh, FRONT_ENTRIES)
    for name, times in (("asked", asked), ("in_database", far), ("in_memory", near)):
        ms = summary(times)
        report.say(f"  {kind:8} {name:12} p50 {ms['p50']:6.3f} ms  p95 {ms['p95']:6.3f} ms")
    report.measured[kind] = {"in_database": summary(far), "in_memory": summary(near), "entries": ENTRIES}
    report.peers[kind] = {"asked": summary(asked)}
    await door.close()
    await database.close()


if __name__ == "__main__":
    bench("cache", str(__doc__), measure, databases=("mariadb", "sqlite"))
