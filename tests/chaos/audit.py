"""What must be true when all is over. A finding is a broken promise, with the rows that show it."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx

from contracts.runs import TERMINAL
from database.journal.pieces import Blob, join
from tests.chaos.load import Load
from tests.chaos.stack import ChaosStack
from tests.fixtures.model_server import MARK, print_of
from tests.fixtures.stack import eventually

Finding = tuple[str, str]
PREFECT = {"succeeded": "COMPLETED", "failed": "FAILED", "cancelled": "CANCELLED", "dead": "CRASHED"}
STRAIGHTENED_SECONDS = 120


def audit(stack: ChaosStack, load: Load) -> tuple[list[Finding], dict[str, Any]]:
    """Return what is broken, as (promise, evidence), and the numbers that were found."""
    runs = stack.rows("SELECT * FROM runs")
    calls = stack.rows("SELECT * FROM calls")
    events = stack.rows("SELECT run_id, seq, kind, data FROM run_events ORDER BY run_id, seq")
    ledger = Ledger(stack, runs, calls)
    findings = [
        *_lost(runs, load),
        *_duplicates(stack, calls, load),
        *_logs(runs, events),
        *_ledger(runs, calls, load),
        *paid_again(stack, ledger),
        *_tokens(stack, ledger),
        *(_prefect(stack, runs) if stack.plan.ask_prefect else ()),
    ]
    counts = Counter(row["status"] for row in runs)
    named = Counter(name for name, _ in findings)
    numbers = {
        "runs": len(runs),
        "by_status": dict(counts),
        "attempts": dict(sorted(Counter(row["attempt"] for row in runs).items())),
        "lost": named["lost"],
        "duplicate_rows": named["duplicate row"],
        "finished_calls_paid_again": named["paid again"],
        "calls": len(calls),
        "calls_replayed": sum(row["replays"] for row in calls),
        "calls_lost_in_flight": sum(map(_lost_tries, calls)),
        "tries_that_failed": sum(map(_failed_tries, calls)),
        "answers_served": stack.model.total().answers,
        "faults_served": dict(stack.model.kinds),
        "failures": dict(Counter(_code(row) for row in runs if row["error"])),
    }
    return findings, numbers


def _lost(runs: list[dict[str, Any]], load: Load) -> Iterator[Finding]:
    known = {str(row["id"]): row for row in runs}
    for asked in load.asked:
        if asked.run_id not in known:
            yield "lost", f"run {asked.run_id} was accepted and has no row"
    for row in runs:
        if row["status"] not in TERMINAL:
            yield "lost", f"run {row['id']} is {row['status']} (attempt {row['attempt']}) for ever"
        elif row["lease_owner"] or row["lease_until"] or row["available_at"]:
            yield "lost", f"run {row['id']} has ended and can still be claimed"


def _duplicates(stack: ChaosStack, calls: list[dict[str, Any]], load: Load) -> Iterator[Finding]:
    for ids in load.duplicates:
        if len(ids) != 1:
            yield "duplicate row", f"triggers with one key were answered with {len(ids)} runs"
    queries = {
        "runs of one key": "SELECT idempotency_key AS k, COUNT(*) AS n FROM runs"
        " WHERE idempotency_key IS NOT NULL GROUP BY owner, idempotency_key HAVING n > 1",
        "runs of one flow run": "SELECT flow_run_id AS k, COUNT(*) AS n FROM runs"
        " WHERE flow_run_id IS NOT NULL GROUP BY flow_run_id HAVING n > 1",
        "messages of one run and author": "SELECT CONCAT(run_id, author) AS k, COUNT(*) AS n FROM messages"
        " WHERE run_id IS NOT NULL GROUP BY run_id, author HAVING n > 1",
        "messages of one place in a chat": "SELECT CONCAT(chat_id, seq) AS k, COUNT(*) AS n FROM messages"
        " GROUP BY chat_id, seq HAVING n > 1",
    }
    for what, sql in queries.items():
        for row in stack.rows(sql):
            yield "duplicate row", f"{row['n']} {what} ({row['k']})"
    keys = Counter((row["run_id"], row["step"], row["fingerprint"], row["n"]) for row in calls)
    for key, count in keys.items():
        if count > 1:
            yield "duplicate row", f"{count} ledger rows of one call ({key[0]}, {key[1]})"


def _logs(runs: list[dict[str, Any]], events: list[dict[str, Any]]) -> Iterator[Finding]:
    logs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        logs[str(event["run_id"])].append(event)
    for row in runs:
        log = logs[str(row["id"])]
        if [event["seq"] for event in log] != list(range(1, row["last_seq"] + 1)):
            yield "gap in a log", f"run {row['id']}: {len(log)} events, the last one is {row['last_seq']}"
        states = [json.loads(event["data"]) for event in log if event["kind"] == "state"]
        ends = [state["status"] for state in states if state["status"] in TERMINAL]
        if ends != [row["status"]] or states[-1]["status"] != row["status"]:
            told = ", ".join(f"{state['status']} ({state['attempt']})" for state in states)
            yield "not one end", f"run {row['id']} is {row['status']}: {told}"


def _ledger(runs: list[dict[str, Any]], calls: list[dict[str, Any]], load: Load) -> Iterator[Finding]:
    expected = {asked.run_id: asked.calls for asked in load.asked}
    finished: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        if call["status"] == "succeeded":
            finished[str(call["run_id"])].append(call)
    for row in runs:
        mine = finished[str(row["id"])]
        if row["cost_usd"] != sum((call["cost_usd"] for call in mine), Decimal(0)):
            yield "wrong cost", f"run {row['id']} costs {row['cost_usd']}, its calls do not"
        wanted = expected.get(str(row["id"]))
        if row["status"] == "succeeded" and wanted is not None and len(mine) != wanted:
            yield "wrong ledger", f"run {row['id']} has {len(mine)} finished calls of {wanted}"


def paid_again(stack: ChaosStack, ledger: "Ledger") -> Iterator[Finding]:
    """Compare, for each question, how often the server was asked with the tries that the ledger names.

    Of a call, the ledger may name one try that was finished, those that were lost in flight, and those that
    failed. Each of them is one request at most. So what is asked more often than these together was paid a
    second time, whatever became of it. Rows beyond the first of one key are no excuse: their answers count as
    paid again.
    """
    for question in set(ledger.questions) | set(stack.model.questions):
        served, rows = stack.model.questions[question], ledger.questions[question]
        keys = {(row["run_id"], row["step"], row["fingerprint"], row["n"]) for row in rows}
        finished = min(sum(map(_finished, rows)), len(keys))
        lost, failed = sum(map(_lost_tries, rows)), sum(map(_failed_tries, rows))
        # What the server itself failed or never finished was no answer: it explains none.
        explained = finished + lost + failed - served.faults - served.abandoned
        if served.answers > explained or served.requests > finished + lost + failed:
            counted = f"{served.requests} requests, {served.answers} answers, {served.faults} faults"
            yield "paid again", f"{question}: {counted}; {finished} finished, {lost} lost, {failed} failed"
        if served.answers < sum(map(_finished, rows)):
            yield "wrong ledger", f"{question}: more calls finished than the {served.answers} answers served"


def _tokens(stack: ChaosStack, ledger: "Ledger") -> Iterator[Finding]:
    """Compare tokens: the same as served where every answer arrived, and never more."""
    for mark in set(ledger.marks) | set(stack.model.marks):
        served, rows = stack.model.marks[mark], ledger.marks[mark]
        done = [row for row in rows if _finished(row)]
        ours = (sum(row["input_tokens"] for row in done), sum(row["output_tokens"] for row in done))
        theirs = (served.input_tokens, served.output_tokens)
        arrived = served.answers == len(done)
        if (arrived and ours != theirs) or ours[0] > theirs[0] or ours[1] > theirs[1]:
            yield "wrong ledger", f"{mark}: tokens {ours}, served {theirs}"


class Ledger:
    """The calls of the ledger, by the run's mark and by what was asked."""

    def __init__(self, stack: ChaosStack, runs: list[dict[str, Any]], calls: list[dict[str, Any]]) -> None:
        self.marks: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.questions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        marks = {row["id"]: _mark(row) for row in runs}
        blobs = {
            row["hash"]: Blob(row["hash"], bool(row["is_node"]), row["content"])
            for row in stack.rows("SELECT hash, is_node, content FROM blobs")
        }
        for call in calls:
            mark = marks[call["run_id"]]
            text = call["request"] or join(call["request_hash"], blobs)
            self.marks[mark].append(call)
            self.questions[print_of(mark, said(json.loads(text)))].append(call)


