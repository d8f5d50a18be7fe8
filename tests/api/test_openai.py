"""OpenAI's API over HTTP, asked by its official client; the worker's side is played by a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import openai
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import SecretStr

from api.app import create_app
from api.settings import ApiSettings
from contracts.completion import RoleName
from contracts.runs import EventKind, RunError, RunStatus
from database.engine import Database
from database.queue.events import append_events
from database.queue.leases import finish_run
from database.queue.runs import get_run, list_runs
from database.settings import DatabaseSettings
from llm.providers import ROLES
from runtime.clock import utcnow
from tests.api.conftest import served
from tests.api.people import Town
from tests.api.worker import begin, say, succeed

ASKED = [{"role": "user", "content": "What is a lease?"}]
ANSWERED = {"text": "A lease lasts 15 s.", "tool_calls": [], "finish_reason": "stop", "models": ["offline"]}


@pytest.fixture
async def gpt(app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client, as a program would make it; it retries nothing, so that a test sees what came."""
    async with (
        served(app) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=60) as client,
    ):
        yield client


def test_the_roles_are_those_of_the_providers_file():
    """The API knows them by its own list, because it must not import the models."""
    assert get_args(RoleName) == ROLES


async def test_names_are_roles_and_pipelines(gpt: openai.AsyncOpenAI):
    names = [model.id async for model in await gpt.models.list()]

    assert names == [*ROLES, "chat_turn", "chat_turn:careful", "analysis"]
    assert (await gpt.models.retrieve("chat")).owned_by == "millrace"
    with pytest.raises(openai.NotFoundError) as caught:
        await gpt.models.retrieve("gpt-5")
    assert caught.value.code == "model_not_found"


@pytest.fixture
async def clerk(client: AsyncClient) -> dict[str, Any]:
    says = {"name": "clerk", "instructions": "Name the clause.", "mode": "careful"}
    return (await client.post("/api/v1/agents", json=says)).json()


async def test_an_agent_is_a_model_name(gpt: openai.AsyncOpenAI, store: Database, clerk: dict[str, Any]):
    assert [model.id async for model in await gpt.models.list()][-1] == "clerk"
    for name in ("clerk", "agent:clerk", f"agent:{clerk['id']}"):
        assert (await gpt.models.retrieve(name)).owned_by == "agents"
        asking = asyncio.create_task(gpt.chat.completions.create(model=name, messages=ASKED))
        claimed = await begin(store)
        assert (claimed.pipeline, str(claimed.agent_id)) == ("chat_turn", clerk["id"])
        assert (claimed.params["message"], claimed.params["mode"]) == (ASKED[0]["content"], "careful")
        result = {"chat_id": str(claimed.id), "message_id": str(claimed.id), "answer": "Clause 4."}
        await succeed(store, claimed, result)
        answer = await asking
        assert (answer.choices[0].message.content, answer.model) == ("Clause 4.", name)


async def test_an_agent_streams_its_answer(gpt: openai.AsyncOpenAI, store: Database, clerk: dict[str, Any]):
    stream = await gpt.chat.completions.create(model="clerk", messages=ASKED, stream=True)
    claimed = await begin(store)
    assert str(claimed.agent_id) == clerk["id"]
    await say(store, claimed.id, "Clause ", "4.")
    result = {"chat_id": str(claimed.id), "message_id": str(claimed.id), "answer": "Clause 4."}
    await succeed(store, claimed, result)
    words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(words) == "Clause 4."


async def test_no_agent_hides_a_role_or_a_pipeline(client: AsyncClient, clerk: dict[str, Any]):
    """Who can make an agent could otherwise answer in the place of a role."""
    for name in (*ROLES, "chat_turn", "analysis", "optimize"):
        made = await client.post("/api/v1/agents", json={"name": name, "instructions": "x"})
        renamed = await client.patch(f"/api/v1/agents/{clerk['id']}", json={"name": name})
        for answer in (made, renamed):
            assert (answer.status_code, answer.json()["code"]) == (409, "agent_name_taken"), name


