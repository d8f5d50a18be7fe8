"""A chat between a script and a scripted model: sentences of everyday length, the same ones each time."""

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from time import perf_counter
from typing import Any
from uuid import UUID

import dspy
from dspy.lm15 import Message, Response, Usage

from benchmarks.ways_to_ask import running
from contracts.calls import CallAnswer, CallRequest
from contracts.chat import Author
from contracts.runs import EventKind, RunStatus
from database.engine import Database
from database.talk.chats import create_chat
from database.talk.messages import add_message, history_before
from flows.durable.event_log import EventLog
from flows.durable.journal import Journal
from flows.durable.run import Run
from llm.backend import Reply
from llm.door import Door
from llm.engine import AsyncEngine, Place
from llm.ledger import StepCalls
from llm.offline.backend import OfflineBackend
from llm.sync_engine import SyncEngine
from modules.chat import DirectChat, history_of
from modules.streaming import stream_answer
from runtime.errors import MillraceError

OWNER = "bench"
ASKED_CHARS, ANSWERED_CHARS = 120, 480
# As flows/chat_turn.py reads it.
HISTORY_MESSAGES = 200
_WORDS = (
    *("river", "stone", "paper", "window", "letter", "garden", "morning", "winter", "table", "answer"),
    *("question", "market", "harbour", "engine", "silver", "measure", "promise", "valley", "copper"),
    *("thunder", "cotton", "lantern", "orchard", "compass", "saddle", "ribbon", "kettle", "marble"),
)


def prose(chance: random.Random, chars: int) -> str:
    """Return sentences of about so many characters."""
    said = ""
    while len(said) < chars:
        said += " ".join(chance.choices(_WORDS, k=chance.randint(5, 15))).capitalize() + ". "
    return said.strip()


class ScriptedModel(OfflineBackend):
    """Answers at once, with something new every time."""

    def __init__(self) -> None:
        self._turn = count(1)

    async def complete(self, role: str, request: Any, hints: Any = None) -> Reply:
        """Return the next answer of the script."""
        del role, request, hints
        said = prose(random.Random(-next(self._turn)), ANSWERED_CHARS)
        text = f"[[ ## answer ## ]]\n{said}\n\n[[ ## completed ## ]]\n"
        message = Message.assistant(text)
        response = Response(id=None, model="script", message=message, finish_reason="stop", usage=Usage())
        return Reply(response, "script", "script", Decimal(0))


@dataclass(slots=True)
class Watched:
    """A journal that tells how long it took, and what it was given."""

    journal: Journal
    seconds: float = 0.0
    calls: list[tuple[CallRequest, CallAnswer]] = field(default_factory=list)

    async def reserve(self, call: CallRequest) -> CallAnswer | None:
        """As the journal."""
        answer: CallAnswer | None = await self._timed(self.journal.reserve(call))
        return answer

    async def commit(self, call: CallRequest, answer: CallAnswer) -> None:
        """As the journal."""
        await self._timed(self.journal.commit(call, answer))
        self.calls.append((call, answer))

    async def fail(self, call: CallRequest, error: MillraceError, latency_ms: float) -> None:
        """As the journal."""
        await self.journal.fail(call, error, latency_ms)

    async def _timed(self, work: Awaitable[Any]) -> Any:
        began = perf_counter()
        try:
            return await work
        finally:
            self.seconds += perf_counter() - began


@dataclass(slots=True)
class Chat:
    """A conversation whose turns are stored by the functions that `flows/chat_turn.py` calls."""

    database: Database
    door: Door
    events: EventLog
    place: Place
    chat_id: UUID
    model: ScriptedModel = field(default_factory=ScriptedModel)
    turns: int = 0

    async def turn(self) -> Watched:
        """Say the next thing and store what is answered, as one run."""
        self.turns += 1
        run = await running(self.database, self.door, self.events)
        asked = prose(random.Random(self.turns), ASKED_CHARS)
        message = await self._said(run, Author.USER, asked)
        async with self.database.read() as session:
            before = await history_before(session, OWNER, message.id, HISTORY_MESSAGES)
        journal = Watched(Journal(run))
        program, answer = DirectChat(), ""
        lm = self._lm(StepCalls(journal, "answer_message#1"))
        with dspy.context(lm=lm, disable_history=True, trace=None, send_stream=None):
            given = {"message": asked, "history": history_of(before), "context": ""}
            async for piece in stream_answer(program, program.streams, **given):
                if isinstance(piece, str):
                    run.tell(EventKind.TOKEN, text=piece, step="answer_message#1")
                else:
                    answer = piece.answer
        await self._said(run, Author.ASSISTANT, answer)
        await run.end(RunStatus.SUCCEEDED, result={"chat_id": str(self.chat_id), "answer": answer})
        return journal

    def _lm(self, calls: StepCalls) -> dspy.LM:
        """Return the scripted model as the door would, with the journal in front of it."""
        engine = AsyncEngine(self.model, "chat", calls, self.place)
        return dspy.LM(
            "millrace/chat",
            engine=SyncEngine(engine, frozenset()),
            async_engine=engine,
            num_retries=0,
            cache=False,
        )

    async def _said(self, run: Run, author: Author, content: str) -> Any:
        return await run.write(
            add_message, OWNER, chat_id=self.chat_id, author=author, content=content, run_id=run.id
        )


async def open_chat(database: Database, door: Door) -> Chat:
    """Begin a conversation. The door is that of its runs; nothing is asked there."""
    place = Place(asyncio.get_running_loop(), asyncio.Semaphore(1))
    chat = await database.write(create_chat, OWNER, "bench")
    return Chat(database, door, EventLog(database), place, chat.id)
