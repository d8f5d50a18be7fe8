"""The guard: what may share an answer, and what must not however alike it looks."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.semantic.guard import LONGEST, differences, form, same

DATA = Path(__file__).parents[3] / "benchmarks" / "data"


def pairs(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


NEAR_MISSES = pairs("near_misses")
PARAPHRASES = pairs("paraphrases")


def named(pair: dict[str, str]) -> str:
    return f"{pair['kind']}: {pair['one']}"


@pytest.mark.parametrize("pair", NEAR_MISSES, ids=named)
def test_a_near_miss_shares_no_answer(pair: dict[str, str]):
    assert differences(pair["one"], pair["other"])
    assert differences(pair["other"], pair["one"])


def test_the_pairs_are_many_of_many_kinds_and_each_is_there_once():
    assert len(NEAR_MISSES) >= 200
    assert len(PARAPHRASES) >= 100
    assert len({pair["kind"] for pair in NEAR_MISSES}) >= 15
    for told in (NEAR_MISSES, PARAPHRASES):
        assert len({frozenset((pair["one"], pair["other"])) for pair in told}) == len(told)


def test_most_paraphrases_may_share_an_answer():
    """A guard that lets nothing pass is safe and useless."""
    found = sum(same(pair["one"], pair["other"]) for pair in PARAPHRASES)

    assert found / len(PARAPHRASES) > 0.7


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("Is it allowed?", "Is it not allowed?", "negation"),
        ("Is the plan possible?", "Is the plan impossible?", "negation"),
        ("Boil 2 eggs", "Boil 3 eggs", "number"),
        ("Is 5 km far?", "Is 5 miles far?", "unit"),
        ("What is the weather in Rome?", "What is the weather in Oslo?", "name"),
        ("Is it open on 2 May 2024?", "Is it open on 3 May 2024?", "date"),
        ("Is the shop open today?", "Is the shop open tomorrow?", "date"),
        ("When did it burn?", "Where did it burn?", "question"),
        ("Is this better?", "Is this worse?", "comparison"),
        ("Delete all files", "Delete some files", "quantity"),
        ("Is he here?", "Was he here?", "tense"),
        ("Can I swim here?", "Must I swim here?", "modality"),
        ("What is my name?", "What is your name?", "person"),
        ("What does `a` do?", "What does `b` do?", "quotation"),
        ("Is A before B?", "Is B before A?", "order"),
        ("Wo ist der Hund und die Katze?", "Where is the dog and the cat?", "language"),
        ("How do I sell shares?", "How do I buy shares?", "words"),
    ],
)
def test_it_says_in_what_two_questions_differ(one: str, other: str, kind: str):
    assert kind in differences(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What's the capital of France?", "what is the capital of france"),
        ("What is France's capital?", "What is the capital of France?"),
        ("twenty-one days", "21 days"),
        ("on July 4th, 1776", "on 4 July 1776"),
        ("at 5 p.m.", "at 17:00"),
        ("It costs $5", "It costs 5 dollars"),
        ("How do I cook rice?", "Hello! Could you please tell me how to cook rice? Thanks."),
        ("In Python, how do I sort a list?", "How do I sort a list in Python?"),
    ],
)
def test_wording_does_not_matter(one: str, other: str):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hund beißt Mann", "Mann beißt Hund"),
        ("¿Es un perro?", "¿Es el perro?"),
        ("犬は猫を追いますか", "猫は犬を追いますか"),
        ("Где дом?", "Где дым?"),
    ],
)
def test_of_another_language_every_word_counts(one: str, other: str):
    """What may be left out is known for English only: a Spanish `a` is no article."""
    assert not same(one, other)


@pytest.mark.parametrize("text", ["", " ", "?", "...", "\x00", "🙂", "'", "``` ```", "a" * 5000, "5" * 400])
def test_odd_texts_are_judged_too(text: str):
    assert same(text, text)
    assert not same(text, f"{text} not so")


def test_a_document_is_no_question():
    long = "word " * LONGEST
    assert differences(long, f"{long}more") == ("length",)


@given(st.text(max_size=200))
def test_a_text_is_the_same_as_itself(text: str):
    assert same(text, text)
    assert same(text, f" {text}\n")


@given(st.sampled_from(NEAR_MISSES + PARAPHRASES), st.sampled_from(NEAR_MISSES + PARAPHRASES))
def test_it_says_the_same_whichever_comes_first(here: dict[str, str], there: dict[str, str]):
    assert same(here["one"], there["other"]) == same(there["other"], here["one"])


SIGNS = [
    "what",
    "is",
    "the",
    "not",
    "5",
    "km",
    "a",
    "to",
    "from",
    ".",
    "?",
    ",",
    "'",
    '"',
    "`",
    "Paris",
    "it's",
]


@given(st.lists(st.sampled_from(SIGNS), max_size=12))
def test_to_share_an_answer_is_to_have_one_form(words: list[str]):
    """So that a search can look for the form instead of comparing every pair."""
    text = " ".join(words)
    assert same(text, text.upper()) == (form(text) == form(text.upper()))