async def test_the_agent_of_another_is_no_model(town: Town):
    """Not by its name, and not by its id."""
    uma, otto = town["uma"], town["otto"]
    agent = (await uma.post("/agents", {"name": "clerk", "instructions": "x"})).json()
    secret = await otto.key("models:use", "models:read")
    for name in ("clerk", "agent:clerk", f"agent:{agent['id']}"):
        body = {"model": name, "messages": ASKED}
        for answer in (
            await town.client.post("/v1/chat/completions", json=body, headers=bearer(secret)),
            await town.client.get(f"/v1/models/{name}", headers=bearer(secret)),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_a_role_answers_with_what_was_sent_to_it(gpt: openai.AsyncOpenAI, store: Database):
    asking = asyncio.create_task(
        gpt.chat.completions.create(
            model="judge", messages=ASKED, temperature=0.5, max_tokens=50, stop="\n\n", user="somebody"
        )
    )
    claimed = await begin(store)
    assert claimed.pipeline == "completion"
    assert claimed.params == {
        "role": "judge",
        "messages": ASKED,
        "temperature": 0.5,
        "top_p": None,
        "max_tokens": 50,
        "stop": ["\n\n"],
        "seed": None,
        "response_format": None,
        "tools": [],
        "tool_choice": None,
    }
    await succeed(store, claimed, ANSWERED)

    answer = await asking

    assert answer.choices[0].message.content == "A lease lasts 15 s."
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "judge")
    assert answer.id == f"chatcmpl-{claimed.id}"
    assert answer.usage is not None
    async with store.read() as session:
        assert (await get_run(session, "local", claimed.id)).status is RunStatus.SUCCEEDED


async def test_a_stream_shows_the_words_as_they_are_written(gpt: openai.AsyncOpenAI, store: Database):
    stream = await gpt.chat.completions.create(
        model="chat", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    claimed = await begin(store)
    pieces = []
    await say(store, claimed.id, "A lease ")
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
        if pieces == ["A lease "]:  # it came before the answer was over
            await say(store, claimed.id, "lasts ")
            await succeed(store, claimed, ANSWERED)

    assert "".join(pieces) == "A lease lasts 15 s."
    assert chunk.usage is not None


async def tried_again(store: Database, run_id: Any, *words: str) -> None:
    started = (EventKind.STEP, {"step": "complete#1", "status": "started", "tries": 2}, utcnow())
    await store.write(append_events, run_id, None, [started])
    await say(store, run_id, *words)


async def test_a_step_that_is_tried_again_repeats_no_word(gpt: openai.AsyncOpenAI, store: Database):
    stream = await gpt.chat.completions.create(model="chat", messages=ASKED, stream=True)
    claimed = await begin(store)
    await say(store, claimed.id, "A lease ", "lasts ")
    await tried_again(store, claimed.id, "A ", "lease ", "lasts ", "15 s.")
    await succeed(store, claimed, ANSWERED)

    words = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(words) == "A lease lasts 15 s."


async def test_an_answer_that_was_begun_otherwise_is_not_patched_together(
    gpt: openai.AsyncOpenAI, store: Database
):
    stream = await gpt.chat.completions.create(model="chat", messages=ASKED, stream=True)
    claimed = await begin(store)
    await say(store, claimed.id, "The answer ")
    await tried_again(store, claimed.id, "A lease lasts 15 s.")
    await succeed(store, claimed, ANSWERED)

    with pytest.raises(openai.APIError, match="begun anew"):
        _ = [chunk async for chunk in stream]


async def test_tool_calls_come_back_in_openais_shape(gpt: openai.AsyncOpenAI, store: Database):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    result = {"text": None, "tool_calls": [call], "finish_reason": "tool_calls", "models": ["gpt"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    asking = asyncio.create_task(gpt.chat.completions.create(model="chat", messages=ASKED, tools=[tool]))
    claimed = await begin(store)
    assert claimed.params["tools"] == [tool]
    await succeed(store, claimed, result)

    choice = (await asking).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.arguments == '{"city": "Ulm"}'


FAILURES = [
    ("context_too_long", False, openai.BadRequestError),
    ("model_rate_limited", True, openai.RateLimitError),
    ("model_unavailable", True, openai.InternalServerError),
    ("unparsable_answer", False, openai.InternalServerError),
]


@pytest.mark.parametrize(("code", "retryable", "kind"), FAILURES)
async def test_a_failed_run_is_the_error_that_the_client_knows(
    gpt: openai.AsyncOpenAI, store: Database, code: str, retryable: bool, kind: type[openai.APIStatusError]
):
    asking = asyncio.create_task(gpt.chat.completions.create(model="chat", messages=ASKED))
    claimed = await begin(store)
    error = RunError(code=code, message="It did not work.", retryable=retryable)
    await store.write(finish_run, claimed.id, claimed.attempt, RunStatus.FAILED, None, error)

    with pytest.raises(kind) as caught:
        await asking

    assert caught.value.code == code
    assert str(claimed.id) in str(caught.value)


async def test_a_failed_run_ends_its_stream_with_an_error(gpt: openai.AsyncOpenAI, store: Database):
    stream = await gpt.chat.completions.create(model="chat", messages=ASKED, stream=True)
    claimed = await begin(store)
    error = RunError(code="model_unavailable", message="It did not work.", retryable=True)
    await store.write(finish_run, claimed.id, claimed.attempt, RunStatus.FAILED, None, error)

    with pytest.raises(openai.APIError, match="did not work"):
        _ = [chunk async for chunk in stream]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n": 3}, "n: "),
        ({"logprobs": True}, "logprobs"),
        ({"messages": []}, "messages"),
        ({"temperature": 9}, "temperature"),
        ({"model": "analysis"}, "reads documents"),
        ({"model": "chat_turn", "messages": [{"role": "assistant", "content": "x"}]}, "must be the user's"),
    ],
)
async def test_what_would_mean_something_else_is_refused(
    gpt: openai.AsyncOpenAI, changed: dict[str, Any], words: str
):
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await gpt.chat.completions.create(**{"model": "chat", "messages": ASKED, **changed})

    assert words in str(caught.value)
    assert caught.value.code == "invalid_parameters"


async def test_the_chat_pipeline_answers_the_last_message_with_the_earlier_ones_as_context(
    gpt: openai.AsyncOpenAI, store: Database
):
    said = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "I am Ada."}, *ASKED]
    stream = await gpt.chat.completions.create(model="chat_turn:careful", messages=said, stream=True)
    claimed = await begin(store)

    assert claimed.pipeline == "chat_turn"
    assert (claimed.params["message"], claimed.params["mode"]) == ("What is a lease?", "careful")
    assert claimed.params["context"] == "Instructions: Be short.\n\nUser: I am Ada."
    await stream.close()


