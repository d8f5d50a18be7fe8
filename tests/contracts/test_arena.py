"""What the arena is asked, and what follows from verdicts."""

import pytest
from pydantic import ValidationError

from contracts.arena import ArenaParams, Choice, Contestant, Verdict, agreed, pairs_of, turned
from contracts.bradley_terry import Games
from contracts.rated_weights import weights_by_rating
from runtime.ids import new_id

FIRST, SECOND, TIE = Choice
TWO = [{"deployment": "gpt"}, {"deployment": "claude"}]


@pytest.mark.parametrize(
    ("there", "back", "verdict", "consistent"),
    [
        (FIRST, SECOND, Verdict.ONE, True),
        (SECOND, FIRST, Verdict.OTHER, True),
        (TIE, TIE, Verdict.TIE, True),
        (FIRST, FIRST, Verdict.TIE, False),
        (SECOND, SECOND, Verdict.TIE, False),
        (FIRST, TIE, Verdict.TIE, False),
        (TIE, FIRST, Verdict.TIE, False),
    ],
)
def test_a_judge_that_changes_its_mind_with_the_order_says_nothing(
    there: Choice, back: Choice, verdict: Verdict, consistent: bool
):
    assert agreed(there, back) == (verdict, consistent)


def test_contestants_have_names_that_say_what_they_are():
    named = [
        Contestant(deployment="gpt"),
        Contestant(program="support.sort", version=3),
        Contestant(program="support.sort", version=3, deployment="gpt"),
    ]

    assert [one.name for one in named] == ["gpt", "support.sort@3", "support.sort@3/gpt"]


def test_all_pairs_are_compared_or_some_by_chance_that_repeats():
    names = ["a", "b", "c", "d"]

    assert len(pairs_of(names, "x", None)) == 6
    some = pairs_of(names, "task 1", 2)
    assert len(some) == 2
    assert some == pairs_of(names, "task 1", 2)
    assert any(some != pairs_of(names, f"task {n}", 2) for n in range(2, 9))


def test_voters_see_either_order_and_always_the_same():
    match = new_id()
    orders = [turned(match, f"user:{n}") for n in range(200)]

    assert orders == [turned(match, f"user:{n}") for n in range(200)]
    assert 60 < sum(orders) < 140


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"contestants": [TWO[0], TWO[0]]}, "stands there twice"),
        ({"contestants": TWO[:1]}, "at least 2"),
        ({"contestants": [{}, TWO[0]]}, "name a deployment"),
        ({"contestants": [{"program": "support.sort"}, TWO[0]]}, "belong together"),
        ({"tasks": [{"input": ""}]}, "at least 1 character"),
        ({"tasks": [{"input": "?", "kind": "No Kind"}]}, "pattern"),
        (
            {
                "tasks": [{"input": "?"}] * 200,
                "contestants": [{"deployment": f"d{n}"} for n in range(16)],
            },
            "set matches_per_task",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(told: dict[str, object], why: str):
    with pytest.raises(ValidationError, match=why):
        ArenaParams.model_validate({"tasks": [{"input": "?"}], "contestants": TWO, **told})


def weights(*games: Games, needed: float = 30) -> dict[str, int] | None:
    return weights_by_rating(games, ["gpt", "claude", "new"], least=1, most=10, needed=needed)


def test_weights_follow_strength_within_their_bounds():
    found = weights(Games("gpt", "claude", wins=80, losses=40))

    assert found == {"gpt": 10, "claude": 5, "new": 1}  # odds of two to one; nothing is known of the last
    assert weights(Games("gpt", "claude", wins=500, losses=1)) == {"gpt": 10, "claude": 1, "new": 1}


def test_no_weights_are_moved_while_nobody_is_proven_to_be_the_strongest():
    assert weights(Games("gpt", "claude", wins=32, losses=30)) is None
    assert weights(Games("gpt", "claude", wins=5)) is None  # too few
    assert weights() is None
    assert weights(Games("gpt", "somebody", wins=90)) is None  # whom the file does not route to
