"""Servers at an address are asked by DSPy's client: the same words as over LiteLLM, without LiteLLM."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import dspy
import pytest
from dspy.lm15 import Request, request_from_openai_chat

from llm.connections import Connections, _proxy
from llm.errors import translate
from llm.ledger import StepCalls
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import KEY, QUIET, OpenDoor, asked, eventually

pytestmark = QUIET

OVER_LITELLM = {"options": {"drop_params": True}}
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
    },
}
CALLED = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": '{"at": 3}'}}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "settings": {"temperature": 0, "top_p": 0.5, "seed": 3, "stop": ["end"], "max_completion_tokens": 9},
    "top_k": {"top_k": 7},
    "tools": {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    "json": {"response_format": {"type": "json_object"}},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "talk": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": None, "tool_calls": [CALLED]},
            {"role": "tool", "tool_call_id": "call-1", "content": "seven"},
        ],
        "tools": [TOOL],
    },
    "picture": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                ],
            }
        ]
    },
}


def request(what: str) -> Request:
    told = {"model": "x", "messages": [{"role": "user", "content": "hello"}], **REQUESTS[what]}
    return request_from_openai_chat(told)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("what", REQUESTS)
async def test_a_server_is_sent_the_same_as_over_litellm(
    open_door: OpenDoor, server: ModelServer, what: str, streamed: bool
):
    """Who adds an option to a deployment must not get other answers for it."""
    own = {"max_tokens": 50, "temperature": 0.5}
    answers = []
    for client in ({}, OVER_LITELLM):
        engine = (await open_door("first", **own, **client)).engine("chat")
        if streamed:
            events = [event async for event in engine.stream(request(what))]
            answers.append("".join(event.delta.text for event in events if event.type == "delta"))
        else:
            response = await engine.complete(request(what))
            answers.append((response.text, response.usage, response.model, response.finish_reason))

    direct, over_litellm = server.bodies
    for message in direct["messages"]:
        if message["content"] is None:  # which the protocol takes for none at all
            del message["content"]
    over_litellm.setdefault("stream", False)
    assert {"stream": False, **direct} == over_litellm
    assert answers[0] == answers[1]


async def test_metadata_is_as_it_was_for_the_deployment_that_stands_in(
    open_door: OpenDoor, server: ModelServer
):
    """LiteLLM puts objects of its own into the one that it is given."""
    door = await open_door("first", **OVER_LITELLM)
    one = request_from_openai_chat(
        {"model": "x", "messages": [{"role": "user", "content": "hello"}], "metadata": {"from": "us"}}
    )

    await door.engine("chat").complete(one)
    await (await open_door("first")).engine("chat").complete(one)

    assert server.bodies[1]["metadata"] == {"from": "us"}


async def test_a_server_that_counts_no_tokens_leaves_the_cost_open(open_door: OpenDoor, server: ModelServer):
    server.fail("first", "no_usage")
    door = await open_door("first")

    response = await door.engine("chat").complete(asked())

    assert response.usage.input_tokens is None


async def test_connections_are_kept_between_calls(open_door: OpenDoor, tmp_path: Path):
    door = await open_door("first")
    await door.engine("chat").complete(asked())
    kept = door._connections  # noqa: SLF001  whose they are is what is tested
    session = kept._session if kept else None  # noqa: SLF001

    (tmp_path / "providers.yaml").write_text((tmp_path / "providers.yaml").read_text() + "\n# changed\n")
    await door.reload()
    await door.engine("chat").complete(asked("again"))

    assert door._connections is kept  # noqa: SLF001
    assert kept is not None
    assert kept._session is session  # noqa: SLF001
    await door.close()
    assert session is not None
    assert session.closed


def sse(*chunks: str) -> bytes:
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def said(text: str, **more: Any) -> str:
    return json.dumps({"id": "a", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]} | more)


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
BROKEN_STREAMS = {
    "counts in each piece, and no end": (
        sse(said("half", usage=USAGE), said(" an", usage=USAGE)),
        "stream_cut",
    ),
    "an error in a shape of its own": (
        sse(said("half"), '{"object": "error", "message": "out of memory"}', "[DONE]"),
        "stream_cut",
    ),
    "an error before the first word": (sse('{"error": {"message": "no", "code": "x"}}'), "model_unavailable"),
    "pieces that are none": (sse('{"choices": [{"delta": {"tool_calls": 5}}]}'), "bad_model_answer"),
    "no JSON": (sse("half"), "bad_model_answer"),
}


@pytest.mark.parametrize("what", BROKEN_STREAMS)
async def test_half_a_stream_is_no_answer(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger, what: str
):
    """Each of them ends politely, so only what was said tells."""
    stream, code = BROKEN_STREAMS[what]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(stream)}\r\n\r\n"
        writer.write(head.encode() + stream)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        door = await open_door("first", base_url=f"http://127.0.0.1:{port}/v1")
        with pytest.raises(dspy.LMError) as caught:
            [event async for event in door.engine("chat", calls).stream(asked())]

    error = translate(caught.value)
    assert (error.code, error.retryable) == (code, True)
    assert ledger.only.status == "failed"


async def test_a_key_in_netrc_is_nobodys_business(
    open_door: OpenDoor, server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is taken for a second one where aiohttp is told to trust the environment."""
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    await (await open_door("first")).engine("chat").complete(asked())

    assert server.keys == [f"Bearer {KEY}"]


