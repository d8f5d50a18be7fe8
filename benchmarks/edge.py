"""What asking who calls, and counting how often, adds to a request: `python -m benchmarks.edge [--quick]`.

Three API processes serve one database: one asks nobody (AUTH=none), one asks everybody, one also counts. A
hundred callers, each with a key of their own, ask all three in blocks that take turns: a read and a trigger,
paced (50 requests a second, which the machine can serve: what is added to each) and as fast as they go.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import Any

import httpx
from pydantic import SecretStr

from api.auth.tokens import KEY_PREFIX, hashed
from benchmarks.children import Children, answers, children, free_port
from benchmarks.report import Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database
from contracts.people import Role, Scope
from database.engine import open_database
from database.people.audit import COMMAND_LINE, Doer
from database.people.keys import make_key
from database.people.users import create_user
from database.settings import DatabaseSettings

CALLERS = 100
PACED_PER_SECOND = 50
IDLE_SECONDS = 1.0
OPEN, ASKING, COUNTING = "asks_nobody", "asks", "asks_and_counts"
PLENTY = "1000000/minute"
LIMITS = ("READ", "WRITE", "START")
SERVERS: Mapping[str, Mapping[str, str]] = {
    OPEN: {"AUTH": "none"},
    ASKING: {"AUTH": "embedded", **{f"RATE_LIMIT_{name}": "off" for name in LIMITS}},
    COUNTING: {"AUTH": "embedded", **{f"RATE_LIMIT_{name}": PLENTY for name in LIMITS}},
}
REQUESTS: Mapping[str, tuple[str, str, Any]] = {
    "read": ("GET", "/api/v1/runs?limit=10", None),
    "trigger": ("POST", "/api/v1/pipelines/probe/runs", {"params": {}}),
}


@dataclass(slots=True)
class Sample:
    """Milliseconds of requests to one server, and how many seconds its blocks took."""

    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0


def measure(options: Options, report: Report) -> None:
    """Start the servers, then ask them."""
    with ExitStack() as held:
        kept = held.enter_context(children())
        (kind, *_) = measurable(options.databases, report)
        url = held.enter_context(results_database(kind, kept))
        keys = asyncio.run(_let_in(url))
        addresses = {name: _serve(kept, name, url) for name in SERVERS}
        asyncio.run(_ask(options, report, addresses, keys))
        report.measured |= {"database": kind, "callers": CALLERS, "paced_per_s": PACED_PER_SECOND}


async def _let_in(url: str) -> list[str]:
    """Make people with a key each; return the keys."""
    database = open_database(DatabaseSettings(database_url=SecretStr(url)))
    keys = [f"{KEY_PREFIX}bench-{number}" for number in range(CALLERS)]
    for number, key in enumerate(keys):
        user = await database.write(
            create_user,
            COMMAND_LINE,
            email=f"caller{number}@example.org",
            name="",
            role=Role.USER,
            password_hash=None,
        )
        await database.write(
            make_key,
            Doer(f"user:{user.id}", f"user:{user.id}"),
            user.id,
            project_id=None,
            name="bench",
            prefix=KEY_PREFIX,
            key_hash=hashed(key),
            scopes=[Scope.RUNS_READ, Scope.RUNS_WRITE],
            expires_at=None,
        )
    await database.close()
    return keys


def _serve(kept: Children, name: str, url: str) -> str:
    port = free_port()
    settings = {
        "DATABASE_URL": url,
        "API_PORT": str(port),
        "MILLRACE_HOME": str(kept.folder / name),
        "LOG_LEVEL": "WARNING",
        **SERVERS[name],
    }
    kept.start(name, "python", "-c", "from api.serve import serve; serve()", environment=settings)
    address = f"http://127.0.0.1:{port}"
    kept.wait_for(name, lambda: answers(f"{address}/healthz"))
    return address


async def _ask(options: Options, report: Report, addresses: Mapping[str, str], keys: Sequence[str]) -> None:
    rounds, block = (2, 100) if options.quick else (6, 400)
    # Connections rest while the other servers have their turn: ours must end before the server ends them.
    limits = httpx.Limits(
        max_connections=CALLERS, max_keepalive_connections=CALLERS, keepalive_expiry=IDLE_SECONDS
    )
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=60) as client:
        for what in REQUESTS:
            for name, address in addresses.items():
                await _block(client, address, keys, what, CALLERS, None, Sample())
                report.say(f"  {what}: {name} is warm")
            for how, pace in (("paced", PACED_PER_SECOND), ("flat_out", None)):
                samples = {name: Sample() for name in addresses}
                for _ in range(rounds):
                    for name, address in addresses.items():
                        await _block(client, address, keys, what, block, pace, samples[name])
                _tell(report, what, how, samples)
    _bars(report)


async def _block(
    client: httpx.AsyncClient,
    address: str,
    keys: Sequence[str],
    what: str,
    requests: int,
    pace: float | None,
    sample: Sample,
) -> None:
    """Send requests: `pace` of them a second whatever becomes of them, or all callers at once."""
    method, path, body = REQUESTS[what]
    places = asyncio.Semaphore(CALLERS)

    async def one(key: str) -> None:
        async with places:
            began = perf_counter()
            answer = await client.request(
                method, f"{address}{path}", json=body, headers={"Authorization": f"Bearer {key}"}
            )
            sample.ms.append((perf_counter() - began) * 1000)
            answer.raise_for_status()

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, key in zip(range(requests), cycle(keys), strict=False):
            if pace is not None:
                await asyncio.sleep(max(0.0, began + number / pace - perf_counter()))
            group.create_task(one(key))
    sample.seconds += perf_counter() - began


def _tell(report: Report, what: str, how: str, samples: Mapping[str, Sample]) -> None:
    told: dict[str, Any] = {
        name: {"ms": summary(each.ms), "per_s": len(each.ms) / each.seconds} for name, each in samples.items()
    }
    base = told[OPEN]
    for name, each in told.items():
        each["added_ms"] = {part: each["ms"][part] - base["ms"][part] for part in ("p50", "p95")}
        report.say(
            f"  {what:8} {how:9} {name:16} p50 {each['ms']['p50']:7.2f} ms   p95 {each['ms']['p95']:7.2f} ms"
            f"   {each['per_s']:6.0f}/s   added p50 {each['added_ms']['p50']:6.2f} ms"
        )
    report.peers.setdefault(f"{what}_{how}", base)
    report.measured[f"{what}_{how}"] = {name: each for name, each in told.items() if name != OPEN}


def _bars(report: Report) -> None:
    for what in REQUESTS:
        added = report.measured[f"{what}_paced"][COUNTING]["added_ms"]["p50"]
        report.bar(f"added_p50_{what}", added, "<= 2", "ms")


if __name__ == "__main__":
    bench("edge", str(__doc__), measure, databases=("mariadb", "sqlite"))
