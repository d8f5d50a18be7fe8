"""Chat turn: answer one message of a chat, with its history."""

from dataclasses import dataclass
from uuid import UUID

from contracts.chat import AgentUse, Author, ChatTurnParams, ChatTurnResult, DraftCheck, Message, said_by
from contracts.pipelines import CHAT_TURN
from contracts.runs import EventKind
from database.engine import WriteSession
from database.talk.chats import create_chat
from database.talk.messages import add_message, history_before
from database.talk.pins import PinnedAgent, agent_of_run
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step, step_calls
from flows.durable.thinking import thinking_with
from flows.policies import MODEL_CALL, STORE
from flows.screening import screened, screened_model, screened_pieces
from modules.chat import history_of
from modules.streaming import stream_answer
from runtime.errors import MillraceError
from runtime.ids import derived_id

TITLE_CHARS = 80
HISTORY_MESSAGES = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """A message in its place: the chat, what was said before it, and the agent that answers, if one does."""

    chat_id: UUID
    history: list[Message]
    agent: PinnedAgent | None


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
    """Store the message once, in its chat or in a new one, and read what was said before it.

    The agent is read in the version that the run is bound to: what every attempt asks its model is the same.
    """
    run = current_run()
    chat_id = params.chat_of(run.id)

    async def opened(session: WriteSession) -> list[Message]:
        if params.chat_id is None:
            title = title_of(params.message)
            await create_chat(session, run.owner, title, chat_id=chat_id, agent_id=run.agent_id)
        message = await add_message(
            session,
            run.owner,
            chat_id=chat_id,
            author=Author.USER,
            content=params.message,
            run_id=run.id,
            message_id=derived_id(run.id, Author.USER),
            meta=said_by(run.owner, run.started_by),
        )
        return await history_before(session, run.owner, message.id, HISTORY_MESSAGES)

    agent = None if run.agent_id is None else await run.read(agent_of_run, run.owner, run.id)
    return Turn(chat_id, await run.write(opened), agent)


@step(MODEL_CALL)
async def answer_message(params: ChatTurnParams, turn: Turn) -> Answer:
    """Let the program of the mode answer, and tell its words as they come."""
    run = current_run()
    named = step_calls().step
    answer: Answer | None = None
    with thinking_with(params.program) as program:
        pieces = stream_answer(
            program,
            program.streams,
            message=params.message,
            history=history_of(turn.history),
            context=params.context,
            instructions=turn.agent.instructions if turn.agent else "",
        )
        async for piece in screened_pieces(pieces):
            if isinstance(piece, str):
                run.tell(EventKind.TOKEN, text=piece, step=named)
            else:
                check = piece.check and await screened_model(piece.check)
                answer = Answer(await screened(piece.answer), check)
    if answer is None:
        raise MillraceError("the program ended without an answer", code="no_answer", retryable=True)
    return answer


@step(STORE)
async def remember(params: ChatTurnParams, turn: Turn, answer: Answer) -> ChatTurnResult:
    """Store the answer once, with who gave it and how it was checked."""
    run = current_run()
    models = sorted(run.deployments)
    program = run.programs[params.program]
    agent = AgentUse.model_validate(turn.agent, from_attributes=True) if turn.agent else None
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
            "program": program.program,
            "program_version": program.version,
            "check": answer.check.model_dump(mode="json") if answer.check else None,
            **({"agent": agent.model_dump(mode="json")} if agent else {}),
        },
    )
    return ChatTurnResult(
        chat_id=turn.chat_id,
        message_id=message.id,
        answer=message.content,
        check=answer.check,
        models=models,
        agent=agent,
    )


def title_of(message: str) -> str:
    """Return the beginning of a message on one line, as the title of the chat that it opens."""
    line = " ".join(message.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"
