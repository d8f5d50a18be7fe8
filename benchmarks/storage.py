"""What a long chat stores: `python -m benchmarks.storage [--quick]`.

A chat of 200 turns (60 with --quick) is held with a scripted model, and stored by the functions that a worker
Early turns (11 to 30), turns 81 to 100 and the last 20 are compared: statements, bytes, the ledger's time.
Beside it, in the same database, the naive way: one row a call with its whole prompt and answer.

Bytes are those of the stored values, not of pages and indexes. Up to turn 65 the prompt grows with each turn;
from there on its history is cut to 40,000 characters, so its beginning changes every time as well, and the
last two windows tell whether a turn still grows with the length of the chat.
"""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.children import children
from benchmarks.report import Options, Report, bench, ratio
from benchmarks.results_database import measurable, results_database

if TYPE_CHECKING:
    from benchmarks.scripted_chat import Watched
    from database.engine import Database

WINDOW = 20
EARLY = 30
FULL = 100
# The texts of each table, by what they are stored for.
STORED = {
    "calls": ("calls", ("request", "request_hash", "response", "response_hash", "error")),
    "blobs": ("blobs", ("hash", "content")),
    "messages": ("messages", ("content", "meta")),
    "runs": ("runs", ("params", "result")),
    "events": ("run_events", ("data",)),
    "naive": ("naive_calls", ("request", "response")),
}


def measure(options: Options, report: Report) -> None:
    """Hold the chat on each database."""
    turns = 60 if options.quick else 200
    with ExitStack() as held:
        kept = held.enter_context(children())
        urls = {
            kind: held.enter_context(results_database(kind, kept))
            for kind in measurable(options.databases, report)
        }
        # No provider: the runs' door answers nothing here.
        providers = kept.folder / "providers.yaml"
        providers.write_text("providers: {}\nrouting: {default: [offline]}\n", encoding="utf-8")
        report.say("importing dspy ...")
        for kind, url in urls.items():
            report.say(f"{kind}: {turns} turns ...")
            _tell(report, kind, asyncio.run(_chat(url, providers, turns)))


async def _chat(url: str, providers: Path, turns: int) -> dict[str, Any]:
    from pydantic import SecretStr

    from benchmarks.scripted_chat import open_chat
    from database.engine import open_database
    from database.settings import DatabaseSettings
    from llm.door import Door
    from llm.settings import LlmSettings

    database = open_database(DatabaseSettings(database_url=SecretStr(url)))
    await _make_naive_table(database)
    door = Door.open(LlmSettings(providers_file=providers))
    chat = await open_chat(database, door)
    ends = {"early": EARLY, "full": FULL, "late": turns}
    windows = {name: _Window(database, end) for name, end in ends.items() if end <= turns}
    for number in range(1, turns + 1):
        current = next((each for each in windows.values() if number in each.turns), None)
        if current is not None and number == current.turns[0]:
            await current.open()
        journal = await _counted(database, current, chat.turn)
        seconds = await _naively(database, journal)
        if current is not None:
            current.ledger_ms += journal.seconds * 1000 / WINDOW
            current.naive_ms += seconds * 1000 / WINDOW
            current.prompt_bytes += sum(_size(call.request) for call, _ in journal.calls) / WINDOW
            if number == current.turns[-1]:
                await current.close()
    await chat.events.close()
    totals = await _bytes(database)
    await door.close()
    await database.close()
    told = {name: window.told() for name, window in windows.items()}
    return {"turns": turns, "windows": told, "total_bytes": totals}


class _Window:
    """Twenty turns, and what each of them took on average."""

    def __init__(self, database: "Database", last: int) -> None:
        self._database = database
        self.turns = range(last - WINDOW + 1, last + 1)
        self._before: dict[str, int] = {}
        self.added: dict[str, float] = {}
        self.statements = self.ledger_statements = 0.0
        self.ledger_ms = self.naive_ms = self.prompt_bytes = 0.0

    async def open(self) -> None:
        self._before = await _bytes(self._database)

    async def close(self) -> None:
        after = await _bytes(self._database)
        self.added = {name: (size - self._before[name]) / WINDOW for name, size in after.items()}

    def told(self) -> dict[str, Any]:
        """Return what one turn took."""
        return {
            "prompt_bytes": self.prompt_bytes,
            "ledger_bytes": self.added["calls"] + self.added["blobs"],
            "bytes": sum(size for name, size in self.added.items() if name != "naive"),
            "bytes_by_table": self.added,
            "statements": self.statements,
            "ledger_statements": self.ledger_statements,
            "ledger_ms": self.ledger_ms,
            "naive_bytes": self.added["naive"],
            "naive_ms": self.naive_ms,
        }


