"""Feedback on answers, and the examples that it becomes."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from contracts.chat import Author, Message
from contracts.example_texts import checked_example
from contracts.examples import Example, ExampleOrigin, Feedback, NewExample, NewFeedback
from contracts.lessons import LESSONS, Lesson
from contracts.pipelines import CHAT_TURN
from contracts.runs import Run, RunStatus
from database.engine import ReadSession, WriteSession
from database.gateway.reuses import remove_answers_of
from database.learning.examples import Lineage, put_example
from database.learning.programs import get_program
from database.learning.serving import programs_of
from database.pages import MAX_PAGE, Page, cursor_id, encode_cursor
from database.queue.runs import get_run
from database.tables import FeedbackRow, MessageRow, core
from database.talk.guests import readable_message
from database.talk.messages import get_message, history_before
from database.talk.sharing import Reader
from runtime.clock import utcnow
from runtime.errors import BadInput, Conflict
from runtime.ids import new_id
from runtime.personal import Mask, mask_all

GOOD = 0.5
HISTORY_MESSAGES = 200
_FEEDBACK = core(FeedbackRow)
_MESSAGES = core(MessageRow)
_COLUMNS = [_FEEDBACK.c[name] for name in Feedback.model_fields]


async def give_message_feedback(
    session: WriteSession, owner: str, message_id: UUID, given: NewFeedback, mask: Mask
) -> Feedback:
    """Store what somebody thinks of an answer in a chat, see `give_run_feedback`.

    Raises:
        NotFound: `message_not_found`.
        BadInput: `not_an_answer`, the message was not answered by a run.
    """
    run_id = _answering(await get_message(session, owner, message_id))
    return await give_run_feedback(session, owner, run_id, given, mask, message_id)


async def give_reader_feedback(
    session: WriteSession, reader: Reader, person: str, message_id: UUID, given: NewFeedback, mask: Mask
) -> Feedback:
    """Store what somebody thinks of an answer in a chat that they may read.

    What the chat's owner says, or a member of its project, is as `give_message_feedback`. A guest's word
    belongs to the chat's owner, under the guest's name, and decides nothing by itself.

    Raises:
        NotFound: `message_not_found`.
        BadInput: `not_an_answer` or `empty_feedback`.
    """
    owner, message = await readable_message(session, reader, message_id)
    if owner == reader.owner:
        return await give_message_feedback(session, owner, message_id, given, mask)
    values = {
        **_about(_answering(message), message_id, given, mask),
        "owner": owner,
        "guest": person,
        "program": None,
        "version_id": None,
    }
    await session.execute(sa.insert(_FEEDBACK).values(values))
    return Feedback.model_validate(values)


async def give_run_feedback(
    session: WriteSession,
    owner: str,
    run_id: UUID,
    given: NewFeedback,
    mask: Mask,
    message_id: UUID | None = None,
) -> Feedback:
    """Store what somebody thinks of a run's answer; with a right answer in it, it becomes an example.

    A kept answer that the run was given is used no more when it was bad.

    `mask` takes personal data out of all texts first.

    Raises:
        NotFound: `run_not_found`.
        BadInput: `empty_feedback`, or `bad_examples` for a correction that the program cannot give.
    """
    run = await get_run(session, owner, run_id)
    about = _about(run_id, message_id, given, mask)
    lesson = await lesson_of(session, owner, run)
    values: dict[str, Any] = {
        **about,
        "owner": owner,
        "guest": None,
        "program": lesson.program if lesson else None,
        "version_id": await _version(session, owner, run, lesson),
    }
    expected = _expected(given, lesson)
    if lesson is not None and expected is not None:
        lineage = Lineage(ExampleOrigin.FEEDBACK, run_id, message_id, values["version_id"], values["id"])
        example, _ = await _learn(session, owner, lesson, expected, lineage, mask)
        values["example_id"] = example.id
    await session.execute(sa.insert(_FEEDBACK).values(values))
    if given.correction is not None or (given.score is not None and given.score < GOOD):
        await remove_answers_of(session, owner, run_id)
    return Feedback.model_validate(values)


async def promote_run(session: WriteSession, owner: str, run_id: UUID, mask: Mask) -> tuple[Example, bool]:
    """Make a good run an example: what it answered is what is expected.

    Raises:
        NotFound: `run_not_found`.
        Conflict: `nothing_to_learn`, the run did not succeed or is of a pipeline that is not one call.
    """
    run = await get_run(session, owner, run_id)
    lesson = await lesson_of(session, owner, run)
    if lesson is None:
        raise Conflict(
            f"Nothing can be learned from this run: take one of {' or '.join(LESSONS)} that succeeded.",
            "nothing_to_learn",
        )
    lineage = Lineage(ExampleOrigin.RUN, run_id, None, await _version(session, owner, run, lesson))
    return await _learn(session, owner, lesson, lesson.said, lineage, mask)


async def list_feedback(
    session: ReadSession,
    owner: str,
    *,
    run_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Feedback]:
    """Return the owner's feedback, newest first.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = sa.select(*_COLUMNS).where(_FEEDBACK.c.owner == owner)
    if run_id is not None:
        query = query.where(_FEEDBACK.c.run_id == run_id)
    if cursor is not None:
        query = query.where(_FEEDBACK.c.id < cursor_id(cursor))
    rows = (await session.execute(query.order_by(_FEEDBACK.c.id.desc()).limit(limit + 1))).all()
    items = [Feedback.model_validate(row, from_attributes=True) for row in rows]
    return Page(items[:limit], encode_cursor(str(items[limit - 1].id)) if len(items) > limit else None)


