"""Chat turn: answer one message of a chat, with its history."""

from dataclasses import dataclass
from uuid import UUID

from contracts.chat import Author, ChatMode, ChatTurnParams, ChatTurnResult, DraftCheck, Message
from contracts.pipelines import CHAT_TURN
from contracts.runs import EventKind
from database.chats import create_chat
from database.engine import WriteSession
from database.messages import add_message, history_before
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step, step_calls
from flows.durable.thinking import thinking
from flows.policies import MODEL_CALL, STORE
from modules.chat import history_of
from modules.programs import PROGRAMS
from modules.streaming import stream_answer
from runtime.errors import MillraceError
from runtime.ids import derived_id

TITLE_CHARS = 80
HISTORY_MESSAGES = 200
PROGRAM_OF = {ChatMode.DIRECT: "chat.direct", ChatMode.CAREFUL: "chat.careful"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A message in its place: the chat, and what was said before it."""

    chat_id: UUID
    history: list[Message]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program answered, and what it thinks of it."""

    text: str
    check: DraftCheck | None


@pipeline(CHAT_TURN)
async def chat_turn(params: ChatTurnParams) -> ChatTurnResult:
    """Find the chat, answer the message, and remember the answer."""
    turn = await open_turn(params)
    answer = await answer_message(params, turn)
    return await remember(params, turn, answer)


@step(STORE)
async def open_turn(params: ChatTurnParams) -> Turn:
    """Store the message once, in its chat or in a new one, and read what was said before it."""
    run = current_run()
    chat_id = params.chat_id or derived_id(run.id, "chat")

    async def opened(session: WriteSession) -> list[Message]:
        if params.chat_id is None:
            await create_chat(session, run.owner, title_of(params.message), chat_id=chat_id)
        message = await add_message(
            session,
            run.owner,
            chat_id=chat_id,
            author=Author.USER,
            content=params.message,
            run_id=run.id,
            message_id=derived_id(run.id, Author.USER),
        )
        return await history_before(session, run.owner, message.id, HISTORY_MESSAGES)

    return Turn(chat_id, await run.write(opened))


@step(MODEL_CALL)
async def answer_message(params: ChatTurnParams, turn: Turn) -> Answer:
    """Let the program of the mode answer, and tell its words as they come."""
    run, kind = current_run(), PROGRAMS[PROGRAM_OF[params.mode]]
    program = kind.build()
    named = step_calls().step
    answer: Answer | None = None
    with thinking(kind.role):
        async for piece in stream_answer(
            program,
            program.streams,
            message=params.message,
            history=history_of(turn.history),
            context=params.context,
        ):
            if isinstance(piece, str):
                run.tell(EventKind.TOKEN, text=piece, step=named)
            else:
                answer = Answer(piece.answer, piece.check)
    if answer is None:
        raise MillraceError("the program ended without an answer", code="no_answer", retryable=True)
    return answer


@step(STORE)
async def remember(params: ChatTurnParams, turn: Turn, answer: Answer) -> ChatTurnResult:
    """Store the answer once, with who gave it and how it was checked."""
    run = current_run()
    models = sorted(run.deployments)
    message = await run.write(
        add_message,
        run.owner,
        chat_id=turn.chat_id,
        author=Author.ASSISTANT,
        content=answer.text,
        run_id=run.id,
        message_id=derived_id(run.id, Author.ASSISTANT),
        meta={
            "models": models,
            "program": PROGRAM_OF[params.mode],
            "check": answer.check.model_dump(mode="json") if answer.check else None,
        },
    )
    return ChatTurnResult(
        chat_id=turn.chat_id, message_id=message.id, answer=message.content, check=answer.check, models=models
    )


def title_of(message: str) -> str:
    """Return the beginning of a message on one line, as the title of the chat that it opens."""
    line = " ".join(message.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"
