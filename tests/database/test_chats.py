"""Chats and what is said in them."""

import asyncio
from uuid import uuid4

import pytest

from contracts.chat import Author
from database.journal.calls import commit_call, reserve_call
from database.queue.again import fork_run
from database.queue.runs import request_cancel
from database.talk.chats import create_chat, delete_chat, get_chat, list_chats, rename_chat
from database.talk.messages import add_message, delete_message, get_message, history_before, list_messages
from runtime.errors import BadInput, NotFound
from runtime.ids import new_id
from tests.fixtures.made_runs import ANSWER, CALL, accepted, claimed


async def say(database, chat, content, author=Author.USER, **values):
    return await database.write(
        add_message, "local", chat_id=chat.id, author=author, content=content, **values
    )


async def read(database, query, *args, **kwargs):
    async with database.read() as session:
        return await query(session, *args, **kwargs)


async def test_a_chat_tells_how_much_was_said_and_what_it_cost(database):
    """Both messages of a turn carry its run: the run is counted once."""
    chat = await database.write(create_chat, "local", "Rivers")
    run = await claimed(database)
    await database.write(reserve_call, run.id, 1, CALL)
    await database.write(commit_call, run.id, 1, CALL, ANSWER)
    await say(database, chat, "a question", run_id=run.id)
    await say(database, chat, "an answer", Author.ASSISTANT, run_id=run.id, meta={"models": ["m"]})
    found = await read(database, get_chat, "local", chat.id)
    assert (found.title, found.messages, found.cost_usd) == ("Rivers", 2, ANSWER.cost_usd)
    assert found.updated_at > chat.updated_at


