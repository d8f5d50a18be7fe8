"""What goes out passes the screen first, in passages and whole; what cannot be screened goes to nobody."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import pytest

from contracts.analysis import Report
from flows.durable.run import Run, enter_run
from flows.screening import LONG_CHARS, passage_end, screened, screened_model, screened_pieces
from runtime.errors import ConfigurationProblem, MillraceError
from runtime.screening import screen_named

SCREENS = "tests.fixtures.screens"


@pytest.fixture(autouse=True)
async def _inside_a_run() -> None:
    # Asynchronous: what it sets ends with the test's own context.
    nothing: Any = object()
    enter_run(Run(uuid4(), 1, "local", "chat_turn", nothing, nothing, nothing, nothing))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch):
    def named(name: str, seconds: str = "60") -> None:
        monkeypatch.setenv("SCREEN_ANSWERS", f"{SCREENS}:{name}")
        monkeypatch.setenv("SCREEN_SECONDS", seconds)

    return named


async def told(*pieces: Any) -> AsyncGenerator[Any]:
    for piece in pieces:
        yield piece


async def test_without_a_screen_every_piece_passes_at_once():
    assert [each async for each in screened_pieces(told("a", "b", 7))] == ["a", "b", 7]
    assert await screened("a") == "a"


async def test_a_stream_is_told_in_screened_passages(screen: Any):
    screen("shouting")
    pieces = told("one ", "line\ntwo ", "lines\n", "and the rest", 7)

    assert [each async for each in screened_pieces(pieces)] == [
        "ONE LINE\n",
        "TWO LINES\n",
        "AND THE REST",
        7,
    ]


async def test_a_word_that_a_stream_cuts_in_two_is_seen_whole(screen: Any):
    """The pieces of a model end anywhere."""
    screen("strict")
    passed = screened_pieces(told("good\n", "for", "bid", "den\n", "more"))
    heard = [await anext(passed)]
    with pytest.raises(MillraceError) as withheld:
        await anext(passed)

    assert heard == ["good\n"]
    assert (withheld.value.code, withheld.value.retryable) == ("answer_withheld", False)


@pytest.mark.parametrize("name", ["broken", "forgetful", "silent"])
async def test_what_cannot_be_screened_goes_to_nobody(screen: Any, name: str):
    screen(name, "0.2")
    with pytest.raises(MillraceError) as failed:
        await screened("my secret answer")

    assert (failed.value.code, failed.value.retryable) == ("screening_failed", True)
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None


async def test_every_text_of_a_report_is_screened(screen: Any):
    screen("shouting")
    report = Report(answer="a", key_points=["b"], gaps=["c"], confidence=0.5)
    shown = await screened_model(report)

    assert (shown.answer, shown.key_points, shown.gaps, shown.confidence) == ("A", ["B"], ["C"], 0.5)


def test_passages_end_with_lines_and_long_ones_with_sentences_or_words():
    sentence = "It is so. " + "x" * LONG_CHARS

    assert passage_end("no end yet. ") == 0
    assert passage_end("a line\nand more") == len("a line\n")
    assert passage_end(sentence) == len("It is so. ")
    assert passage_end("word " * LONG_CHARS + "wo") == 5 * LONG_CHARS
    assert passage_end("x" * LONG_CHARS) == LONG_CHARS


@pytest.mark.parametrize("path", ["nowhere:screen", "tests.fixtures.screens:nothing", "no_colon", ":"])
def test_a_screen_that_is_not_there_is_told_at_the_start(path: str):
    with pytest.raises(ConfigurationProblem, match="SCREEN_ANSWERS"):
        screen_named(path)
