"""What the main operations answer when all goes well, as the documentation shows it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from contracts.agents import Agent
from contracts.budgets import Budget, BudgetPeriod, BudgetScope
from contracts.chat import Author, Chat, ChatMode, ChatTurnParams, ChatTurnResult, Message
from contracts.runs import Origin, Run, RunStatus, RunSummary

_AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
_RUN, _CHAT, _QUESTION, _ANSWER, _FILE, _BUDGET, _AGENT = (
    UUID(f"0198c0de-7a11-7000-8000-{number:012}") for number in range(1, 8)
)
_ASKED, _SAID = "What does the warm worker do?", "It claims runs and executes them in one warm process."


def success_examples() -> dict[tuple[str, int], Any]:
    """Return an answer as JSON by operation id and status; the operation's own model accepts it."""
    run, accepted = _shown(_ended()), _shown(_accepted())
    summary = _shown(RunSummary.model_validate(_ended().model_dump()))
    chat = Chat(id=_CHAT, title=_ASKED, created_at=_AT, updated_at=_AT, messages=2, cost_usd=Decimal(0))
    question, answer = _shown(_message(Author.USER)), _shown(_message(Author.ASSISTANT))
    file = {
        "id": str(_FILE),
        "name": "offer.txt",
        "media_type": "text/plain",
        "size": 29,
        "sha256": "a86b27d3e2105df6b3c285f430cf59aa4cba944971e75f1e5e9559182bb59669",
        "created_at": _AT.isoformat(),
    }
    budget = _shown(_budget())
    agent = _shown(_agent())
    return {
        ("trigger_run", 200): run,
        ("trigger_run", 202): accepted,
        ("get_run", 200): run,
        ("list_runs", 200): _page(summary),
        ("open_chat", 201): _shown(chat.model_copy(update={"messages": 0})),
        ("get_chat", 200): _shown(chat),
        ("list_chats", 200): _page(_shown(chat)),
        ("send_message", 200): {"run": run, "message": question, "answer": answer},
        ("send_message", 202): {"run": accepted, "message": question, "answer": None},
        ("list_messages", 200): _page(question, answer),
        ("create_agent", 201): agent,
        ("get_agent", 200): agent,
        ("list_agents", 200): _page(agent),
        ("set_budget", 200): budget,
        ("set_budget", 201): budget,
        ("get_budget", 200): budget,
        ("list_budgets", 200): _page(budget),
        ("upload_files", 201): {"items": [file]},
        ("get_file", 200): file,
        ("list_files", 200): _page(file),
    }


def _accepted() -> Run:
    return Run(
        id=_RUN,
        pipeline="chat_turn",
        status=RunStatus.ACCEPTED,
        origin=Origin.API,
        attempt=0,
        max_attempts=3,
        params=ChatTurnParams.model_validate({"message": _ASKED, "chat_id": _CHAT}).model_dump(mode="json"),
        cost_usd=Decimal(0),
        created_at=_AT,
    )


def _ended() -> Run:
    result = ChatTurnResult(chat_id=_CHAT, message_id=_ANSWER, answer=_SAID, models=["offline"])
    return _accepted().model_copy(
        update={
            "status": RunStatus.SUCCEEDED,
            "attempt": 1,
            "result": result.model_dump(mode="json"),
            "started_at": _AT + timedelta(milliseconds=80),
            "finished_at": _AT + timedelta(milliseconds=240),
        }
    )


def _agent() -> Agent:
    return Agent(
        id=_AGENT,
        name="contract-clerk",
        description="Knows our contracts.",
        version=2,
        instructions="You answer questions about our contracts, in plain words, and name the clause.",
        mode=ChatMode.CAREFUL,
        created_at=_AT,
        updated_at=_AT,
    )


def _budget() -> Budget:
    return Budget(
        id=_BUDGET,
        scope=BudgetScope.OWNER,
        subject=None,
        period=BudgetPeriod.DAY,
        cap_usd=Decimal("5.00"),
        spent_usd=Decimal("4.1275"),
        reserved_usd=Decimal("0.024"),
        left_usd=Decimal("0.8485"),
        resets_at=BudgetPeriod.DAY.ends(_AT),
        alerted_at=_AT,
        created_at=_AT,
        updated_at=_AT,
    )


def _message(author: Author) -> Message:
    asked = author == Author.USER
    return Message(
        id=_QUESTION if asked else _ANSWER,
        chat_id=_CHAT,
        author=author,
        content=_ASKED if asked else _SAID,
        run_id=_RUN,
        meta={}
        if asked
        else {"models": ["offline"], "program": "chat.direct", "program_version": 1, "check": None},
        created_at=_AT,
    )


def _page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


def _shown(model: BaseModel) -> Any:
    return model.model_dump(mode="json")
