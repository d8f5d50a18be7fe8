"""Plain DSPy beside the durable optimizer: `python -m benchmarks.optimize [--quick]`.

Random search over bootstrapped demos of the shipped example program, against a loopback endpoint that takes
50 ms for every answer. The peer is DSPy as it comes: its own HTTP client, its cache off; beside it is DSPy on
LiteLLM. Ours is the step of the pipeline `optimize` with its real ledger on SQLite and MariaDB. Then the
plain one and ours are killed at half of their calls and started again: what was answered before and is asked
once more is repeated.
"""

import json
import subprocess
import time
from contextlib import ExitStack
from threading import Timer
from typing import Any

import httpx

from benchmarks.children import Children, children
from benchmarks.report import Options, Report, bench, summary
from benchmarks.results_database import measurable, results_database

LATENCY_MS = 50
PEERS = ("plain", "litellm")
WAIT_SECONDS = 300.0
PROVIDERS = """\
providers:
  loop:
    kind: openai_compatible
    model: loop
    base_url: {url}
    max_tokens: 300
    cost: {{input_per_million: 1, output_per_million: 1}}
routing: {{default: [loop]}}
"""


def measure(options: Options, report: Report) -> None:
    """Start the endpoint and the databases, then run both ways in turns."""
    with ExitStack() as held:
        kept = held.enter_context(children())
        url = start_endpoint(kept)
        providers = kept.folder / "providers.yaml"
        providers.write_text(PROVIDERS.format(url=url), encoding="utf-8")
        databases = {
            kind: held.enter_context(results_database(kind, kept))
            for kind in measurable(options.databases, report)
        }
        ways = {name: [name, "--url", url] for name in PEERS} | {
            f"durable_on_{kind}": ["durable", "--database", address, "--providers", str(providers)]
            for kind, address in databases.items()
        }
        compare(report, kept, url, ways, rounds=3 if options.quick else 8)
        killed = [name for name in ways if name != "litellm"][: 2 if options.quick else len(ways)]
        repeated = {name: killed_at_half(report, kept, url, name, ways[name]) for name in killed}
    tell_repeated(report, repeated)


def compare(report: Report, kept: Children, url: str, ways: dict[str, list[str]], rounds: int) -> None:
    """Run each way some rounds, and hold the durable ones against the plain one."""
    told = {}
    for name, (calls, lines) in in_turns(report, kept, url, ways, rounds).items():
        told[name] = {
            "ms": summary([line["ms"] for line in lines]),
            "calls": calls,
            "score": lines[-1]["score"],
            "hash": lines[-1]["hash"],
        }
    base = told["plain"]
    for name, one in told.items():
        report.say(
            f"  {name:20} p50 {one['ms']['p50']:7.0f} ms   {one['calls']} calls   score {one['score']}"
        )
        one["added_total"] = one["ms"]["p50"] / base["ms"]["p50"] - 1
        one["added_ms_per_call"] = (one["ms"]["p50"] - base["ms"]["p50"]) / one["calls"]
        one["same_program"] = one["hash"] == base["hash"]
        (report.peers if name in PEERS else report.measured)[name] = one
    report.measured["latency_ms"] = LATENCY_MS
    ours = [one for name, one in told.items() if name not in PEERS]
    report.measured["added_over_litellm"] = (
        max(one["ms"]["p50"] for one in ours) / told["litellm"]["ms"]["p50"] - 1
    )
    report.bar("added_total", max(one["added_total"] for one in ours) * 100, "<= 10", "%")
    worst = max(abs(one["score"] - base["score"]) for one in ours)
    report.bar("difference_of_scores", worst, "<= 0", "points")


