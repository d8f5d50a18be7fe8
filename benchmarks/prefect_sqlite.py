"""Prefect's server on SQLite, stock and ours, under concurrent flows: `python -m benchmarks.prefect_sqlite`.

One process runs 30 flows of 10 tasks at once (10 flows in the quick form) against a stock `prefect server
start`, and then against ours (deployments/server.py), each with an empty SQLite in a temporary folder. What
is counted: how long until all flows have ended, how many failed, and how many requests were answered with
503 because the database was locked. The results database plays no part here.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benchmarks.children import Children, children
from benchmarks.peers.stock_prefect import Server, millrace_server, stock_server
from benchmarks.report import Options, Report, bench, ratio

TASKS = 10


def measure(options: Options, report: Report) -> None:
    """Put both servers under the same load, one after the other."""
    flows, cap = (10, 15.0) if options.quick else (30, 240.0)
    stock = _under_load("stock", stock_server, flows, cap, report)
    ours = _under_load("millrace", millrace_server, flows, cap, report)
    report.measured = {"flows": flows, "tasks_per_flow": TASKS, "cap_s": cap, **ours}
    report.peers["stock_prefect_on_sqlite"] = {
        **stock,
        "times_slower": ratio(stock["seconds"], ours["seconds"]),
    }
    report.bar("answers_503", ours["answers_503"], "<= 0", "answers")
    report.bar("failed_flows", ours["failed"], "<= 0", "flows")


def _under_load(
    name: str, start: Callable[[Children], Server], flows: int, cap: float, report: Report
) -> dict[str, Any]:
    with children() as kept:
        began = perf_counter()
        server = start(kept)
        ready = perf_counter() - began
        report.say(f"{name}: server ready after {ready:.1f} s; {flows} flows of {TASKS} tasks at once ...")
        load = kept.start(
            "load",
            *("python", "-m", "benchmarks.peers.many_flows", str(flows), str(TASKS), str(cap)),
            environment=server.environment,
            output=subprocess.PIPE,
        )
        said, _ = load.communicate(timeout=cap + 60)
        if load.returncode != 0:
            sys.exit(f"the load ended with {load.returncode}:\n{kept.log('load').read_text()[-3000:]}")
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        report.say(
            f"  {name}: {found['seconds']:.1f} s{' (gave up)' if found['gave_up'] else ''},"
            f" {found['answers_503']} answers of 503, {found['failed']} flows failed"
        )
        return {**found, "server_ready_s": ready}


if __name__ == "__main__":
    bench("prefect_sqlite", str(__doc__), measure)
