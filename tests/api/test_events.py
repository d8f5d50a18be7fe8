"""A run's log over real connections: whole, resumed, silent, broken off, and at the server's end."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from api.resources import Resources
from database.engine import Database
from tests.api.worker import begin, fail, say, succeed, until

PROBE = "/api/v1/pipelines/probe/runs"


@dataclass
class Sent:
    """One server-sent event, as a browser would see it."""

    event: str
    id: int | None
    data: dict[str, Any]


async def events(answer: Response) -> AsyncIterator[Sent]:
    """Parse a stream by the rules of the HTML standard, as far as they are used."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            number = fields.get("id")
            yield Sent(fields["event"], int(number) if number else None, json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


async def trigger(client: AsyncClient) -> str:
    return f"/api/v1/runs/{(await client.post(PROBE, json={})).json()['id']}/events"


async def test_a_stream_tells_all_from_the_first_to_the_last_event(remote: AsyncClient, store: Database):
    """Also what happened before anyone listened; it ends by itself with the run."""
    address = await trigger(remote)
    claimed = await begin(store)
    await say(store, claimed.id, "before")
    told = []
    async with remote.stream("GET", address) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for event in events(answer):
            told.append(event)
            if event.data["data"].get("text") == "before":
                await say(store, claimed.id, "while", "listening")
                await succeed(store, claimed)

    assert list(range(1, 8)) == [event.id for event in told]
    states = [event.data["data"]["status"] for event in told if event.event == "state"]
    assert states == ["accepted", "queued", "running", "succeeded"]
    tokens = [event.data["data"]["text"] for event in told if event.event == "token"]
    assert tokens == ["before", "while", "listening"]


async def test_a_stream_resumes_behind_the_last_event_that_came(remote: AsyncClient, store: Database):
    """Neither twice nor never: a cut connection is not seen in the text."""
    address = await trigger(remote)
    claimed = await begin(store)
    await say(store, claimed.id, *"abcdef")
    async with remote.stream("GET", address) as answer:
        async for event in events(answer):
            if event.data["data"].get("text") == "c":
                place = event.id
                break
    await say(store, claimed.id, *"gh")
    await succeed(store, claimed)

    async with remote.stream("GET", address, headers={"Last-Event-ID": str(place)}) as answer:
        rest = [event.data["data"].get("text") async for event in events(answer)]
    assert [*"defgh", None] == rest


async def test_the_place_may_stand_in_the_address(remote: AsyncClient, store: Database):
    """For clients that cannot set headers; a browser's header wins when it reconnects."""
    address = await trigger(remote)
    await succeed(store, await begin(store))

    async def first_id(headers: dict[str, str]) -> int | None:
        async with remote.stream("GET", address, params={"after": 1}, headers=headers) as answer:
            return (await anext(events(answer))).id

    assert await first_id({}) == 2
    assert await first_id({"Last-Event-ID": "3"}) == 4


async def test_who_has_everything_is_told_not_to_come_back(client: AsyncClient, store: Database):
    """A browser reconnects for ever after a stream's end; 204 is what stops it."""
    address = await trigger(client)
    await succeed(store, await begin(store))

    assert (await client.get(address, headers={"Last-Event-ID": "4"})).status_code == 204
    assert (await client.get(address, headers={"Last-Event-ID": "99"})).status_code == 204


async def test_a_place_that_is_no_number_is_refused(client: AsyncClient):
    answer = await client.get(await trigger(client), headers={"Last-Event-ID": "x"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_silence_is_filled_with_comments(remote: AsyncClient):
    """Proxies cut connections that say nothing for a minute."""
    async with remote.stream("GET", await trigger(remote)) as answer:
        comments = 0
        async for line in answer.aiter_lines():
            comments += line.startswith(":")
            if comments == 2:
                break
    assert comments == 2


async def test_a_client_that_leaves_frees_its_place(remote: AsyncClient, resources: Resources):
    """And when nobody listens any more, the database is left in peace."""
    address = await trigger(remote)
    async with remote.stream("GET", address) as answer:
        await anext(events(answer))
        assert resources.tail.listening == 1
    await until(lambda: resources.tail.listening == 0)
    await until(lambda: not resources.tail.reading)


async def test_a_waiting_client_that_leaves_frees_its_place(remote: AsyncClient, resources: Resources):
    asked = asyncio.create_task(remote.post(PROBE, json={}, params={"wait": 60}))
    await until(lambda: resources.tail.listening == 1)
    asked.cancel()

    await until(lambda: resources.tail.listening == 0)


async def test_many_listeners_hear_the_same(remote: AsyncClient, store: Database):
    address = await trigger(remote)
    claimed = await begin(store)

    async def listen() -> list[int | None]:
        async with remote.stream("GET", address) as answer:
            return [event.id async for event in events(answer)]

    listening = [asyncio.create_task(listen()) for _ in range(10)]
    for number in range(20):
        await say(store, claimed.id, str(number))
    await fail(store, claimed)
    assert [list(range(1, 25))] * 10 == await asyncio.gather(*listening)


async def test_streams_end_when_the_server_does(remote: AsyncClient, app: FastAPI):
    """They would hold up its end; the client reconnects elsewhere with its place."""
    async with remote.stream("GET", await trigger(remote)) as answer:
        heard = events(answer)
        await anext(heard)
        app.state.resources.tail.close_listeners()
        assert [event async for event in heard] == []
