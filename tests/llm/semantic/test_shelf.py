"""Kept questions in memory: found by what they mean, within their scope, in bounded room."""

import numpy as np
import pytest

from contracts.cache import KeptQuestion
from llm.semantic import shelf as shelves
from llm.semantic.shelf import Shelf, Shelves
from llm.semantic.vectors import WordHashes, hashed, read, unit

HERE, THERE = "a" * 64, "b" * 64


def kept(text: str, scope: str = HERE, key: str = "", vector: bytes | None = None) -> KeptQuestion:
    return KeptQuestion(key or text, "ada", "chat", scope, text, vector or unit(hashed(text)))


def test_the_same_question_in_other_words_is_found():
    shelf = Shelf(10)
    for text in ("What is the capital of Peru?", "What is the capital of Chile?", "How do I cook rice?"):
        shelf.add(kept(text))

    found = shelf.nearest(HERE, "what's the capital of Chile", unit(hashed("What is the capital of Chile")))

    assert found is not None
    assert found[0].text == "What is the capital of Chile?"
    assert 0.9 < found[1] <= 1.001


def test_another_scope_is_another_world():
    """The tenant is in it."""
    shelf = Shelf(10)
    shelf.add(kept("What is it?", THERE))

    assert shelf.nearest(HERE, "What is it?", unit(hashed("What is it?"))) is None
    assert not shelf.likely(HERE, "What is it?")
    assert shelf.likely(THERE, "what is it")


def test_the_nearest_that_the_guard_refuses_is_not_found_but_seen():
    shelf = Shelf(10)
    shelf.add(kept("Is it allowed?", vector=unit([1, 0])))

    assert shelf.nearest(HERE, "Is it not allowed?", unit([1, 0.01])) is None
    assert shelf.nearest_of_all(HERE, unit([1, 0.01])) > 0.99
    assert shelf.nearest_of_all(THERE, unit([1, 0.01])) == -1


def test_the_longest_unused_makes_room():
    shelf = Shelf(3)
    for text in ("one", "two", "three"):
        shelf.add(kept(text))
    shelf.nearest(HERE, "one", unit(hashed("one")))

    shelf.add(kept("four"))

    assert len(shelf) == 3
    assert [shelf.likely(HERE, text) for text in ("one", "two", "three", "four")] == [True, False, True, True]


def test_what_is_removed_is_not_found_and_the_others_still_are():
    shelf = Shelf(100)
    for text in ("one", "two", "three"):
        shelf.add(kept(text))

    shelf.remove("one")
    shelf.remove("one")

    assert [shelf.likely(HERE, text) for text in ("one", "two", "three")] == [False, True, True]
    found = shelf.nearest(HERE, "three", unit(hashed("three")))
    assert found is not None
    assert found[0].key == "three"


def test_another_embedder_begins_anew():
    shelf = Shelf(10)
    shelf.add(kept("one", vector=unit([1, 0])))
    shelf.add(kept("two", vector=unit([1, 0, 0])))

    assert (shelf.likely(HERE, "one"), shelf.likely(HERE, "two")) == (False, True)
    assert shelf.nearest(HERE, "two", unit([1, 0])) is None


def test_what_others_kept_is_heard_once_and_only_of_the_same_embedder():
    shelf = Shelf(10)
    mine, theirs = kept("one", vector=unit([1, 0])), kept("two", vector=unit([0, 1]))
    shelf.add(mine)

    shelf.hear([kept("old", vector=unit([1, 0, 0])), mine, theirs])
    shelf.hear([theirs])

    assert len(shelf) == 2
    fresh = Shelf(10)
    fresh.hear([kept("old", vector=unit([1, 0, 0])), mine])
    assert [fresh.likely(HERE, text) for text in ("old", "one")] == [False, True]


def test_many_rows_are_searched_as_one_by_one():
    chance = np.random.default_rng(7)
    shelf, rows = Shelf(5_000), chance.normal(size=(1_000, 16))
    for number, row in enumerate(rows):
        shelf.add(kept("the same words", key=str(number), vector=unit(list(row))))
    asked = rows[123] + 0.05

    found = shelf.nearest(HERE, "the same words", unit(list(asked)))

    alike = rows @ asked / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))
    assert found is not None
    assert found[0].key == str(int(alike.argmax()))
    assert found[1] == pytest.approx(float(alike.max()), abs=1e-5)


def test_shelves_have_room_for_so_many_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shelves, "MOST_BYTES", 2 * 64 * 512 * 4)
    many = Shelves()
    for owner in ("ada", "bob", "eve"):
        many.of(owner, "chat", 100).add(kept("one"))

    assert [owner for owner, _, _ in many.all()] == ["bob", "eve"]


async def test_the_vectors_without_a_key_are_the_same_everywhere_and_say_what_they_are():
    found = await WordHashes().embed("What is a lease?")

    assert (found.deployment, found.model, found.cost_usd) == ("offline", "millrace-offline-words-1", 0)
    assert found.data == (await WordHashes().embed("What is a lease?")).data
    assert np.linalg.norm(read(found.data)) == pytest.approx(1, abs=1e-5)
    assert (await WordHashes().embed("")).data


@pytest.mark.parametrize("values", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_vector_without_a_direction_is_refused(values: list[float]):
    with pytest.raises(ValueError, match="direction"):
        unit(values)