def said(request: dict[str, Any]) -> str:
    """Return all words of a recorded request, in the order in which the provider reads them."""
    system = request.get("system") or ""
    parts = [part for message in request["messages"] for part in message["parts"]]
    listed = [system] if isinstance(system, str) else [part.get("text") or "" for part in system]
    return "".join([*listed, *(part.get("text") or "" for part in parts)])


def _finished(row: dict[str, Any]) -> bool:
    return bool(row["status"] == "succeeded")


def _lost_tries(row: dict[str, Any]) -> int:
    # As the receipt counts: one that was started last and never ended is lost too.
    return int(row["lost"]) + (row["status"] == "started")


def _failed_tries(row: dict[str, Any]) -> int:
    return int(row["tries"]) - _lost_tries(row) - _finished(row)


def _prefect(stack: ChaosStack, runs: list[dict[str, Any]]) -> Iterator[Finding]:
    """Ask Prefect for the state of every flow run, until each agrees with its row."""
    wrong = {str(row["flow_run_id"]): row["status"] for row in runs if row["flow_run_id"]}

    told: dict[str, str] = {}

    def agree() -> bool | None:
        for flow_run_id, status in list(wrong.items()):
            try:
                answer = httpx.get(
                    f"{stack.prefect_url}/flow_runs/{flow_run_id}", trust_env=False, timeout=30
                )
            except httpx.HTTPError:
                return None
            told[flow_run_id] = (
                answer.json()["state"]["type"] if answer.is_success else str(answer.status_code)
            )
            if told[flow_run_id] == PREFECT[status]:
                del wrong[flow_run_id]
        return True if not wrong else None

    try:
        eventually(agree, STRAIGHTENED_SECONDS, every=2)
    except AssertionError:
        for flow_run_id, status in wrong.items():
            seen = f"{told.get(flow_run_id, 'not there')}: {_story(stack, flow_run_id)}"
            yield "Prefect tells another story", f"flow run {flow_run_id} of a run that {status} is {seen}"


def _story(stack: ChaosStack, flow_run_id: str) -> str:
    """Return all states that a flow run was in, with their times and reasons."""
    asked = {"flow_run_id": flow_run_id}
    answer = httpx.get(f"{stack.prefect_url}/flow_run_states/", params=asked, trust_env=False, timeout=30)
    states = answer.json() if answer.is_success else []
    return ", ".join(f"{each['timestamp']} {each['type']} ({each['message']})" for each in states)


def _mark(row: dict[str, Any]) -> str:
    found = re.search(MARK, row["params"])
    assert found, f"run {row['id']} was not asked for by us"
    return found.group()


def _code(row: dict[str, Any]) -> str:
    return str(json.loads(row["error"])["code"])
