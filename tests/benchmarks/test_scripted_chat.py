"""The chat that benchmarks/storage.py measures is stored as a worker stores one."""

from benchmarks.scripted_chat import OWNER, open_chat
from contracts.chat import Author
from database.engine import Database
from database.talk.messages import list_messages
from llm.door import Door
from llm.settings import LlmSettings


async def test_each_turn_makes_one_call_that_carries_what_was_said_before(database: Database, tmp_path):
    file = tmp_path / "providers.yaml"
    file.write_text("providers: {}\nrouting: {default: [offline]}\n")
    door = Door.open(LlmSettings(providers_file=file))
    chat = await open_chat(database, door)
    journals = [await chat.turn() for _ in range(3)]
    await chat.events.close()
    await door.close()
    assert [[len(call.request["messages"]) for call, _ in each.calls] for each in journals] == [[1], [3], [5]]
    async with database.read() as session:
        said = (await list_messages(session, OWNER, chat.chat_id)).items
    assert [message.author for message in said] == [Author.USER, Author.ASSISTANT] * 3
