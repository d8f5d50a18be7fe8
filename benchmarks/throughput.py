"""Runs per second on one worker, and its memory: `python -m benchmarks.throughput [--quick]`.

Millrace: a whole local stack; 120 runs of `probe` (3 steps of nothing) are accepted at once over HTTP, and
counted until the last has ended; then 100 runs at a time that ask a loopback model which takes 1 s to answer.
Peer: a stock Prefect server with a stock process worker, tuned, where each run is a new process with dspy and
litellm imported. All processes share this machine.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep, time
from typing import Any

import httpx
import psutil

from benchmarks.children import children, resident_mb
from benchmarks.local_stack import PIPELINE, Stack, seconds, start_stack, succeeded
from benchmarks.model_endpoint import start_endpoint, write_providers
from benchmarks.peers.stock_prefect import cache_bytecode, ended, stock_server, stock_workers, trigger
from benchmarks.report import DatabaseKind, Options, Report, bench, ratio
from benchmarks.results_database import measurable, results_database

LATENCY_MS = 1000
NOTHING = {"steps": 3}
CONNECTIONS = 8


def measure(options: Options, report: Report) -> None:
    """Measure ours, then the peer."""
    kind = measurable(options.databases, report)[0]
    report.measured |= {"database": kind, **_millrace(kind, options, report)}
    burst, in_flight = report.measured["burst"], report.measured["model_latency_1s"]
    report.bar("runs_per_second", burst["runs_per_s"], ">= 6", "runs/s")
    # The first burst takes what so many runs at once need; from then on it should stay.
    again = report.measured["burst_again"]
    growth = (again["worker_rss_after_mb"] / again["worker_rss_before_mb"] - 1) * 100
    report.bar("worker_memory_growth_in_second_burst", growth, "<= 5", "%")
    # The quick form has fewer in flight, which proves nothing about 100.
    peak = in_flight["worker_rss_peak_mb"] if in_flight["in_flight_peak"] >= 100 else None
    report.bar("worker_rss_100_in_flight", peak, "<= 600", "MB")
    peer = _stock(*((2, 30.0) if options.quick else (6, 300.0)), report)
    report.peers["stock_process_worker_tuned"] = peer
    peer["times_fewer_runs_per_s"] = ratio(burst["runs_per_s"], peer["runs_per_s"])


def _millrace(kind: DatabaseKind, options: Options, report: Report) -> dict[str, Any]:
    with children() as kept, results_database(kind, kept) as url:
        providers = write_providers(kept.folder, start_endpoint(kept, LATENCY_MS))
        stack = start_stack(kept, {"DATABASE_URL": url, "PROVIDERS_FILE": str(providers)})
        worker = stack.worker("interactive")
        _run_many(stack, 5, {"steps": 1, "calls_per_step": 1})
        before = resident_mb(worker)
        report.say(f"millrace: warm, worker has {before:.0f} MB; many runs of nothing at once ...")
        bursts = [_burst(stack, 30 if options.quick else 120, report) for _ in range(2)]
        if options.quick:
            busy = _with_model(stack, worker, 30, {"steps": 2, "calls_per_step": 2}, report)
        else:
            busy = _with_model(stack, worker, 100, {"steps": 2, "calls_per_step": 12}, report)
        return {
            "worker_rss_warm_mb": before,
            "burst": bursts[0],
            "burst_again": bursts[1],
            "model_latency_1s": busy,
        }


def _burst(stack: Stack, runs: int, report: Report) -> dict[str, Any]:
    """Run many at once that do nothing; return their speed, what it cost, and what memory it took."""
    processes = {
        "worker": stack.worker("interactive"),
        "api": stack.api(),
        "prefect_server": stack.prefect_server(),
    }
    before = {name: _cpu_seconds(process) for name, process in processes.items()}
    rss = resident_mb(processes["worker"])
    found = _run_many(stack, runs, NOTHING)
    after = resident_mb(processes["worker"])
    speed = runs / _length(found)
    cpu = {name: (_cpu_seconds(each) - before[name]) * 1000 / runs for name, each in processes.items()}
    report.say(
        f"  {runs} runs: {speed:.1f} runs/s, worker {rss:.0f} -> {after:.0f} MB; CPU a run: "
        + ", ".join(f"{name} {spent:.0f} ms" for name, spent in cpu.items())
    )
    return {
        "runs": runs,
        "runs_per_s": speed,
        "worker_rss_before_mb": rss,
        "worker_rss_after_mb": after,
        "worker_rss_growth_kb_per_run": (after - rss) * 1000 / runs,
        "cpu_ms_per_run": cpu,
    }


def _with_model(
    stack: Stack, worker: psutil.Process, runs: int, params: dict[str, int], report: Report
) -> dict[str, Any]:
    """Run many at once that wait for a model most of the time, and return how much memory the worker took."""
    with _peak(worker) as peak:
        found = _run_many(stack, runs, params)
    calls = runs * params["steps"] * params["calls_per_step"]
    told = {
        "runs": runs,
        "calls": calls,
        "in_flight_peak": _most_at_once(found),
        "calls_per_s": calls / _length(found),
        "worker_rss_peak_mb": peak[0],
        "worker_rss_after_mb": resident_mb(worker),
    }
    report.say(
        f"  {told['in_flight_peak']} runs in flight with a model of 1 s: worker at most {peak[0]:.0f} MB,"
        f" {told['calls_per_s']:.0f} calls/s"
    )
    return told


def _run_many(stack: Stack, runs: int, params: dict[str, int]) -> list[dict[str, Any]]:
    """Accept runs as fast as the API takes them, and return them with their times when all have succeeded."""
    with stack.client(CONNECTIONS) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        accepted = list(pool.map(lambda _: _accept(client, params), range(runs)))
        return [{**_ended(client, run["id"]), "sent_at": run["sent_at"]} for run in accepted]


def _accept(client: httpx.Client, params: dict[str, int]) -> dict[str, Any]:
    sent_at = time()
    answer = client.post(PIPELINE, json={"params": params}).raise_for_status()
    return {"id": answer.json()["id"], "sent_at": sent_at}


def _ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    while True:
        run: dict[str, Any] = client.get(f"/api/v1/runs/{run_id}").raise_for_status().json()
        if run["finished_at"]:
            return succeeded(run)
        sleep(0.25)


def _length(found: list[dict[str, Any]]) -> float:
    """Return the seconds from the first request to the end of the last run."""
    first: float = min(run["sent_at"] for run in found)
    return max(seconds(run["finished_at"]) for run in found) - first


def _most_at_once(found: list[dict[str, Any]]) -> int:
    """Return how many runs were between their first and their last line at the same time."""
    begins = [(seconds(run["started_at"]), 1) for run in found]
    ends = [(seconds(run["finished_at"]), -1) for run in found]
    most = now = 0
    for _at, change in sorted(begins + ends):
        now += change
        most = max(most, now)
    return most


def _cpu_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    total: float = spent.user + spent.system
    return total


@contextmanager
def _peak(process: psutil.Process) -> Iterator[list[float]]:
    """Watch the memory of a process; the yielded list holds the highest value in MB."""
    highest, over = [resident_mb(process)], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            highest[0] = max(highest[0], resident_mb(process))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield highest
    finally:
        over.set()
        watching.join()


def _stock(runs: int, patience: float, report: Report) -> dict[str, Any]:
    """Return the speed of a tuned stock worker that gets some runs at once, and the memory of one of them."""
    with children() as kept:
        report.say(f"stock Prefect: starting a server and a worker; {runs} runs at once ...")
        server = stock_server(kept, meanwhile=cache_bytecode(kept))
        (worker,) = stock_workers(kept, server, "tuned")
        family = psutil.Process(worker.process.pid)
        highest: dict[int, float] = {}

        def weigh() -> None:
            for child in family.children(recursive=True):
                highest[child.pid] = max(highest.get(child.pid, 0.0), resident_mb(child))

        sent = [trigger(server, worker, kept.folder) for _ in range(runs)]
        times = [ended(server, run, patience, meanwhile=weigh) for run in sent]
        whole = [run.sent_at + each.total for run, each in zip(sent, times, strict=True) if each]
        speed = len(whole) / (max(whole) - sent[0].sent_at) if whole else None
        told = {
            "runs": len(whole),
            "runs_per_s": speed,
            "rss_of_one_run_mb": max(highest.values(), default=0.0),
            "rss_of_idle_worker_mb": resident_mb(family),
        }
        report.say(f"  stock: {speed or 0:.2f} runs/s, {told['rss_of_one_run_mb']:.0f} MB for each run")
        return told


if __name__ == "__main__":
    bench("throughput", str(__doc__), measure, databases=("sqlite",))
