"""A chaos run from its start to its report."""

# ruff: noqa: T201

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from benchmarks.machine import machine
from benchmarks.report import summary
from tests.chaos.audit import Finding, audit
from tests.chaos.load import Load
from tests.chaos.plan import Plan
from tests.chaos.stack import ChaosStack, chaos_stack
from tests.chaos.troubles import Troubles

LATENCY_MS = 120
# What a machine with cores to spare takes until the stack is ready. Where it takes longer, trouble comes as
# much more slowly: else what was killed would never live again.
QUICK_START_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a chaos run: `findings` are broken promises, or signs that it proved nothing."""

    findings: list[Finding]
    report: dict[str, Any]

    @property
    def names(self) -> set[str]:
        """Which promises were broken."""
        return {name for name, _ in self.findings}

    def as_line(self) -> str:
        """Return the report as one line of JSON."""
        return json.dumps({**self.report, "holds": not self.findings, "findings": self.findings})


def run_chaos(plan: Plan, paced: Callable[[float], Plan] | None = None) -> Outcome:
    """Start a stack, make trouble while clients work, wait until all has ended, and audit what is left.

    Args:
        plan: what is done.
        paced: makes the plan that is followed instead, of the pace at which this machine starts things.
    """
    about, began = machine(), monotonic()
    with chaos_stack(plan) as stack:
        started = monotonic() - began
        if paced is not None:
            stack.plan = plan = paced(max(1, round(started / QUICK_START_SECONDS, 1)))
            print(f"chaos: started in {started:.0f} s, pace {plan.pace:g}", file=sys.stderr, flush=True)
        stack.model.behaviour["*"].latency_ms = LATENCY_MS
        batch = any(worker.pool == "batch" for worker in plan.workers)
        load = Load(stack.api_url, {"probe": 6, "chat": 3, "analysis": int(batch)})
        troubles = Troubles(stack, load)
        asyncio.run(_make_trouble(stack, load, troubles))
        findings, numbers = audit(stack, load)
        recovery = _recovery(stack, troubles)
    findings += too_quiet(plan, troubles.confirmed, numbers["by_status"].get("succeeded", 0))
    report = {
        "name": "chaos",
        "seed": plan.seed,
        "trouble_seconds": plan.seconds,
        "pace": plan.pace,
        "started_s": round(started, 1),
        "lease_seconds": plan.lease_seconds,
        "workers": len(plan.workers),
        "machine": about,
        "accepted": len(load.asked),
        "succeeded": numbers["by_status"].get("succeeded", 0),
        "troubles": dict(troubles.confirmed),
        "without_effect": dict(troubles.missed),
        "recovery_s": recovery,
        **numbers,
    }
    return Outcome(findings, report)


async def _make_trouble(stack: ChaosStack, load: Load, troubles: Troubles) -> None:
    over = asyncio.Event()
    keeper = asyncio.create_task(troubles.keep_running())
    chance = random.Random(f"clients {stack.plan.seed}")
    clients = [
        asyncio.create_task(load.client(random.Random(chance.random()), over))
        for _ in range(stack.plan.clients)
    ]
    began, under_way = monotonic(), []
    try:
        for at, trouble, how in stack.plan.timeline():
            await asyncio.sleep(max(0, began + at - monotonic()))
            under_way.append(asyncio.create_task(troubles.make(trouble, how)))
        await asyncio.gather(*under_way)
        load.give_up_at = monotonic() + stack.plan.lease_seconds + stack.plan.settle_seconds
        over.set()
        stack.model.behaviour["*"].faults.clear()
        for part in stack.parts:
            part.send(signal.SIGCONT)
        await asyncio.gather(*clients)
        await asyncio.to_thread(_settle, stack)
    finally:
        for task in (keeper, *clients, *under_way):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


def _settle(stack: ChaosStack) -> None:
    """Wait until no run is under way any more: also those whose clients never got an answer."""
    from tests.fixtures.stack import eventually

    def ended() -> bool | None:
        query = "SELECT COUNT(*) AS n FROM runs WHERE finished_at IS NULL"
        return True if stack.rows(query)[0]["n"] == 0 else None

    with suppress(AssertionError):
        eventually(ended, stack.plan.lease_seconds + 60, every=0.5)


def _recovery(stack: ChaosStack, troubles: Troubles) -> dict[str, Any]:
    """Return the seconds from a kill to the moment when a later attempt of the run had begun.

    By how the others learnt of the death: a `neighbour`'s lock, the end of a `lease` on a lost machine, or
    the lease of a `frozen` worker. A run that had ended by itself meanwhile is none of these. Where Prefect
    or the database was away too, the run waited for those as well: so the others are counted once more.
    """
    rows = stack.rows("SELECT run_id, data, at FROM run_events WHERE kind = 'state' ORDER BY seq")
    began: dict[str, list[tuple[int, datetime]]] = {}
    for row in rows:
        state = json.loads(row["data"])
        if state["status"] == "running":
            began.setdefault(str(row["run_id"]), []).append((state["attempt"], row["at"].replace(tzinfo=UTC)))
    taken: dict[str, list[float]] = {}
    for each in troubles.killed:
        later = [at for attempt, at in began.get(each.run_id, ()) if attempt > each.attempt]
        if later:
            seconds = (later[0] - each.at).total_seconds()
            taken.setdefault(each.how, []).append(seconds)
            if not troubles.disturbed(each, later[0]):
                taken.setdefault(f"{each.how}, nothing else down", []).append(seconds)
    return {how: summary(values) for how, values in sorted(taken.items())}


def too_quiet(plan: Plan, confirmed: Counter[str], succeeded: int) -> list[Finding]:
    """Return why the run proves too little: a kind of trouble never came, nothing died, or nothing worked."""
    wanted = Counter(trouble for _, trouble, _ in plan.timeline())
    quiet = [
        ("too quiet", f"{confirmed[trouble]} of {count} times: {trouble}")
        for trouble, count in wanted.items()
        if confirmed[trouble] < max(1, count // 2)
    ]
    never = sorted(set(plan.deck) - set(wanted))
    quiet += [("too quiet", f"no time for it at this pace: {trouble}") for trouble in never]
    if succeeded < plan.successes:
        quiet.append(("too quiet", f"{succeeded} runs succeeded, at least {plan.successes} must"))
    return quiet
