"""What a storm leaves behind: the ledger's books beside the servers', and what is still taken."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.runs import CallStatus
from database.engine import Database
from database.journal.ledger import CALLS, RUNS
from llm.door import Door
from llm.settings import LlmSettings

NOTHING = {"answers": 0, "input_tokens": 0, "output_tokens": 0}


@dataclass(slots=True)
class Sums:
    """Answered calls, their tokens in and out, and their cost in US dollars."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Books:
    """What the ledger says of some runs. `rows` counts them by step, where each call has its own."""

    by_model: Mapping[str, Sums]
    statuses: Counter[str]
    rows: Counter[str]
    tries: int
    usd_of_runs: Decimal


async def books_of(database: Database, runs: Sequence[UUID]) -> Books:
    """Read the ledger of these runs."""
    async with database.read() as session:
        rows = (await session.execute(sa.select(CALLS).where(CALLS.c.run_id.in_(runs)))).all()
        costs = (await session.execute(sa.select(RUNS.c.cost_usd).where(RUNS.c.id.in_(runs)))).scalars().all()
    by_model: dict[str, Sums] = defaultdict(Sums)
    for row in rows:
        if row.status == CallStatus.SUCCEEDED:
            sums = by_model[row.deployment]
            sums.calls += 1
            sums.input_tokens += row.input_tokens
            sums.output_tokens += row.output_tokens
            sums.usd += row.cost_usd
    return Books(
        by_model,
        Counter(row.status for row in rows),
        Counter(row.step for row in rows),
        sum(row.tries for row in rows),
        sum(costs, Decimal(0)),
    )


def differences(
    books: Books, served: dict[str, Any], prices: Mapping[str, tuple[str, str]], calls: int
) -> list[str]:
    """Return where the books are not those of the servers, or not those of so many calls."""
    found = []
    if books.statuses != Counter({str(CallStatus.SUCCEEDED): calls}):
        found.append(f"ledger: {dict(books.statuses)} of {calls} calls")
    if set(books.rows.values()) != {1}:
        found.append("ledger: a call has two rows")
    if (requests := served["total"]["requests"]) > books.tries * len(prices):
        found.append(f"bounded attempts: {requests} requests for {books.tries} tries")
    total = Decimal(0)
    for name, (usd_in, usd_out) in prices.items():
        told = served["models"].get(name, NOTHING)
        tokens = (told["input_tokens"], told["output_tokens"])
        usd = (tokens[0] * Decimal(usd_in) + tokens[1] * Decimal(usd_out)) / 1_000_000
        theirs, ours = Sums(told["answers"], *tokens, usd), books.by_model[name]
        total += usd
        if theirs != ours:
            found.append(f"sums of {name}: served {theirs}, ledger {ours}")
    if total != books.usd_of_runs:
        found.append(f"sums: served for {total}, the runs cost {books.usd_of_runs}")
    return found


def still_taken(door: Door) -> dict[str, int]:
    """Return how many slots of the process and places at each deployment are taken."""
    slots = LlmSettings().llm_concurrency - door._place.slots._value  # noqa: SLF001  nobody else looks
    health = door.seen
    uses = health.limiter._uses if health is not None else {}  # noqa: SLF001
    return {"slots": slots, **{name: use.in_flight for name, use in uses.items()}}
