"""Calls through the door to a real HTTP endpoint: answers, replays, money, and who is asked next."""

import asyncio
import json
from decimal import Decimal

import dspy
import pytest

from llm.errors import ModelError, translate
from llm.ledger import StepCalls
from tests.fixtures.model_server import ModelServer, tokens
from tests.fixtures.notebook_ledger import NotebookLedger
from tests.llm.conftest import KEY, QUIET, SOON, OpenDoor, asked

pytestmark = QUIET


async def test_an_answer_is_journaled_once_with_its_exact_cost(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """The receipt of a run is the sum of these rows: drift per call is money that nobody can explain."""
    door = await open_door("first")

    response = await door.lm("chat", calls).acall(request=asked())

    assert response.text == "good answer to you"
    answer = ledger.only.answer
    assert answer is not None
    assert (answer.deployment, answer.model) == ("first", "first-served")
    served = server.stats["first"]
    assert (answer.input_tokens, answer.output_tokens) == (served.input_tokens, served.output_tokens)
    expected = (served.input_tokens * Decimal("0.15") + served.output_tokens * Decimal("0.6")) / 1_000_000
    assert answer.cost_usd == expected
    assert answer.latency_ms > 0
    assert calls.deployments == {"first"}
    assert served.requests == 1


async def test_the_key_is_sent_to_its_server(open_door: OpenDoor, server: ModelServer):
    door = await open_door("first")

    await door.lm("chat").acall(request=asked())

    assert server.keys == [f"Bearer {KEY}"]


async def test_a_server_that_wants_no_key_gets_none_of_ours(
    open_door: OpenDoor, server: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    """LiteLLM would send the OPENAI_API_KEY of the environment to any OpenAI-shaped address."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else-123456")
    door = await open_door("first", key_name=None)

    await door.lm("chat").acall(request=asked())

    assert server.keys == ["Bearer no-key-needed"]


async def test_a_key_that_was_rotated_is_used_without_a_restart(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, monkeypatch: pytest.MonkeyPatch
):
    """The old key is refused from one moment to the next; runs in flight must not fail for it."""
    door = await open_door("first")
    await door.lm("chat").acall(request=asked("before"))
    rotated = "sk-rotated-1234567890abcdef"
    monkeypatch.setenv("LOOPBACK_KEY", rotated)
    server.fail("*", "status", status=401)

    await door.lm("chat", calls).acall(request=asked("after"))

    assert server.keys == [f"Bearer {KEY}", f"Bearer {KEY}", f"Bearer {rotated}"]


async def test_a_key_that_is_wrong_is_not_tried_twice(open_door: OpenDoor, server: ModelServer):
    server.fail("*", "status", status=401, times=0)
    door = await open_door("first")

    with pytest.raises(dspy.LMError):
        await door.lm("chat").acall(request=asked())

    assert server.total().requests == 1


async def test_a_secret_that_stands_in_a_prompt_or_in_an_answer_is_not_in_the_ledger(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """A document may quote our key, and a model may repeat it."""
    server.behaviour["*"].text = f"you said {KEY}"
    door = await open_door("first")
    await door.lm("chat").acall(request=asked())  # a process knows a secret from its first use on

    await door.lm("chat", calls).acall(request=asked(f"my key is {KEY}"))

    assert ledger.only.answer is not None
    assert KEY not in json.dumps([ledger.only.call.request, ledger.only.answer.response])


async def test_a_step_that_is_repeated_is_answered_by_the_ledger(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    """Killing a step and running it again must not pay twice."""
    door = await open_door("first")
    first = await door.lm("chat", StepCalls(ledger, "answer")).acall(request=asked())
    server.fail("*", "status", times=0)

    again = await door.lm("chat", StepCalls(ledger, "answer")).acall(request=asked())

    assert again.text == first.text
    assert again.usage == first.usage
    assert ledger.only.replays == 1
    assert server.total().requests == 1


async def test_two_identical_calls_are_two_calls_and_come_back_in_their_order(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    """Best-of-N asks the same thing N times and wants N answers, the same N after a restart."""
    door = await open_door("first")
    lm = door.lm("chat", StepCalls(ledger, "answer"))
    said = []
    for text in ("one answer", "another answer"):
        server.behaviour["*"].text = text
        said.append((await lm.acall(request=asked())).text)

    lm = door.lm("chat", StepCalls(ledger, "answer"))
    again = [(await lm.acall(request=asked())).text for _ in range(2)]

    assert said == ["one answer", "another answer"]
    assert again == said
    assert server.total().requests == 2


async def test_another_step_does_not_take_the_answer(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    door = await open_door("first")

    for step in ("draft", "check"):
        await door.lm("chat", StepCalls(ledger, step)).acall(request=asked())

    assert server.total().requests == 2
    assert len(ledger.rows) == 2


async def test_without_a_journal_calls_are_made_directly(open_door: OpenDoor, server: ModelServer):
    door = await open_door("first")
    lm = door.lm("chat")

    for _ in range(2):
        await lm.acall(request=asked())

    assert server.total().requests == 2


async def test_a_synchronous_program_in_a_thread_uses_the_same_door(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger
):
    """Optimizers are synchronous and run in threads; their calls cost money like all others."""
    door = await open_door("first")
    lm = door.lm("chat", calls)

    response = await asyncio.to_thread(lambda: lm(request=asked()))

    assert response.text == "good answer to you"
    assert ledger.statuses == ["succeeded"]


async def test_a_program_in_another_event_loop_uses_the_same_door(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger
):
    door = await open_door("first")
    lm = door.lm("chat", calls)

    response = await asyncio.to_thread(lambda: asyncio.run(lm.acall(request=asked())))

    assert response.text == "good answer to you"
    assert ledger.statuses == ["succeeded"]


async def test_a_synchronous_call_on_the_loop_is_refused_instead_of_hanging(open_door: OpenDoor):
    door = await open_door("first")

    with pytest.raises(dspy.LMError) as caught:
        door.lm("chat")(request=asked())

    assert translate(caught.value).code == "sync_call_on_loop"


async def test_a_program_of_dspy_finds_its_fields(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    server.behaviour["*"].text = "[[ ## answer ## ]]\nforty-two\n\n[[ ## completed ## ]]"
    door = await open_door("first")

    with dspy.context(lm=door.lm("chat", calls), disable_history=True, trace=None):
        prediction = await dspy.Predict("question -> answer").acall(question="How many?")

    assert prediction.answer == "forty-two"
    assert ledger.statuses == ["succeeded"]


async def test_when_the_first_deployment_fails_the_next_one_answers_and_is_billed(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """The ledger must name who really answered, or the bill is compared with the wrong provider."""
    server.fail("first", "status", status=500)
    door = await open_door("first", "second")

    await door.lm("chat", calls).acall(request=asked())

    assert ledger.only.answer is not None
    assert ledger.only.answer.deployment == "second"
    assert calls.deployments == {"second"}
    assert server.stats["first"].requests == server.stats["second"].requests == 1


@pytest.mark.parametrize("kind", ["truncated", "malformed", "html", "hang"])
async def test_an_answer_that_is_none_is_asked_of_the_next(
    open_door: OpenDoor, server: ModelServer, kind: str
):
    server.fail("first", kind)
    door = await open_door("first", "second", policies=SOON if kind == "hang" else None)

    response = await door.lm("chat").acall(request=asked())

    assert response.text == "good answer to you"


async def test_a_refused_request_is_not_carried_to_the_next_provider(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """What one provider refuses as such is a mistake of ours; sending it around hides it and costs twice."""
    server.fail("first", "status", status=400, code="bad_parameter")
    door = await open_door("first", "second")

    error = await failing(door.lm("chat", calls))

    assert (error.code, error.retryable) == ("model_refused", False)
    assert error.detail["provider_code"] == "bad_parameter"
    assert server.stats["second"].requests == 0
    assert ledger.statuses == ["failed"]


async def test_a_failing_deployment_is_left_alone_for_a_while(open_door: OpenDoor, server: ModelServer):
    server.fail("first", "status", times=0)
    door = await open_door("first", "second", policies={"allowed_fails": 1, "cooldown_seconds": 60})
    lm = door.lm("chat")

    for place in range(4):
        await lm.acall(request=asked(f"question {place}"))

    assert server.stats["first"].requests == 2
    assert server.stats["second"].requests == 4
    health = await door.health()
    assert [one.role for one in health] == ["chat", "analyst", "judge", "reflector"]
    assert all(one.ready and 0 < one.cooling_down["first"] <= 60 for one in health)


async def test_a_model_without_a_price_has_no_cost_rather_than_none_to_pay(
    open_door: OpenDoor, calls: StepCalls, ledger: NotebookLedger
):
    door = await open_door("first", cost=None)

    await door.lm("chat", calls).acall(request=asked())

    assert ledger.only.answer is not None
    assert ledger.only.answer.cost_usd is None


async def test_an_answer_without_token_counts_has_no_cost(
    open_door: OpenDoor, server: ModelServer, calls: StepCalls, ledger: NotebookLedger
):
    """LiteLLM fills in zeros where a server reports nothing, and zero tokens cost nothing."""
    server.fail("first", "no_usage")
    door = await open_door("first")

    await door.lm("chat", calls).acall(request=asked())

    answer = ledger.only.answer
    assert answer is not None
    assert (answer.input_tokens, answer.output_tokens, answer.cost_usd) == (None, None, None)


async def test_calls_above_the_limit_wait_their_turn(open_door: OpenDoor, server: ModelServer):
    """LiteLLM's own limit rejects; ours queues, so that a wide fan-out only takes longer."""
    server.behaviour["*"].latency_ms = 20
    door = await open_door("first")
    lm = door.lm("chat")

    answers = await asyncio.gather(*(lm.acall(request=asked(str(place))) for place in range(40)))

    assert len(answers) == 40
    assert server.stats["first"].answers == 40


async def test_the_books_agree_with_what_the_server_says_it_served(
    open_door: OpenDoor, server: ModelServer, ledger: NotebookLedger
):
    """Random faults must not make us forget or invent a paid answer."""
    server.fail("first", "status", status=500, times=0, rate=0.3)
    server.fail("first", "truncated", times=0, rate=0.2)
    door = await open_door("first", "second", policies={"allowed_fails": 1000})
    lm = door.lm("chat", StepCalls(ledger, "storm"))

    answers = await asyncio.gather(
        *(lm.acall(request=asked(f"question {place}")) for place in range(60)), return_exceptions=True
    )

    assert not [answer for answer in answers if isinstance(answer, BaseException)]
    found = [row.answer for row in ledger.rows.values() if row.answer is not None]
    assert sum(answer.output_tokens or 0 for answer in found) == server.total().output_tokens
    assert sum(answer.input_tokens or 0 for answer in found) == server.total().input_tokens
    assert server.stats["first"].faults > 0


async def test_settings_of_the_deployment_fill_what_the_request_leaves_open(
    open_door: OpenDoor, server: ModelServer
):
    door = await open_door("first", max_tokens=77, temperature=0.3)
    lm = door.lm("chat")

    await lm.acall(request=asked())
    await lm.acall("hello", max_tokens=5)

    assert [(body["max_tokens"], body["temperature"]) for body in server.bodies] == [(77, 0.3), (5, 0.3)]
    assert tokens("good answer to you") > 0


async def failing(lm: dspy.LM) -> ModelError:
    """Return our error of a call that must fail."""
    with pytest.raises(dspy.LMError) as caught:
        await lm.acall(request=asked())
    error = translate(caught.value)
    assert isinstance(error, ModelError)
    return error


async def test_a_deployment_at_its_limit_is_not_waited_for_while_another_is_free(
    open_door: OpenDoor, server: ModelServer
):
    server.behaviour["*"].latency_ms = 200
    door = await open_door("first", "second", limits={"concurrency": 1})
    lm = door.lm("chat")

    await asyncio.gather(*(lm.acall(request=asked(f"question {place}")) for place in range(4)))

    assert (server.stats["first"].answers, server.stats["second"].answers) == (2, 2)


async def test_how_many_others_are_asked_can_be_bounded(open_door: OpenDoor, server: ModelServer):
    server.fail("*", "status", status=500, times=0)
    door = await open_door("first", "second", "third", policies={"fallbacks": 1})

    with pytest.raises(dspy.LMError):
        await door.lm("chat").acall(request=asked())

    assert {name: one.requests for name, one in server.stats.items()} == {"first": 1, "second": 1}


async def test_a_role_of_which_all_rest_says_who_rests_for_how_long_and_asks_nobody(
    open_door: OpenDoor, server: ModelServer
):
    """A run can wait for the first of them; another try would only fail again."""
    server.fail("*", "status", status=500, times=0)
    door = await open_door("first", "second", policies={"allowed_fails": 0, "cooldown_seconds": 60})
    for _ in range(2):
        with pytest.raises(dspy.LMError) as caught:
            await door.lm("chat").acall(request=asked())

    error = translate(caught.value)
    assert (error.code, error.retryable) == ("model_role_down", True)
    assert error.detail["role"] == "chat"
    assert error.detail["deployments"] == {"first": "model_cooling_down", "second": "model_cooling_down"}
    assert 0 < error.detail["retry_after"] <= 60
    assert server.total().requests == 2


async def test_money_of_the_day_that_is_spent_stops_further_calls(open_door: OpenDoor, server: ModelServer):
    door = await open_door("first", limits={"usd_per_day": "0.0001"}, cost=DEAR)
    await door.lm("chat").acall(request=asked("one"))

    with pytest.raises(dspy.LMError) as caught:
        await door.lm("chat").acall(request=asked("two"))

    error = translate(caught.value)
    assert error.detail["deployments"] == {"first": "model_over_budget"}
    assert 0 < error.detail["retry_after"] <= 86_400
    assert server.total().requests == 1


DEAR = {"input_per_million": 100, "output_per_million": 100}