def test_the_environment_says_by_which_proxy_an_address_is_reached(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "models.example")
    _proxy.cache_clear()

    proxy, login = _proxy("https://elsewhere.example/v1/chat/completions")

    assert str(proxy) == "http://proxy.example:3128"
    assert login == {"Proxy-Authorization": aiohttp.encode_basic_auth("me", "secret")}
    assert _proxy("https://models.example/v1/chat/completions") == (None, {})
    assert _proxy("http://elsewhere.example/v1/chat/completions") == (None, {})
    _proxy.cache_clear()


async def test_a_key_that_no_header_can_carry_is_told_as_such(
    open_door: OpenDoor, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOOPBACK_KEY", "sk-two\nlines-1234567890")
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        await door.engine("chat").complete(asked())

    assert translate(caught.value).code == "model_misconfigured"
    assert server.total().requests == 0


async def test_a_prompt_of_several_megabytes_arrives(open_door: OpenDoor, server: ModelServer):
    door = await open_door("first")

    await door.engine("chat").complete(asked("x" * 3_000_000))

    assert len(server.bodies[0]["messages"][0]["content"]) == 3_000_000


async def test_nobody_at_the_address_is_an_unavailable_model(open_door: OpenDoor):
    door = await open_door("first", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(Exception) as caught:  # noqa: PT011  DSPy's class; ours is inside
        await door.engine("chat").complete(asked())

    error = translate(caught.value)
    assert (error.code, error.retryable) == ("model_unavailable", True)
    assert "127.0.0.1" not in error.message


async def test_a_caller_who_leaves_ends_the_connection(open_door: OpenDoor, server: ModelServer):
    """The server should not go on thinking for nobody."""
    server.behaviour["first"].latency_ms = 60_000
    asking = asyncio.create_task((await open_door("first")).engine("chat").complete(asked()))
    await eventually(lambda: server.stats["first"].requests)

    asking.cancel()

    await eventually(lambda: server.stats["first"].abandoned)


def test_no_post_is_sent_twice_by_the_client_itself():
    """What a broken connection had brought over may be billed; aiohttp repeats only what changes nothing."""
    from aiohttp.client import IDEMPOTENT_METHODS

    assert "POST" not in IDEMPOTENT_METHODS
    assert Connections()._session is None  # noqa: SLF001  it opens nothing before it is asked


def test_where_all_servers_have_an_address_litellm_is_never_imported(tmp_path: Path):
    """It takes seconds and 190 MB of each worker."""
    file = tmp_path / "providers.yaml"
    file.write_text(
        "providers: {own: {kind: openai_compatible, model: m, base_url: 'http://127.0.0.1:9/v1'}}\n"
        "routing: {default: [own]}\n"
    )
    code = f"""
import asyncio, sys
from pathlib import Path
from llm.door import Door
from llm.settings import LlmSettings

async def main():
    door = Door.open(LlmSettings(providers_file=Path({str(file)!r})))
    door.lm("chat")
    await door.close()

asyncio.run(main())
assert "litellm" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=Path(__file__).parents[2])