def in_turns(
    report: Report, kept: Children, url: str, ways: dict[str, list[str]], rounds: int
) -> dict[str, tuple[int, list[dict[str, Any]]]]:
    """Run the ways in turns, and return the calls of a round of each and what its rounds told.

    One after the other they would be measured minutes apart, and the machine's speed changes by as much as
    they differ.
    """
    report.say(f"{', '.join(ways)}: {rounds} rounds in turns and one to warm up ...")
    told = ["--rounds", str(rounds + 1), "--ordered"]
    processes = {name: start(kept, name, *way, *told, orders=subprocess.PIPE) for name, way in ways.items()}
    found: dict[str, tuple[int, list[dict[str, Any]]]] = {name: (0, []) for name in ways}
    for number in range(rounds + 1):
        for name, process in processes.items():
            forget(url)
            line = one_round(process)
            if not line:
                log = kept.log(name).read_text(encoding="utf-8")
                raise RuntimeError(f"{name} ended early:\n{log[-3000:]}")
            _, lines = found[name]
            found[name] = (answered(url), [*lines, json.loads(line)] if number else lines)
    for process in processes.values():
        process.communicate(timeout=WAIT_SECONDS)
    return found


def one_round(process: subprocess.Popen[bytes]) -> bytes:
    """Let a process run its next round, and return the line that it tells; nothing where it has ended.

    One that takes longer than it may is ended.
    """
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process takes no orders")
    late = Timer(WAIT_SECONDS, process.kill)
    late.start()
    try:
        process.stdin.write(b"\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return b""
    finally:
        late.cancel()


def killed_at_half(report: Report, kept: Children, url: str, name: str, way: list[str]) -> int:
    """Kill a way at half of its calls, start it again, and return how many answers were made twice."""
    whole = (report.peers | report.measured)[name]["calls"]
    forget(url)
    process = start(kept, f"{name}-killed", *way)
    until = time.monotonic() + WAIT_SECONDS
    while answered(url) < whole / 2 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.kill()
    process.wait()
    # What was under way at the kill is answered to nobody.
    time.sleep(2 * LATENCY_MS / 1000)
    again = start(kept, f"{name}-again", *way, *(["--resume"] if way[0] == "durable" else []))
    again.communicate(timeout=WAIT_SECONDS)
    repeated: int = answered(url) - whole
    if again.returncode or repeated < 0:
        raise RuntimeError(f"{name} did not go on:\n{kept.log(f'{name}-again').read_text()[-3000:]}")
    report.say(f"  {name}: killed at half of {whole} calls; {repeated} answers were made twice")
    return repeated


def tell_repeated(report: Report, repeated: dict[str, int]) -> None:
    """Report the answers that were made twice; those under way at the kill are among them."""
    for name, number in repeated.items():
        (report.peers if name in PEERS else report.measured)[name]["repeated_after_kill"] = number
    ours = [number for name, number in repeated.items() if name not in PEERS]
    # As many as were in flight when it was killed: nobody was alive to write them down.
    report.bar("repeated_after_kill", max(ours, default=None), "<= 4", "calls")


def start(kept: Children, name: str, *arguments: str, orders: Any = None) -> subprocess.Popen[bytes]:
    """Start an optimizer as a process."""
    module = "benchmarks.peers.optimizer_runs"
    return kept.start(name, "python", "-m", module, *arguments, output=subprocess.PIPE, orders=orders)


def start_endpoint(kept: Children) -> str:
    """Start the endpoint, the offline model behind it, and return its base URL."""
    process = kept.start(
        "model-endpoint",
        *("python", "-m", "tests.fixtures.model_server", "--latency-ms", str(LATENCY_MS)),
        output=subprocess.PIPE,
    )
    line = process.stdout.readline() if process.stdout else b""
    if not line:
        raise RuntimeError(kept.log("model-endpoint").read_text(encoding="utf-8"))
    url: str = json.loads(line)["url"]
    return url


def answered(url: str) -> int:
    """Return how many answers the endpoint has given."""
    return int(httpx.get(f"{url.removesuffix('/v1')}/stats", trust_env=False).json()["total"]["answers"])


def forget(url: str) -> None:
    """Let the endpoint count from zero."""
    httpx.delete(f"{url.removesuffix('/v1')}/stats", trust_env=False)


if __name__ == "__main__":
    bench("optimize", str(__doc__), measure, databases=("sqlite", "mariadb"))
