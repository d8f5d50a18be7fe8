"""What the demo does with a running stack, and what it measured."""

import re
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from contracts.chat import MAX_MESSAGE_CHARS, Message
from contracts.runs import Event, EventKind, Run, RunStatus
from deployments.cli.client import Api
from deployments.cli.console import err, say
from deployments.cli.demo import own_documents
from deployments.cli.results import lines_of
from deployments.cli.telling import Telling
from runtime.errors import MillraceError

FENCED = re.compile(r"^( {0,3})(```+|~~~+).*?^ {0,3}\2[ \t]*$\n?", re.MULTILINE | re.DOTALL)
TURNS = (
    ("direct", "How does a worker claim a run?"),
    ("careful", "And what must a trigger survive?"),
)


async def show_everything(
    urls: dict[str, str], documents: Sequence[Path], question: str, people: Console
) -> dict[str, Any]:
    """Chat twice, analyse the documents, print all of it, and return it as data.

    Args:
        urls: addresses of the stack; `api` is used, all are printed.
        documents: files to analyse.
        question: what the analysis should answer.
        people: where the answers are printed.

    Raises:
        MillraceError: a run did not succeed.
    """
    began = time.monotonic()
    async with Api(urls["api"]) as api:
        chat = await api.open_chat("Demo")
        turns = [await _turn(api, chat.id, mode, text, people) for mode, text in TURNS]
        analysed = await _analysis(api, documents, question, people)
    runs = [*turns, analysed]
    cost = sum((Decimal(each["cost_usd"]) for each in runs), Decimal(0))
    say("", people)
    for each in runs:
        took = f"{each['first_step_ms']:.0f} ms to its first step, {each['seconds']:.1f} s in all"
        say(f"run {each['run_id']}  {each['pipeline']:9}  {took}, {each['cost_usd']} USD", people)
    models = sorted({model for each in runs for model in each["models"]})
    say(f"Together {cost} USD, answered by {', '.join(models)}.", people)
    say(f"API {urls['api']} · Prefect {urls['prefect']} (`millrace up` keeps them running)", people)
    return {
        "name": "demo",
        "seconds": round(time.monotonic() - began, 1),
        "turns": turns,
        "analysis": analysed,
        "cost_usd": str(cost),
        "urls": urls,
    }


async def _turn(api: Api, chat_id: UUID, mode: str, text: str, people: Console) -> dict[str, Any]:
    say(f"\nYou ({mode}): {text}", people)
    say("Millrace:", people)
    events: list[Event] = []
    answer: Message | None = None
    with Telling(people, err()) as telling:
        async with api.say(chat_id, text, mode, _context()) as told:
            async for each in told:
                if isinstance(each, Message):
                    answer = each
                else:
                    events.append(each)
                    if each.kind == EventKind.TOKEN:
                        telling.tell(each)
    if answer is None or answer.run_id is None:
        raise MillraceError("The stream ended without an answer.", code="stream_cut")
    run = await api.run(answer.run_id)
    return {**_measured(run, events), "question": text, "answer": answer.content}


async def _analysis(api: Api, documents: Sequence[Path], question: str, people: Console) -> dict[str, Any]:
    say(f"\nAnalysis of {len(documents)} documents: {question}", people)
    uploaded = await api.upload(documents)
    sources = [{"kind": "file", "file_id": str(each)} for each in uploaded]
    started = await api.start_run("analysis", {"question": question, "sources": sources})
    events: list[Event] = []
    with Telling(people, err()) as telling:
        async for event in api.events(started.id):
            events.append(event)
            if event.kind == EventKind.PROGRESS:
                telling.tell(event)
    run = await api.run(started.id)
    for line in lines_of(run):
        say(line, people)
    if run.status != RunStatus.SUCCEEDED or run.result is None:
        raise MillraceError(f"The analysis {run.status}.", code="demo_failed")
    return {
        **_measured(run, events),
        "question": question,
        "documents": len(documents),
        "report": run.result["report"],
    }


def _measured(run: Run, events: Sequence[Event]) -> dict[str, Any]:
    first_step = next((each.at for each in events if each.kind == EventKind.STEP), run.started_at)
    ended = run.finished_at or run.created_at
    return {
        "run_id": str(run.id),
        "pipeline": run.pipeline,
        "first_step_ms": round(((first_step or ended) - run.created_at).total_seconds() * 1000, 1),
        "seconds": round((ended - run.created_at).total_seconds(), 2),
        "cost_usd": str(run.cost_usd),
        "models": (run.result or {}).get("models", []),
    }


def _context() -> str:
    """Return what the chat may rest on: as much of this project's own documents as it may be given."""
    texts = (without_drawings(path.read_text(encoding="utf-8")) for path in own_documents())
    return "\n\n".join(texts)[:MAX_MESSAGE_CHARS]


def without_drawings(text: str) -> str:
    """Return Markdown without its fenced blocks: an answer would quote a drawing on one line."""
    return FENCED.sub("", text)
