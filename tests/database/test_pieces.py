"""Long texts are cut where their words say so: exact when joined, and mostly the same after a change."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.columns import storable
from database.journal.pieces import cut, join, split

HEADS, TAILS = ("ri", "sto", "lea", "ga", "no"), ("ver", "ne", "se", "te")
WORDS = [head + tail for head in HEADS for tail in TAILS]
# The marks that texts are cut at, and what is hard to keep: signs of several bytes, half a surrogate pair.
HALF_A_PAIR = "\ud83d"
MARKS = [
    "a",
    " ",
    ". ",
    "\n",
    "\\n",
    "]]",
    "},",
    '"',
    "😀",
    "。",
    "é",
    "[[ ## answer ## ]]",
    "\x00",
    HALF_A_PAIR,
]
any_text = st.builds("".join, st.lists(st.sampled_from(MARKS) | st.text(max_size=300), max_size=200))


def prose(seed: int, chars: int) -> str:
    """Return some sentences; the same seed gives the same ones."""
    chance, said = random.Random(seed), ""
    while len(said) < chars:
        said += " ".join(chance.choices(WORDS, k=chance.randint(4, 14))).capitalize() + ". "
    return said


def said(role: str, text: str) -> dict:
    return {"role": role, "parts": [{"type": "text", "text": text}]}


def prompt(turns: list[tuple[str, str]]) -> str:
    """Return the request of a chat's next turn as DSPy renders it, its last message still unanswered."""
    messages = []
    for asked, answered in turns:
        messages.append(said("user", f"[[ ## message ## ]]\n{asked}\n\nRespond with the fields."))
        messages.append(said("assistant", f"[[ ## answer ## ]]\n{answered}\n\n[[ ## completed ## ]]\n"))
    return json.dumps({"messages": messages[:-1], "system": prose(0, 1500)}, separators=(",", ":"))


@given(any_text)
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back_to_the_letter(text):
    root, blobs = split(text)
    assert join(root, blobs) == storable(text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "a. " * 50_000, "ü" * 300_000, "'\"\\" * 100_000, "word\n" * 40_000],
    ids=["nothing", "one letter", "one sentence for ever", "no end", "quotes", "one line for ever"],
)
def test_texts_without_rhyme_or_reason_come_back_as_well(text):
    root, blobs = split(text)
    assert join(root, blobs) == text


def test_the_same_text_has_the_same_root_in_every_process():
    assert split(prose(7, 20_000))[0] == "rSmewJyzuUaCXAUZ2CCle6CqGhioEZq6zaqmUCybHhU"


def test_a_turn_of_a_long_chat_adds_its_own_words_and_a_few_branches():
    """Fifty turns long or a hundred and fifty: what is new is the new message, and never the history."""
    turns = [(prose(2 * n, 200), prose(2 * n + 1, 800)) for n in range(160)]
    known: set[str] = set()
    added = {}
    for number in range(1, 160):
        _root, blobs = split(prompt(turns[:number]))
        new = [blob for name, blob in blobs.items() if name not in known]
        known |= blobs.keys()
        added[number] = sum(len(blob.content) for blob in new)
    early, late = [sum(added[n] for n in some) / 40 for some in (range(20, 60), range(119, 159))]
    assert late < 1.5 * early
    assert late < 6 * 1000


def test_a_chat_that_forgets_its_oldest_messages_stays_as_small():
    """The window over the history slides, so the beginning of each prompt is another one."""
    turns = [(prose(2 * n, 200), prose(2 * n + 1, 800)) for n in range(120)]
    known: set[str] = set()
    words, references = [], []
    for number in range(40, 120):
        _root, blobs = split(prompt(turns[number - 40 : number]))
        new = [blob for name, blob in blobs.items() if name not in known]
        words.append(sum(len(blob.content) for blob in new if not blob.is_node))
        references.append(sum(len(blob.content) for blob in new if blob.is_node))
        known |= blobs.keys()
    # A message of 230 characters, as the last one and as an earlier one, an answer of 830, and their marks.
    assert sum(words[1:]) / len(words[1:]) < 2100
    assert sum(references[1:]) / len(references[1:]) < 3000


def test_a_change_in_the_middle_leaves_the_pieces_around_it():
    before, text = cut(prose(1, 60_000)), prose(1, 60_000)
    after = cut(text[:30_000] + "Something else entirely. " + text[30_000:])
    assert len(set(after) - set(before)) <= 3


def test_a_piece_and_a_node_of_the_same_letters_are_two_things():
    root, blobs = split(prose(3, 5000))
    as_text, _ = split(blobs[root].content)
    assert blobs[root].is_node
    assert as_text != root