async def test_documents_are_analysed(gpt: openai.AsyncOpenAI, store: Database):
    said = [{"role": "user", "content": [{"type": "text", "text": "A lease lasts 15 s."}]}, *ASKED]
    stream = await gpt.chat.completions.create(model="analysis", messages=said, stream=True)
    claimed = await begin(store, "batch")

    assert claimed.params["question"] == "What is a lease?"
    assert claimed.params["sources"][0]["text"] == "A lease lasts 15 s."
    await stream.close()


async def test_a_repeated_request_under_one_key_is_one_run(gpt: openai.AsyncOpenAI, store: Database):
    keyed = {"Idempotency-Key": "order-1"}
    first = asyncio.create_task(
        gpt.chat.completions.create(model="chat", messages=ASKED, extra_headers=keyed)
    )
    await succeed(store, await begin(store), ANSWERED)

    again = await gpt.chat.completions.create(model="chat", messages=ASKED, extra_headers=keyed)

    assert again.id == (await first).id


@asynccontextmanager
async def hasty(url: str, answers: float, completions: float) -> AsyncIterator[tuple[Any, Database]]:
    """The official client as it comes, retries and all, at a server that waits so many seconds."""
    settings = ApiSettings(api_answer_seconds=answers, api_completion_seconds=completions)
    app = create_app(settings, DatabaseSettings(database_url=SecretStr(url)))
    async with (
        app.router.lifespan_context(app),
        served(app) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="any", timeout=60) as client,
    ):
        yield client, app.state.resources.database


async def test_an_answer_that_is_late_tells_its_run_and_is_not_asked_for_twice(store_url: str):
    """It was cut off by the time that all answers have, told no run, and the client paid for two more."""
    async with hasty(store_url, answers=3, completions=4) as (client, store):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="chat", messages=ASKED)
        async with store.read() as session:
            (run,) = (await list_runs(session, "local")).items

    headers = caught.value.response.headers
    assert (caught.value.status_code, caught.value.code) == (504, "answer_late")
    assert str(run.id) in str(caught.value)
    assert (headers["Millrace-Run"], headers["X-Should-Retry"]) == (str(run.id), "false")


async def test_who_names_the_request_may_ask_for_a_late_answer_again(store_url: str):
    """Under one key all tries are one run."""
    keyed = {"Idempotency-Key": "order-1"}
    async with hasty(store_url, answers=60, completions=0.2) as (client, store):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="chat", messages=ASKED, extra_headers=keyed)
        async with store.read() as session:
            assert len((await list_runs(session, "local")).items) == 1

    assert "X-Should-Retry" not in caught.value.response.headers
    assert caught.value.response.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(("retryable", "told"), [(True, "true"), (False, "false")])
async def test_a_run_that_failed_for_good_is_not_begun_again_by_the_client(
    gpt: openai.AsyncOpenAI, store: Database, retryable: bool, told: str
):
    asking = asyncio.create_task(gpt.chat.completions.create(model="chat", messages=ASKED))
    claimed = await begin(store)
    error = RunError(code="model_unavailable", message="It did not work.", retryable=retryable)
    await store.write(finish_run, claimed.id, claimed.attempt, RunStatus.FAILED, None, error)
    with pytest.raises(openai.InternalServerError) as caught:
        await asking

    assert caught.value.response.headers["X-Should-Retry"] == told