async def _counted(database: "Database", window: _Window | None, turn: Any) -> "Watched":
    from benchmarks.ways_to_ask import counted

    with counted(database) as found:
        journal: Watched = await turn()
    if window is not None:
        window.ledger_statements += found.ledger / WINDOW
        window.statements += (found.ledger + found.other) / WINDOW
    return journal


async def _make_naive_table(database: "Database") -> None:
    import sqlalchemy as sa

    kind = "TEXT" if database.engine.dialect.name == "sqlite" else "LONGTEXT"
    columns = f"id INTEGER PRIMARY KEY, request {kind}, response {kind}"
    async with database.engine.begin() as connection:
        await connection.execute(sa.text(f"CREATE TABLE naive_calls ({columns})"))


async def _naively(database: "Database", journal: "Watched") -> float:
    """Store the same calls as most do, one transaction before the call and one after; return the seconds."""
    import sqlalchemy as sa

    insert = sa.text("INSERT INTO naive_calls (id, request) VALUES (:id, :request)")
    update = sa.text("UPDATE naive_calls SET response = :response WHERE id = :id")
    async with database.engine.connect() as connection:
        number = (await connection.execute(sa.text("SELECT COUNT(*) FROM naive_calls"))).scalar_one()
    began = perf_counter()
    for place, (call, answer) in enumerate(journal.calls):
        values = {"id": number + place, "request": json.dumps(call.request, ensure_ascii=False)}
        async with database.engine.begin() as connection:
            await connection.execute(insert, values)
        values = {"id": number + place, "response": json.dumps(answer.response, ensure_ascii=False)}
        async with database.engine.begin() as connection:
            await connection.execute(update, values)
    return perf_counter() - began


async def _bytes(database: "Database") -> dict[str, int]:
    """Return how many bytes of values each table holds."""
    import sqlalchemy as sa

    sizes = {}
    async with database.engine.connect() as connection:
        for name, (table, columns) in STORED.items():
            length = "LENGTH(CAST({} AS BLOB))" if database.engine.dialect.name == "sqlite" else "LENGTH({})"
            total = " + ".join(f"COALESCE({length.format(column)}, 0)" for column in columns)
            query = sa.text(f"SELECT COALESCE(SUM({total}), 0) FROM {table}")  # noqa: S608  names of our own tables
            sizes[name] = int((await connection.execute(query)).scalar_one())
    return sizes


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _tell(report: Report, kind: str, found: dict[str, Any]) -> None:
    windows, totals = found["windows"], found["total_bytes"]
    ours = totals["calls"] + totals["blobs"]
    for name, each in windows.items():
        report.say(
            f"  {name:5} a turn: prompt {each['prompt_bytes']:6.0f} B"
            f" | ledger {each['ledger_bytes']:6.0f} B, {each['ledger_statements']:.1f} statements,"
            f" {each['ledger_ms']:5.1f} ms | all {each['bytes']:6.0f} B, {each['statements']:.1f} statements"
            f" | naive {each['naive_bytes']:6.0f} B, {each['naive_ms']:5.1f} ms"
        )
    report.measured[kind] = {
        "turns": found["turns"],
        **{
            name: {key: value for key, value in each.items() if not key.startswith("naive")}
            for name, each in windows.items()
        },
        "total_ledger_bytes": ours,
        "total_bytes_by_table": {name: size for name, size in totals.items() if name != "naive"},
    }
    report.peers[f"whole_prompts_on_{kind}"] = {
        **{name: {"bytes": each["naive_bytes"], "ms": each["naive_ms"]} for name, each in windows.items()},
        "total_bytes": totals["naive"],
        "times_ours": ratio(totals["naive"], ours),
    }
    late = windows["late"]
    bars = {"early": ("<= 1.5", "<= 1.05"), "full": ("<= 1.05", "<= 1.05")}
    for name in windows.keys() & bars.keys():
        for what, most in zip(("ledger_bytes", "ledger_statements"), bars[name], strict=True):
            report.bar(
                f"{what}_late_over_{name}_{kind}", ratio(late[what], windows[name][what]), most, "times"
            )


if __name__ == "__main__":
    bench("storage", str(__doc__), measure, databases=("sqlite", "mariadb"))
