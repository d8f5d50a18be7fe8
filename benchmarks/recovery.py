"""What a kill in the middle of a run costs: `python -m benchmarks.recovery [--quick]`.

Millrace: a whole local stack with one worker a pool; a probe of 20 steps with one model call each; its
worker is killed (SIGKILL) while step 15 is under way; the stack starts it again, and the run goes on.
Peer: plain Prefect with result persistence and a tuned process worker, the same calls in 20 tasks; the flow's
process is killed at the same step. Prefect does not take such a run up again, so the retry is asked for the
moment that Prefect shows the crash. Both ask the same loopback model, one after the other.
"""

from decimal import Decimal
from time import sleep, time
from typing import Any

import httpx

from benchmarks.children import children
from benchmarks.local_stack import PIPELINE, Stack, seconds, start_stack, states, succeeded
from benchmarks.model_endpoint import start_endpoint, write_providers
from benchmarks.peers.prefect_results import killed_and_retried
from benchmarks.report import DatabaseKind, Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database

STEPS = 20
KILLED_AT = 15
LATENCY_MS = 200.0
PATIENCE_SECONDS = 600.0


def measure(options: Options, report: Report) -> None:
    """Measure ours, then the peer."""
    kind = measurable(options.databases, report)[0]
    kills = _millrace(kind, 1 if options.quick else 5, report)
    told: dict[str, Any] = {name: summary([kill[name] for kill in kills]) for name in kills[0]}
    report.measured |= {"database": kind, "steps": STEPS, "killed_at_step": KILLED_AT, **told}
    report.bar("running_again_p95", told["running_again_s"]["p95"], "<= 20", "s")
    report.bar("finished_calls_paid_again", told["finished_calls_paid_again"]["max"], "<= 0", "calls")
    report.peers["prefect_with_result_persistence"] = _peer(report)


def _millrace(kind: DatabaseKind, kills: int, report: Report) -> list[dict[str, float]]:
    with children() as kept, results_database(kind, kept) as url:
        model = start_endpoint(kept, LATENCY_MS)
        providers = write_providers(kept.folder, model)
        stack = start_stack(kept, {"DATABASE_URL": url, "PROVIDERS_FILE": str(providers)})
        found = []
        for number in range(kills):
            found.append(_one_kill(stack, model))
            report.say(f"  kill {number + 1}: " + ", ".join(f"{k} {v:.4g}" for k, v in found[-1].items()))
        return found


def _one_kill(stack: Stack, model_url: str) -> dict[str, float]:
    """Kill the worker of a run at its step 15, wait for the run's end, and return what that took and cost."""
    with stack.client() as client:
        before, paid = asked(model_url), answered(model_url)
        params = {"steps": STEPS, "calls_per_step": 1}
        run_id = client.post(PIPELINE, json={"params": params}).raise_for_status().json()["id"]
        _until(lambda: asked(model_url) - before >= KILLED_AT)
        stack.worker("interactive").kill()
        killed_at = time()
        run = _ended(client, run_id)
        again = min(
            at for status, attempt, at in states(client, run_id) if (status, attempt) == ("running", 2)
        )
        calls = client.get(f"/api/v1/runs/{run_id}/calls").raise_for_status().json()["items"]
    lost = sum(call["lost"] for call in calls)
    saved = sum((Decimal(call["cost_usd"]) * call["replays"] for call in calls), Decimal(0))
    return {
        "running_again_s": again - killed_at,
        "ended_s": seconds(run["finished_at"]) - killed_at,
        "calls_replayed": sum(call["replays"] for call in calls),
        "calls_lost_in_flight": lost,
        "finished_calls_paid_again": max(0, answered(model_url) - paid - STEPS - lost),
        "saved_usd": float(saved),
    }


def _peer(report: Report) -> dict[str, Any]:
    with children() as kept:
        model = start_endpoint(kept, LATENCY_MS)
        report.say("plain Prefect with result persistence: one kill ...")
        took = killed_and_retried(kept, model, STEPS, KILLED_AT, lambda: asked(model))
        told = {
            "goes_on_by_itself": False,
            "crash_noticed_s": took.noticed,
            "asked_again_after_retry_s": took.resumed,
            "ended_after_retry_s": took.total,
            "calls_asked": took.asked,
            "calls_asked_twice": took.asked - STEPS,
        }
        report.say("  " + ", ".join(f"{name} {value}" for name, value in told.items()))
        return told


def asked(model_url: str) -> int:
    """Return how many requests the model got."""
    return _served(model_url, "requests")


def answered(model_url: str) -> int:
    """Return how many requests the model answered to their end: what is billed."""
    return _served(model_url, "answers")


def _served(model_url: str, what: str) -> int:
    stats = httpx.get(f"{model_url.removesuffix('/v1')}/stats", trust_env=False).json()
    return int(stats["total"][what])


def _ended(client: httpx.Client, run_id: str) -> dict[str, Any]:
    def ended() -> bool:
        return bool(client.get(f"/api/v1/runs/{run_id}").raise_for_status().json()["finished_at"])

    _until(ended)
    return succeeded(client.get(f"/api/v1/runs/{run_id}").json())


def _until(condition: Any) -> None:
    deadline = time() + PATIENCE_SECONDS
    while not condition():
        if time() > deadline:
            raise RuntimeError("it did not happen in time")
        sleep(0.02)


if __name__ == "__main__":
    bench("recovery", (__doc__ or "").partition("\n")[0], measure, databases=("mariadb",))
