"""Secrets in texts that come in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import masking
from runtime.masking import GONE, masked, remember
from runtime.stream_masking import StreamMask

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(masking, "_known", {})


def streamed(*pieces: str) -> list[str]:
    """Return what is told after each piece, and at the end."""
    mask = StreamMask()
    return [*(mask.feed(piece) for piece in pieces), mask.rest()]


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_secret_that_is_cut_in_two_anywhere_is_taken_out(cut: int):
    remember(SECRET)

    assert "".join(streamed(f"it is {SECRET[:cut]}", f"{SECRET[cut:]}, keep it")) == f"it is {GONE}, keep it"


def test_one_letter_at_a_time():
    remember(SECRET)

    assert "".join(streamed(*f"<{SECRET}{SECRET}>")) == f"<{GONE}{GONE}>"


def test_text_that_begins_no_secret_passes_at_once():
    """A person reads along: nothing waits that need not."""
    remember(SECRET)

    assert streamed("the door ", "is red", " or cor", "ny") == ["the door ", "is red", " or ", "corny", ""]


def test_what_only_began_like_a_secret_is_told_at_the_end():
    remember(SECRET)

    assert streamed("it is correct-horse") == ["it is ", "correct-horse"]


def test_a_secret_that_begins_with_another_one_leaves_no_rest():
    remember("abcdefgh")
    remember("abcdefgh-ijkl")

    assert masked("x abcdefgh-ijkl y") == f"x {GONE} y"
    assert "".join(streamed("x abcdefgh", "-ijkl y")) == f"x {GONE} y"
    assert "".join(streamed("x abcdefgh", " y")) == f"x {GONE} y"


@given(
    secrets=st.lists(st.text("ab-", min_size=8, max_size=12), min_size=1, max_size=4),
    words=st.lists(st.text("ab-", max_size=9), max_size=6),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=30),
)
def test_no_secret_leaves_in_whatever_pieces_it_comes(secrets: list[str], words: list[str], cuts: list[int]):
    masking._known.clear()  # noqa: SLF001  each example has its own secrets
    for secret in secrets:
        remember(secret)
    text = "".join(part for word, secret in zip(words, secrets * 6, strict=False) for part in (word, secret))
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(text[at : at + cut])
        at += cut

    told = "".join(streamed(*pieces, text[at:]))

    assert all(secret not in told for secret in secrets)
