"""Examples: their splits, their near-duplicates, how they are read, and what is masked in them."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.example_texts import input_hash, read_examples, split_of
from contracts.examples import Example, ExampleImport, ExampleOrigin, Split
from contracts.near_duplicates import ALIKE, jaccard, near_duplicates, shingles
from contracts.programs import ProgramDetail
from runtime.clock import utcnow
from runtime.errors import BadInput, ConfigurationProblem
from runtime.ids import new_id
from runtime.personal import mask_all, mask_named, masked, unmasked
from tests.fixtures.made_programs import NAME, SIGNATURE
from tests.fixtures.project_files import ROOT

PROGRAM = ProgramDetail(
    name=NAME,
    title="Sort",
    role="analyst",
    signature=SIGNATURE,
    signature_fingerprint="0" * 64,
    inputs={"message": True, "hint": False},
    expects=["label"],
)


def example(message: str, split: Split) -> Example:
    return Example(
        id=new_id(),
        program=NAME,
        inputs={"message": message},
        expected={"label": "billing"},
        split=split,
        origin=ExampleOrigin.IMPORT,
        input_hash=input_hash({"message": message}),
        created_at=utcnow(),
    )


def line(message: object, label: object = "billing") -> str:
    return json.dumps({"inputs": {"message": message}, "expected": {"label": label}})


def read(content: str, form: str = "jsonl") -> list:
    return read_examples(ExampleImport(format=form, content=content), PROGRAM)


def test_an_example_keeps_its_split_whatever_comes_after_it():
    assert split_of(input_hash({"message": "a", "hint": "b"})) == split_of(
        input_hash({"hint": "b", "message": "a"})
    )
    counts = Counter(split_of(input_hash({"message": f"message {n}"})) for n in range(5_000))
    assert counts[Split.TRAIN] / 5_000 == pytest.approx(0.6, abs=0.03)
    assert counts[Split.TEST] / 5_000 == pytest.approx(0.2, abs=0.03)


def test_the_shipped_examples_fit_their_program_and_fill_every_split():
    content = (ROOT / "modules/examples/support_messages.jsonl").read_text()
    found = [json.loads(each) for each in content.splitlines()]
    counts = Counter(split_of(input_hash(each["inputs"])) for each in found)
    assert len(found) == 120
    assert min(counts.values()) >= 15, counts


def test_every_bad_line_is_named_and_nothing_is_taken():
    content = "\n".join(
        [
            line("fine"),
            "no json",
            line("wrong label", "weather"),
            '{"inputs": {}, "expected": {"label": "billing"}}',
            '{"inputs": {"message": "x", "mood": 1}, "expected": {"label": "billing"}}',
            '{"inputs": {"message": "x"}, "expected": {}}',
            '{"inputs": {"message": "x"}, "expected": {"topic": "y"}}',
            '{"inputs": {"message": NaN}, "expected": {"label": "billing"}}',
            '{"message": "x"}',
            "[]",
            '{"inputs": {"message": null}, "expected": {"label": "billing"}}',
            '{"inputs": {"message": " "}, "expected": {"label": "billing"}}',
            '{"inputs": {"message": "x"}, "expected": {"label": ""}}',
        ]
    )
    with pytest.raises(BadInput, match="Nothing was stored") as caught:
        read(content)
    told = {one["field"]: one["message"] for one in caught.value.detail["errors"]}
    assert set(told) == {f"line {number}" for number in range(2, 14)}
    assert told["line 3"] == 'label must be one of billing, shipping, not "weather"'
    assert told["line 4"] == "the input message is missing"
    assert "has no input mood" in told["line 5"]
    assert told["line 6"] == "what is expected is missing: label"
    assert told["line 11"] == told["line 12"] == "the input message is empty"
    assert told["line 13"] == 'label must be one of billing, shipping, not ""'


def test_csv_is_read_by_its_header():
    (first, second) = read('message,label\n"Charged twice, again",billing\nLost parcel,shipping\n', "csv")
    assert (first.inputs, first.expected) == ({"message": "Charged twice, again"}, {"label": "billing"})
    assert second.expected == {"label": "shipping"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text,label\nx,billing\n", "line 1 the header names text"),
        ("message,label\nx,billing,more\n", "line 2 has 3 columns"),
        ("message,label\nx,weather\n", "line 2 label must be one of"),
        ('message,label\n"open,billing\n', "is not CSV"),
        ("message,label\n", "there is no example"),
    ],
)
def test_bad_csv_is_refused_with_its_line(content, told):
    with pytest.raises(BadInput) as caught:
        read(content, "csv")
    assert told in caught.value.message


TEXT = "my parcel is late and the courier never came to our house so please refund it now"
WORDS = TEXT.split()


def test_almost_the_same_text_in_two_splits_is_found():
    train, test = example(TEXT, Split.TRAIN), example(f"{TEXT.upper()}!!!", Split.TEST)
    other = example("an invoice with a wrong amount on it", Split.TEST)
    (found,) = near_duplicates([other, test, train])
    assert (found.example_id, found.like, found.similarity) == (test.id, train.id, 1.0)
    assert near_duplicates([example(TEXT, Split.TRAIN), example(f"{TEXT}!", Split.TRAIN)]) == []


@given(st.integers(0, 10_000))
def test_no_near_duplicate_is_overlooked(seed):
    """The index finds what comparing all with all finds."""
    dice = random.Random(seed)
    texts = []
    for _ in range(30):
        words = list(WORDS) if not texts or dice.random() < 0.5 else dice.choice(texts).split()
        for _ in range(dice.randrange(3)):
            words[dice.randrange(len(words))] = dice.choice("abcdef")
        texts.append(" ".join(words))
    made = [example(text, dice.choice(list(Split))) for text in texts]
    order = [Split.TRAIN, Split.VALIDATION, Split.TEST]
    expected = {
        one.id
        for one in made
        for other in made
        if order.index(other.split) < order.index(one.split)
        and jaccard(shingles(one.inputs), shingles(other.inputs)) >= ALIKE
    }
    assert {one.example_id for one in near_duplicates(made)} == expected


def test_personal_data_and_keys_are_masked():
    text = "I am ada@example.org, call +49 30 1234567, card 4111 1111 1111 1111, key sk-abcdef123456789"
    found = masked(text)
    assert "ada@" not in found
    assert "1234567" not in found
    assert "4111" not in found
    assert "sk-abc" not in found
    assert masked("Order 4711 of 12 May came 3 days late, 15 euros") == (
        "Order 4711 of 12 May came 3 days late, 15 euros"
    )
    assert mask_all({"a": ["x@y.org", 1, None]}, masked) == {"a": ["[email]", 1, None]}


def test_the_mask_is_chosen_by_its_path():
    assert mask_named("runtime.personal:unmasked") is unmasked
    for wrong in ("runtime.personal", "runtime.personal:nothing", "no.such:function", ""):
        with pytest.raises(ConfigurationProblem, match="EXAMPLES_MASK"):
            mask_named(wrong)