async def test_messages_come_in_the_order_in_which_they_were_said_page_by_page(database):
    chat = await database.write(create_chat, "local")
    for number in range(5):
        await say(database, chat, f"{number}")
    seen, cursor = [], None
    while True:
        page = await read(database, list_messages, "local", chat.id, limit=2, cursor=cursor)
        seen += [message.content for message in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == ["0", "1", "2", "3", "4"]


async def test_messages_said_at_once_are_all_kept_and_have_one_order(database):
    """API and worker write to one chat with two clocks."""
    chat = await database.write(create_chat, "local")
    await asyncio.gather(*(say(database, chat, f"{n}") for n in range(20)))
    first = await read(database, list_messages, "local", chat.id)
    again = await read(database, list_messages, "local", chat.id)
    assert len(first.items) == 20
    assert first == again


async def test_a_step_that_runs_twice_says_it_once(database):
    chat = await database.write(create_chat, "local")
    message_id, run_id = new_id(), new_id()
    first = await say(database, chat, "first", message_id=message_id)
    again = await say(database, chat, "changed", message_id=message_id)
    assert again == first
    one = await say(database, chat, "an answer", Author.ASSISTANT, run_id=run_id)
    other = await say(database, chat, "another answer", Author.ASSISTANT, run_id=run_id)
    assert one == other
    await say(database, chat, "a question", Author.USER, run_id=run_id)
    page = await read(database, list_messages, "local", chat.id)
    assert [message.content for message in page.items] == ["first", "an answer", "a question"]


async def test_the_history_of_a_message_is_what_was_said_before_it(database):
    chat = await database.write(create_chat, "local")
    said = [await say(database, chat, f"{n}") for n in range(5)]
    await database.write(delete_message, "local", chat.id, said[2].id)
    history = await read(database, history_before, "local", said[4].id, limit=3)
    assert [message.content for message in history] == ["0", "1", "3"]
    history = await read(database, history_before, "local", said[4].id, limit=2)
    assert [message.content for message in history] == ["1", "3"]
    assert await read(database, history_before, "local", said[0].id) == []


async def test_a_forked_turn_sees_what_its_source_saw(database):
    """Else its prompt would be another one, and nothing of its source's answers could be used again."""
    chat = await database.write(create_chat, "local")
    await say(database, chat, "before")
    turn = {"pipeline": "chat_turn", "params": {"message": "one", "chat_id": str(chat.id)}}
    source = await accepted(database, **turn)
    first = await say(database, chat, "one", run_id=source.id)
    await say(database, chat, "answer one", Author.ASSISTANT, run_id=source.id)
    await say(database, chat, "two")
    message = None
    for _ in range(2):  # A fork, and a fork of the fork.
        await database.write(request_cancel, "local", source.id)
        source, _new = await database.write(fork_run, "local", source.id, params=turn["params"])
        message = await say(database, chat, "one", run_id=source.id)
        answer = await say(database, chat, "answer", Author.ASSISTANT, run_id=source.id)
        history = await read(database, history_before, "local", message.id)
        assert [each.content for each in history] == ["before"]
    assert len(await read(database, history_before, "local", answer.id)) == 7
    await database.write(delete_message, "local", chat.id, first.id)
    history = await read(database, history_before, "local", message.id)
    assert [each.content for each in history] == ["before"]


async def test_a_turn_that_is_forked_into_another_chat_sees_that_chat(database):
    chat, other = [await database.write(create_chat, "local") for _ in range(2)]
    source = await accepted(
        database, pipeline="chat_turn", params={"message": "one", "chat_id": str(chat.id)}
    )
    await say(database, chat, "one", run_id=source.id)
    await database.write(request_cancel, "local", source.id)
    await say(database, other, "elsewhere")
    moved = {"message": "one", "chat_id": str(other.id)}
    fork, _new = await database.write(fork_run, "local", source.id, params=moved)
    message = await say(database, other, "one", run_id=fork.id)
    history = await read(database, history_before, "local", message.id)
    assert [each.content for each in history] == ["elsewhere"]


async def test_a_deleted_message_is_gone_for_its_readers(database):
    chat = await database.write(create_chat, "local")
    message = await say(database, chat, "a secret")
    await database.write(delete_message, "local", chat.id, message.id)
    assert (await read(database, list_messages, "local", chat.id)).items == []
    assert (await read(database, get_chat, "local", chat.id)).messages == 0
    with pytest.raises(NotFound):
        await read(database, get_message, "local", message.id)


async def test_a_message_is_deleted_only_where_it_was_said(database):
    chat, other = [await database.write(create_chat, "local") for _ in range(2)]
    message = await say(database, chat, "hello")
    with pytest.raises(NotFound):
        await database.write(delete_message, "local", other.id, message.id)
    assert await read(database, get_message, "local", message.id) == message


async def test_a_deleted_chat_is_gone_with_its_messages(database):
    chat = await database.write(create_chat, "local")
    message = await say(database, chat, "hello")
    await database.write(delete_chat, "local", chat.id)
    assert (await read(database, list_chats, "local")).items == []
    for query, found in ((get_chat, chat), (list_messages, chat), (get_message, message)):
        with pytest.raises(NotFound):
            await read(database, query, "local", found.id)
    for change, args in ((delete_chat, ()), (rename_chat, ("x",))):
        with pytest.raises(NotFound) as caught:
            await database.write(change, "local", chat.id, *args)
        assert caught.value.code == "chat_not_found"
    with pytest.raises(NotFound):
        await say(database, chat, "too late")


async def test_a_chat_of_somebody_else_does_not_exist(database):
    chat = await database.write(create_chat, "local")
    message = await say(database, chat, "hello")
    for query, found in (
        (get_chat, chat),
        (list_messages, chat),
        (get_message, message),
        (history_before, message),
    ):
        with pytest.raises(NotFound):
            await read(database, query, "someone", found.id)
    for change, args in (
        (rename_chat, (chat.id, "x")),
        (delete_chat, (chat.id,)),
        (delete_message, (chat.id, message.id)),
    ):
        with pytest.raises(NotFound):
            await database.write(change, "someone", *args)
    with pytest.raises(NotFound):
        await database.write(add_message, "someone", chat_id=chat.id, author=Author.USER, content="x")
    with pytest.raises(NotFound):
        await database.write(create_chat, "someone", chat_id=chat.id)


async def test_a_message_id_of_another_chat_is_not_answered_with_that_message(database):
    mine = await database.write(create_chat, "local")
    theirs = await database.write(create_chat, "someone")
    said = await say(database, mine, "mine")
    with pytest.raises(NotFound):
        await database.write(
            add_message,
            "someone",
            chat_id=theirs.id,
            author=Author.USER,
            content="x",
            message_id=said.id,
        )


async def test_a_chat_that_was_used_comes_to_the_top_and_pages_hold(database):
    chats = [await database.write(create_chat, "local", f"{n}") for n in range(5)]
    await say(database, chats[1], "hello")
    seen, cursor = [], None
    while True:
        page = await read(database, list_chats, "local", limit=2, cursor=cursor)
        seen += [chat.title for chat in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == ["1", "4", "3", "2", "0"]


async def test_a_chat_can_be_renamed(database):
    chat = await database.write(create_chat, "local", "old")
    assert (await database.write(rename_chat, "local", chat.id, "new")).title == "new"


async def test_a_chat_opened_twice_under_one_id_is_one_chat(database):
    chat_id = new_id()
    first = await database.write(create_chat, "local", "first", chat_id=chat_id)
    again = await database.write(create_chat, "local", "again", chat_id=chat_id)
    assert again == first


@pytest.mark.parametrize(
    "cursor", ["x", "WyItMSJd", "WyLCsiJd", "WyI5OTk5OTk5OTk5OTk5OTk5OTk5OSJd", "WyJhIiwiYiJd"]
)
async def test_a_cursor_from_elsewhere_is_refused(database, cursor):
    chat = await database.write(create_chat, "local")
    with pytest.raises(BadInput):
        await read(database, list_messages, "local", chat.id, cursor=cursor)
    with pytest.raises(BadInput):
        await read(database, list_chats, "local", cursor=cursor)


async def test_messages_of_a_chat_that_is_not_there_are_not_an_empty_list(database):
    with pytest.raises(NotFound):
        await read(database, list_messages, "local", uuid4())
    chat = await database.write(create_chat, "local")
    assert (await read(database, list_messages, "local", chat.id)).items == []
