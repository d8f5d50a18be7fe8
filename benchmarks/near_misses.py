"""The guard of the semantic cache on pairs of questions, and a search among 10,000 of them."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import numpy as np

from benchmarks.report import Options, Report, summary
from contracts.cache import Claimed, KeptAnswer
from llm.semantic.guard import form, same
from llm.semantic.vectors import hashed, read, unit

if TYPE_CHECKING:
    from llm.cache import CachedBackend

DATA = Path(__file__).parent / "data"
ENTRIES = 10_000
DIMENSIONS = 1_536  # of OpenAI's small embedding model
THRESHOLDS = (0.95, 0.9, 0.8)
Pair = dict[str, str]


def measure_guard(report: Report) -> None:
    """Tell how many near-misses and paraphrases may share an answer, by the guard and by bare thresholds."""
    misses, paraphrases = _pairs("near_misses"), _pairs("paraphrases")

    def shares(rule: Callable[[Pair], bool]) -> dict[str, float]:
        false, found = (sum(map(rule, pairs)) / len(pairs) for pairs in (misses, paraphrases))
        return {"false_hit_rate": round(false, 4), "recall": round(found, 4)}

    def alike(pair: Pair) -> float:
        return float(read(unit(hashed(pair["one"]))) @ read(unit(hashed(pair["other"]))))

    def guarded(pair: Pair) -> bool:
        return same(pair["one"], pair["other"])

    def near(least: float, *, guarded_too: bool) -> Callable[[Pair], bool]:
        return lambda pair: alike(pair) >= least and (guarded(pair) or not guarded_too)

    told = {"guard": shares(guarded)}
    for least in THRESHOLDS:
        told[f"guard_and_words_{least}"] = shares(near(least, guarded_too=True))
    bare = {f"words_{least}": shares(near(least, guarded_too=False)) for least in THRESHOLDS}
    for name, found in {**told, **bare}.items():
        report.say(
            f"  {name:22} false hits {found['false_hit_rate']:7.2%}  paraphrases {found['recall']:7.2%}"
        )
    report.measured["guard"] = {**told, "near_misses": len(misses), "paraphrases": len(paraphrases)}
    report.peers["bare_threshold"] = bare
    report.bar("guard_false_hit_rate", told["guard"]["false_hit_rate"], "<= 0.01", "share")


def measure_search(options: Options, report: Report) -> None:
    """Tell how long a question in other words takes to be answered, its vector given."""
    asyncio.run(_measure_search(options, report))


@dataclass(frozen=True)
class Given:
    """Vectors that are there already: of their own for each meaning, the same for other words."""

    identity: str = "given"

    async def vector(self, text: str) -> bytes:
        """Return the vector of what a text means."""
        seed = int.from_bytes(hashlib.sha256(form(text).encode()).digest()[:8], "big")
        return unit(np.random.default_rng(seed).normal(size=DIMENSIONS))


class Held:
    """A store in this process: reading the database's is measured above."""

    def __init__(self) -> None:
        self.answers: dict[str, KeptAnswer] = {}

    async def find(self, key: str) -> KeptAnswer | None:
        """Return an answer."""
        return self.answers.get(key)

    async def look(self, key: str) -> Claimed:
        """Return the answer, or that nobody asks."""
        found = self.answers.get(key)
        return Claimed(mine=found is None, answer=found)

    async def claim(self, key: str, owner: str, claim_id: UUID, seconds: float) -> Claimed:
        """Let whoever comes ask: nobody else is here."""
        del owner, claim_id, seconds
        return await self.look(key)


class Instant:
    """A provider that answers at once, behind the file's policies."""

    def __init__(self, providers: Any) -> None:
        self.providers = providers

    async def complete(self, role: str, request: Any, hints: Any) -> Any:
        """Return the same answer to everything."""
        from dspy.lm15 import Message, Response, Usage

        from llm.backend import Reply

        del role, request, hints
        usage = Usage(input_tokens=1, output_tokens=1)
        response = Response(
            id=None, model="m", message=Message.assistant("yes"), finish_reason="stop", usage=usage
        )
        return Reply(response, "m", "m")


async def _measure_search(options: Options, report: Report) -> None:
    from llm.cache import Cache, CachedBackend
    from llm.providers import CachePolicy, Provider, Providers, Route, SemanticPolicy

    policy = CachePolicy(semantic={"chat": SemanticPolicy(mode="answer", review_share=0)})
    one = {"m": Provider(kind="openai_compatible", model="m", base_url="http://127.0.0.1/v1", temperature=0)}
    providers = Providers(providers=one, routing={"default": Route(ask=("m",))}, cache=policy)
    store = Held()
    kept = Cache(store)
    store.answers = kept.news.kept
    backend = CachedBackend(cast("Any", Instant(providers)), kept, cast("Any", Given()))
    for number in range(ENTRIES):
        await _ask(backend, f"What is the price of the red chair number {number} in Oslo?")
    rounds = 200 if options.quick else 2_000
    times = []
    step = ENTRIES // rounds
    for number in range(0, ENTRIES, step):
        began = perf_counter()
        text = f"Could you please tell me what the price of the red chair number {number} in Oslo is?"
        reply = await _ask(backend, text)
        times.append((perf_counter() - began) * 1000)
        if reply.hit is None or reply.hit.how != "semantic":
            raise AssertionError("the question in other words was not found")
    (_, _, shelf), *_ = kept.shelves.all()
    vectors = np.random.default_rng(7).normal(size=(len(shelf), DIMENSIONS)).astype(np.float32)
    asked, brute = vectors[0], []
    for _ in range(200):
        began = perf_counter()
        int((vectors @ asked).argmax())
        brute.append((perf_counter() - began) * 1000)
    for name, found in (("semantic hit", times), ("all vectors", brute)):
        ms = summary(found)
        report.say(f"  {name:22} p50 {ms['p50']:6.3f} ms  p95 {ms['p95']:6.3f} ms")
    report.measured["semantic"] = {**summary(times), "entries": len(shelf), "dimensions": DIMENSIONS}
    report.peers["all_vectors"] = summary(brute)
    report.bar("semantic_hit_p50", summary(times)["p50"], "<= 5", "ms")


async def _ask(backend: "CachedBackend", text: str) -> Any:
    from dspy.lm15 import Message, Request

    from llm.routing import Hints

    mark = hashlib.sha256(text.encode()).hexdigest()
    request = Request(model="x", messages=(Message.user(text),))
    return await backend.complete("chat", request, Hints(fingerprint=mark, owner="bench"))


def _pairs(name: str) -> list[Pair]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