async def lesson_of(session: ReadSession, owner: str, run: Run) -> Lesson | None:
    """Return what can be learned from a run; none unless it succeeded and was one call of one program.

    What an agent made a program say is right for that agent alone: as an example it would teach all others.
    """
    if run.pipeline not in LESSONS or run.status != RunStatus.SUCCEEDED or run.result is None:
        return None
    if of_an_agent(run):
        return None
    mine = sa.select(_MESSAGES.c.id).where(_MESSAGES.c.run_id == run.id, _MESSAGES.c.author == Author.USER)
    asked = (await session.execute(mine)).scalar_one_or_none()
    history = await history_before(session, owner, asked, HISTORY_MESSAGES) if asked else []
    return LESSONS[run.pipeline](run.params, run.result, history)


def of_an_agent(run: Run) -> bool:
    """Return whether a run answered with the instructions of an agent."""
    return run.pipeline == CHAT_TURN.name and run.agent_version is not None


def _answering(message: Message) -> UUID:
    """Return the run that answered with a message.

    Raises:
        BadInput: `not_an_answer`.
    """
    if message.author != Author.ASSISTANT or message.run_id is None:
        raise BadInput("Only an answer can be judged: name a message of the assistant.", "not_an_answer")
    return message.run_id


def _about(run_id: UUID, message_id: UUID | None, given: NewFeedback, mask: Mask) -> dict[str, Any]:
    """Return the columns of what is said about a run, whoever says it.

    Raises:
        BadInput: `empty_feedback`.
    """
    if not given.model_dump(exclude_none=True):
        raise BadInput("Say something: a score, a label, a correction or a comment.", "empty_feedback")
    about = {"id": new_id(), "run_id": run_id, "message_id": message_id, "created_at": utcnow()}
    return {**about, **mask_all(given.model_dump(), mask), "example_id": None}


async def _version(session: ReadSession, owner: str, run: Run, lesson: Lesson | None) -> UUID | None:
    used = {one.program: one.version_id for one in await programs_of(session, owner, run.id)}
    return used.get(lesson.program) if lesson else None


def _expected(given: NewFeedback, lesson: Lesson | None) -> dict[str, Any] | None:
    if lesson is None:
        return None
    if isinstance(given.correction, str):
        return lesson.expected(given.correction)
    if given.correction is not None:
        return given.correction
    return lesson.said if given.score is not None and given.score >= GOOD else None


async def _learn(
    session: WriteSession,
    owner: str,
    lesson: Lesson,
    expected: dict[str, Any],
    lineage: Lineage,
    mask: Mask,
) -> tuple[Example, bool]:
    example = NewExample(inputs=mask_all(lesson.inputs, mask), expected=mask_all(expected, mask))
    checked_example(example, await get_program(session, owner, lesson.program))
    return await put_example(session, owner, lesson.program, example, lineage)
