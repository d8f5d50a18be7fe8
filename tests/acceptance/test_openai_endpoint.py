"""The official OpenAI client against a whole stack: worker, Prefect, ledger and a real provider behind it."""

import openai
import pytest

from tests.fixtures.stack import PATIENCE, Stack

pytestmark = [pytest.mark.stack, pytest.mark.one_database, pytest.mark.timeout(900)]

ASKED = [{"role": "user", "content": "Lease lasts 15 seconds. How long does a lease last?"}]


def client(stack: Stack) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack.api_url}/v1", api_key="any", timeout=PATIENCE)


def test_a_role_behind_a_provider_answers_and_the_bill_is_what_the_provider_counted(stack: Stack) -> None:
    with client(stack) as gpt:
        answer = gpt.chat.completions.create(model="judge", messages=ASKED, max_tokens=64)

    calls = stack.get(f"/api/v1/runs/{answer.id.removeprefix('chatcmpl-')}/calls")["items"]
    assert answer.choices[0].message.content
    assert [call["deployment"] for call in calls] == ["loopback"]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        calls[0]["input_tokens"],
        calls[0]["output_tokens"],
    )


@pytest.mark.parametrize("model", ["chat", "judge", "chat_turn"])
def test_a_stream_says_what_the_whole_answer_says(stack: Stack, model: str) -> None:
    with client(stack) as gpt:
        whole = gpt.chat.completions.create(model=model, messages=ASKED).choices[0].message.content
        chunks = list(gpt.chat.completions.create(model=model, messages=ASKED, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_messages_that_are_none_are_the_clients_error(stack: Stack) -> None:
    with client(stack) as gpt, pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model="chat", messages=[{"role": "nobody", "content": 7}])

    assert caught.value.code == "bad_messages"
