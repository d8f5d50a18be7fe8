"""From the trigger to the first line of the flow: `python -m benchmarks.start_latency [--quick]`.

Millrace: a whole local stack, the pipeline `probe` (3 steps of nothing) triggered by POST over HTTP, one run
after the other on an otherwise idle stack. Peer: a stock Prefect server with a stock process worker, and a
flow of 3 empty tasks in a file that imports dspy and litellm, triggered by POST to Prefect's API, with the
worker at its defaults and tuned. All of them on this machine, one at a time, with bytecode cached before.
"""

import random
from time import sleep, time
from typing import Any

from benchmarks.children import Children, children
from benchmarks.local_stack import PIPELINE, Stack, seconds, start_stack, state_times, succeeded
from benchmarks.peers.stock_prefect import (
    Server,
    Worker,
    cache_bytecode,
    ended,
    stock_server,
    stock_workers,
    trigger,
)
from benchmarks.report import DatabaseKind, Options, Report, bench, ratio, summary
from benchmarks.results_database import measurable, results_database

WARM_UP = 3
# A stock run that takes longer than this is reported as missing.
STOCK_SECONDS = 120.0
STOCK_SECONDS_QUICK = 30.0


def measure(options: Options, report: Report) -> None:
    """Measure ours, then the peers."""
    kind = measurable(options.databases, report)[0]
    ours = _millrace(kind, 20 if options.quick else 50, report)
    report.measured = {**report.measured, "database": kind, **ours}
    first = ours["first_line_ms"]
    report.bar("trigger_to_first_line_p50", first["p50"], "<= 150", "ms")
    report.bar("trigger_to_first_line_p95", first["p95"], "<= 300", "ms")
    report.peers = _stock(options, report)
    for name, peer in report.peers.items():
        middle = peer["first_line_ms"]["p50"] if peer["first_line_ms"] else None
        peer["times_slower"] = ratio(middle, first["p50"])
        report.say(f"  {name}: {peer['times_slower'] or 0:.0f} times Millrace's median")


def _millrace(kind: DatabaseKind, runs: int, report: Report) -> dict[str, Any]:
    with children() as kept, results_database(kind, kept) as url:
        began = time()
        stack = start_stack(kept, {"DATABASE_URL": url})
        ready = time() - began
        report.say(f"millrace: stack ready after {ready:.1f} s; {runs} runs, one after the other ...")
        found = [_one_run(stack) for _ in range(WARM_UP + runs)]
        warm = found[WARM_UP:]
        told = {name: summary([each[name] for each in warm]) for name in warm[0]}
        for name, values in told.items():
            report.say(f"  {name:18} p50 {values['p50']:7.1f}   p95 {values['p95']:7.1f}")
        return {"stack_ready_s": ready, "very_first_run_ms": found[0]["first_line_ms"], **told}


def _one_run(stack: Stack) -> dict[str, float]:
    """Return how many milliseconds one run took to each point of its way."""
    with stack.client() as client:
        client.get("/healthz").raise_for_status()
        # Neither in step with the worker's polling, nor while the server still tidies up the last run.
        sleep(random.uniform(0.15, 0.30))
        sent = time()
        answer = client.post(PIPELINE, params={"wait": 30}, json={"params": {"steps": 3}})
        answered = time()
        run = succeeded(answer.raise_for_status().json())
        reached = state_times(client, run["id"])
    first_line = seconds(run["result"]["first_line_at"])
    return {
        "first_line_ms": (first_line - sent) * 1000,
        "total_ms": (seconds(run["finished_at"]) - sent) * 1000,
        "answered_ms": (answered - sent) * 1000,
        # The parts of `first_line_ms`.
        "part_accept_ms": (reached["accepted"] - sent) * 1000,
        "part_claim_ms": (reached["queued"] - reached["accepted"]) * 1000,
        "part_start_ms": (first_line - reached["queued"]) * 1000,
    }


def _stock(options: Options, report: Report) -> dict[str, Any]:
    with children() as kept:
        report.say("stock Prefect: starting a server and two workers ...")
        server = stock_server(kept, meanwhile=cache_bytecode(kept))
        tuned, default = stock_workers(kept, server, "tuned", "default")
        # One at a time: the tuned one polls every second, which the other one would feel.
        told = {"stock_process_worker_tuned": _stock_runs(kept, server, tuned, options, report)}
        kept.stop(tuned.process)
        told["stock_process_worker"] = _stock_runs(kept, server, default, options, report)
        return told


def _stock_runs(
    kept: Children, server: Server, worker: Worker, options: Options, report: Report
) -> dict[str, Any]:
    runs, patience = (1, STOCK_SECONDS_QUICK) if options.quick else (3, STOCK_SECONDS)
    taken = []
    for _ in range(runs):
        # Anywhere between two polls of the worker.
        sleep(random.uniform(0, 2))
        if (times := ended(server, trigger(server, worker, kept.folder), patience)) is None:
            report.say(f"  {worker.kind}: a run did not end within {patience:.0f} s")
            continue
        taken.append(times)
        report.say(
            f"  {worker.kind}: first line after {times.first_line:.1f} s, end after {times.total:.1f} s"
        )
    return {
        "runs": runs,
        "first_line_ms": summary([each.first_line * 1000 for each in taken]) if taken else None,
        "total_ms": summary([each.total * 1000 for each in taken]) if taken else None,
    }


if __name__ == "__main__":
    bench("start_latency", str(__doc__), measure, databases=("sqlite",))
