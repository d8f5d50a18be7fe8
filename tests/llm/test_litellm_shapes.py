"""What we rely on in LiteLLM beyond its documentation; a new version must still do it."""

import pytest
from dspy.lm15 import Message, Request

from llm.deployments import deployment_of
from llm.providers import Provider, Providers
from llm.quiet_litellm import imported
from llm.wire import StreamReader, usage_of
from tests.fixtures.model_server import ModelServer
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import QUIET, OpenDoor, asked

pytestmark = QUIET

litellm = imported()
from litellm.types.utils import ModelResponseStream, Usage  # noqa: E402  after the flags of its import


def chunk(delta=None, finish=None, usage=None):
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    made = ModelResponseStream(id="c", created=1, model="m", choices=choices)
    if usage is not None:
        made.usage = usage
    return made


def read(*chunks):
    reader = StreamReader(Request(model="millrace/chat", messages=(Message.user("x"),)), "openai/m")
    kinds = [event.type for one in chunks for event in reader.events(one)]
    reader.end(chunks)
    return reader, kinds


def test_a_streamed_tool_call_is_put_together():
    def piece(**function):
        return {"tool_calls": [{"index": 0, "type": "function", "function": function}]}

    first = piece(name="look", arguments="")
    first["tool_calls"][0]["id"] = "call-1"

    reader, kinds = read(
        chunk(first),
        chunk(piece(arguments='{"at": ')),
        chunk(piece(arguments="3}")),
        chunk(finish="tool_calls"),
    )

    (call,) = reader.response().tool_calls
    assert (call.id, call.name, call.input) == ("call-1", "look", {"at": 3})
    assert reader.response().finish_reason == "tool_call"
    assert kinds[0] == "start"


def test_streamed_thinking_stays_apart_from_the_answer():
    reader, _ = read(
        chunk({"reasoning_content": "let me see"}), chunk({"content": "well"}), chunk(finish="stop")
    )

    assert reader.response().text == "well"
    assert [part.type for part in reader.response().message.parts] == ["thinking", "text"]


def test_an_answer_that_was_cut_short_by_its_limit_says_so():
    reader, _ = read(chunk({"content": "and then"}), chunk(finish="length"))

    assert reader.response().finish_reason == "length"


def test_cached_tokens_are_read_from_litellms_own_words():
    details = {"cached_tokens": 60, "cache_creation_tokens": 10}
    found = usage_of(Usage(prompt_tokens=100, completion_tokens=5, prompt_tokens_details=details))

    assert (found.input_tokens, found.cache_read_tokens, found.cache_write_tokens) == (100, 60, 10)


def test_the_map_knows_a_famous_model_and_not_its_namesake():
    """A server of one's own that calls its model `gpt-5-mini` does not charge OpenAI's prices."""
    told = {
        "a": Provider(kind="openai", model="gpt-5-mini", key_name="A_KEY"),
        "b": Provider(kind="openai_compatible", model="gpt-5-mini", base_url="http://127.0.0.1:1/v1"),
    }
    famous, namesake = (deployment_of(name, Providers(providers=told)) for name in told)

    assert famous.price is not None
    assert "tools" in famous.supports
    assert namesake.price is None
    assert namesake.supports == frozenset()


async def test_a_model_of_the_map_is_priced_by_it(
    open_door: OpenDoor, server: ModelServer, calls, ledger: NotebookLedger
):
    door = await open_door("gpt-5-mini", kind="openai", cost=None)

    await door.lm("chat", calls).acall(request=asked())

    entry = litellm.model_cost["gpt-5-mini"]
    served = server.total()
    expected = (
        served.input_tokens * entry["input_cost_per_token"]
        + served.output_tokens * entry["output_cost_per_token"]
    )
    assert ledger.only.answer is not None
    assert float(ledger.only.answer.cost_usd or 0) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_long_prompt_is_priced_by_litellm_where_the_map_has_tiers(
    open_door: OpenDoor, calls, ledger: NotebookLedger, *, streamed: bool
):
    """From 272k tokens on this model costs twice as much; with the plain price the bill would be half."""
    model = next(
        name
        for name, entry in litellm.model_cost.items()
        if entry.get("litellm_provider") == "openai"
        and entry.get("mode") == "chat"
        and "input_cost_per_token_above_272k_tokens" in entry
    )
    door = await open_door(model, kind="openai", cost=None)
    engine = door.lm("chat", calls).engine.twin
    request = asked("word" * 300_000)

    if streamed:
        assert [event.type async for event in engine.stream(request)][-1] == "end"
    else:
        await engine.complete(request)

    entry = litellm.model_cost[model]
    answer = ledger.only.answer
    assert answer is not None
    assert answer.input_tokens == 300_000
    expected = (
        300_000 * entry["input_cost_per_token_above_272k_tokens"]
        + (answer.output_tokens or 0) * entry["output_cost_per_token_above_272k_tokens"]
    )
    assert float(answer.cost_usd or 0) == pytest.approx(expected, rel=1e-9)


async def test_litellm_makes_no_log_record_of_a_call_that_is_in_our_ledger(
    open_door: OpenDoor, calls, monkeypatch: pytest.MonkeyPatch
):
    """It took a third of a call's time, for callbacks that nobody registered, and held the whole prompt."""
    from litellm.litellm_core_utils import litellm_logging

    recorded = []

    def note(*_args: object, **_more: object) -> None:
        recorded.append("a record")

    monkeypatch.setattr(litellm_logging.Logging, "async_success_handler", note)
    monkeypatch.setattr(litellm_logging.Logging, "success_handler", note)
    door = await open_door("first")

    await door.lm("chat", calls).acall(request=asked())

    assert recorded == []


async def test_litellm_prices_its_own_callers_answers_and_not_ours(
    open_door: OpenDoor, server: ModelServer, calls, monkeypatch: pytest.MonkeyPatch
):
    """Its map was searched for each answer, for a number that nobody read."""
    from litellm.litellm_core_utils import litellm_logging

    priced, price = [], litellm_logging.Logging.response_cost_calculator

    def note(*told: object, **named: object) -> object:
        priced.append("an answer")
        return price(*told, **named)

    monkeypatch.setattr(litellm_logging.Logging, "response_cost_calculator", note)
    door = await open_door("first")

    await door.lm("chat", calls).acall(request=asked())
    assert priced == []

    said = [{"role": "user", "content": "to you"}]
    await litellm.acompletion("openai/gpt-5-mini", said, api_base=server.url, api_key="none", max_retries=0)
    assert priced != []


async def test_what_all_deployments_can_do_is_offered_to_dspy(open_door: OpenDoor):
    """A request that falls back must still be understood by the next deployment."""
    able = await open_door("first", supports=["tools", "json_schema"])
    plain = await open_door("first")

    assert able.lm("chat").supports_function_calling
    assert "response_format" in able.lm("chat").supported_params
    assert not plain.lm("chat").supports_function_calling
    assert "response_format" not in plain.lm("chat").supported_params
