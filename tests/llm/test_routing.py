"""Who is asked for which request."""

from collections import Counter

import pytest
from dspy.lm15 import Message, Request

from contracts.calls import CallRequest
from llm.language import language_of
from llm.providers import Providers
from llm.routing import Hints, drawn, hints_for, order_of

OWN = {"kind": "openai_compatible", "model": "m", "base_url": "http://127.0.0.1:1/v1"}


def told(routing: object, **providers: object) -> Providers:
    """A file with deployments a to d, some of them changed."""
    listed = {name: OWN | dict(providers.get(name, {})) for name in "abcd"}
    return Providers.model_validate({"providers": listed, "routing": routing})


def asking(text: str = "hello", system: str | None = None) -> Request:
    return Request(model="x", messages=(Message.user(text),), system=system)


def order(providers: Providers, request: Request | None = None, hints: Hints | None = None) -> str:
    return "".join(order_of(providers, "chat", request or asking(), hints or Hints()))


def test_a_list_is_the_order_and_who_is_disabled_is_left_out():
    assert order(told({"default": ["c", "a", "b"]}, a={"enabled": False})) == "cb"


def test_a_role_without_a_line_asks_who_names_it_and_only_then_the_default():
    assert order(told({"default": ["d"]}, a={"roles": ["chat"]}, b={"roles": ["judge", "chat"]})) == "ab"
    assert order(told({"default": ["d"], "chat": ["c"]}, a={"roles": ["chat"]})) == "c"


def test_weights_share_the_calls_out_and_keep_the_others_as_stand_ins():
    weights = {"a": 3, "b": 1, "c": 0 + 1}
    firsts = Counter(drawn(weights, number / 1000)[0] for number in range(1000))

    assert firsts == {"a": 600, "b": 200, "c": 200}
    assert drawn(weights, 0.99) == ("c", "a", "b")
    assert set(drawn(weights, None)) == {"a", "b", "c"}


def test_a_call_that_is_made_again_is_drawn_the_same_way():
    """A retry must not move to another model by chance."""
    mark = "7f" * 32

    assert hints_for(called("answer#1", mark)) == hints_for(called("answer#1", mark))
    assert 0 <= (hints_for(called("answer#1", mark)).draw or 0) < 1
    tasks = {hints_for(called(step, mark)).task for step in ("analyse_part[3]", "analyse_part#2")}
    assert tasks == {"analyse_part"}


def called(step: str, mark: str) -> CallRequest:
    return CallRequest(step=step, n=0, fingerprint=mark, kind="model", role="chat", request={})


RULES = {
    "chat": {
        "ask": ["a"],
        "when": [
            {"longer_than": 1000, "ask": ["b"]},
            {"language": ["de", "fr"], "shorter_than": 500, "ask": ["c", "a"]},
            {"task": "summarise", "ask": ["d"]},
        ],
    }
}


@pytest.mark.parametrize(
    ("text", "task", "expected"),
    [
        ("What is the capital of France?", None, "a"),
        ("word " * 1000, None, "b"),
        ("Was ist die Hauptstadt von Frankreich und wie ist sie?", None, "ca"),
        ("Quel est le nom de la ville et des gens qui sont dans la ville ?", None, "ca"),
        ("Was ist die Hauptstadt und wie ist sie? " * 60, None, "a"),
        ("What is the capital of France?", "summarise", "d"),
    ],
)
def test_the_first_rule_whose_conditions_all_hold_decides(text: str, task: str | None, expected: str):
    assert order(told(RULES), asking(text), Hints(task=task)) == expected


def test_instructions_count_for_the_size_and_not_for_the_language():
    """DSPy writes English around people's words, and long instructions into the system text."""
    wrapped = (
        "[[ ## question ## ]]\nWas ist der Preis und wie hoch ist er?\n\nRespond with the corresponding"
        " output fields, starting with the field `[[ ## answer ## ]]`, and then ending with the marker."
    )

    assert order(told(RULES), asking(wrapped, system="You are a helper that is in the world.")) == "ca"
    assert order(told(RULES), asking("hello", system="word " * 1000)) == "b"


def test_a_rule_that_names_only_disabled_deployments_leaves_nobody():
    """Falling through to the next rule would send a German question where nobody wanted it."""
    providers = told({"chat": {"ask": ["a"], "when": [{"task": "x", "ask": ["b"]}]}}, b={"enabled": False})

    assert order(providers, hints=Hints(task="x")) == ""
    assert providers.chain("chat") == ("a",)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Vertrag ist nicht gültig, und wir werden ihn auch nicht zahlen.", "de"),
        ("The contract is not valid and we will not pay for it.", "en"),
        ("El contrato no es válido y no vamos a pagar por él como se dice.", "es"),
        ("Le contrat n'est pas valable et nous ne paierons pas pour cette chose.", "fr"),
        ("Il contratto non è valido e non pagheremo per questo anche con la legge.", "it"),
        ("Het contract is niet geldig en wij betalen er ook niet voor.", "nl"),
        ("O contrato não é válido e não vamos pagar por isso, mas você sabe como.", "pt"),
        ("Договор недействителен, и мы не будем платить.", "ru"),
        ("Договір недійсний, \u0456 ми не будемо за нього платити, її немає.", "uk"),
        ("契約は無効です。", "ja"),
        ("合同无效。", "zh"),
        ("계약은 무효입니다.", "ko"),
        ("العقد غير صالح", "ar"),
        ("ok", None),
        ("", None),
        ("12345 67890", None),
    ],
)
def test_a_language_is_told_by_its_script_or_its_smallest_words(text: str, language: str | None):
    assert language_of(text) == language
