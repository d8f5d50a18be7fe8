"""The arena in the database: answers, matches, blind votes, ratings, and the weights that follow."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from contracts.arena import ArenaTask, Choice, Said, Verdict, turned
from contracts.routing import NewOverride
from contracts.runs import RunError
from database.engine import Database
from database.gateway.models import register_models
from database.gateway.overrides import end_rated, list_overrides, set_override, set_rated
from database.learning.arena import judge_match, keep_answers, leaderboard, match_counts, open_match
from database.learning.votes import list_matches, next_match, vote
from database.people.audit import Doer, list_entries
from runtime.errors import Conflict, NotFound
from runtime.ids import derived_id, new_id
from tests.database.test_models import entry

US = Doer("millrace", "local")
FAILED = Said(error=RunError(code="no_answer", message="nothing came"))


async def read(database: Database, query: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    async with database.read() as session:
        return await query(session, *args, **kwargs)


def said(text: str, cost: str | None = "0.002", ms: float = 100) -> Said:
    return Said(answer=text, cost_usd=None if cost is None else Decimal(cost), latency_ms=ms)


async def played(
    database: Database,
    one: Said,
    other: Said,
    verdict: Verdict | None = None,
    *,
    owner: str = "local",
    kind: str = "general",
    run_id: UUID | None = None,
    number: int = 0,
) -> UUID:
    """Let `gpt` and `claude` answer a task, and let the judge say what it thinks."""
    run_id, task = run_id or new_id(), ArenaTask(input="What?", reference="This.", kind=kind)
    answers = {"gpt": one, "claude": other}
    for _ in range(2):  # a step may run twice
        ids = await database.write(keep_answers, owner, run_id, number, task, answers)
    task_id = derived_id(run_id, f"task {number}")
    match_id = derived_id(task_id, "match")
    pair = (("gpt", ids["gpt"], one), ("claude", ids["claude"], other))
    for _ in range(2):
        plain = await database.write(
            open_match, owner, run_id, task, match_id=match_id, task_id=task_id, pair=pair
        )
    if plain is None and verdict is not None:
        for _ in range(2):
            await database.write(judge_match, match_id, verdict, consistent=True)
    return match_id


async def test_ratings_follow_the_judges_verdicts(database: Database):
    run_id = new_id()
    for number in range(4):
        verdict = Verdict.TIE if number == 3 else Verdict.ONE
        await played(database, said("a", ms=50), said("b", None), verdict, run_id=run_id, number=number)

    board = await read(database, leaderboard, "local")

    gpt, claude = board.items
    assert (board.matches, board.compared, board.kinds) == (4, 4, ["general"])
    assert (gpt.contestant, gpt.wins, gpt.losses, gpt.ties) == ("gpt", 3, 0, 1)
    assert gpt.low < gpt.points < gpt.high
    assert gpt.points + claude.points == pytest.approx(2000)
    assert (gpt.cost_usd, gpt.latency_ms, gpt.answers) == (Decimal("0.002"), 50, 4)
    assert (claude.cost_usd, claude.failures) == (None, 0)
    assert await read(database, match_counts, "local", run_id) == {
        "judged": 4,
        "ties": 1,
        "inconsistent": 0,
    }


async def test_who_does_not_answer_loses_and_equal_answers_are_a_tie(database: Database):
    await played(database, FAILED, said("b"))
    await played(database, said("same"), said("same"))
    await played(database, FAILED, FAILED)

    board = await read(database, leaderboard, "local")

    claude, gpt = board.items
    assert (claude.contestant, claude.wins, claude.ties) == ("claude", 1, 1)
    assert (board.matches, gpt.failures, claude.failures) == (2, 2, 1)
    with pytest.raises(NotFound) as nothing:
        await read(database, next_match, "local", "user:ada")
    assert nothing.value.code == "no_match_left"


async def test_a_vote_is_blind_counted_once_and_reveals_who_was_who(database: Database):
    match_id = await played(database, said("a"), said("b"), Verdict.ONE)
    voter = "user:ada"
    blind = await read(database, next_match, "local", voter)
    texts = ("b", "a") if turned(match_id, voter) else ("a", "b")
    assert (blind.id, blind.input, blind.reference) == (match_id, "What?", "This.")
    assert (blind.first, blind.second) == texts
    assert "gpt" not in blind.model_dump_json()
    (hidden,) = (await read(database, list_matches, "local", voter)).items
    assert (hidden.voted, hidden.one, hidden.verdict) == (False, None, None)

    choice = Choice.FIRST if blind.first == "a" else Choice.SECOND
    seen = await database.write(vote, "local", match_id, voter, choice)

    sides = {seen.first.contestant: blind.first, seen.second.contestant: blind.second}
    assert sides == {"gpt": "a", "claude": "b"}
    assert seen.judge is choice
    with pytest.raises(Conflict) as again:
        await database.write(vote, "local", match_id, voter, Choice.TIE)
    assert again.value.code == "already_voted"
    (shown,) = (await read(database, list_matches, "local", voter)).items
    assert (shown.voted, shown.votes, shown.one.contestant, shown.verdict) == (True, 1, "gpt", "one")
    with pytest.raises(NotFound):
        await read(database, next_match, "local", voter)
    assert (await read(database, next_match, "local", "user:uma")).id == match_id
    people = await read(database, leaderboard, "local", by="people")
    assert [(one.contestant, one.wins) for one in people.items] == [("gpt", 1), ("claude", 0)]
    assert (await read(database, leaderboard, "local")).compared == 2


async def test_a_match_counts_once_however_many_vote_on_it(database: Database):
    """The judge and two people say so, one the opposite: three quarters of a win, and not three."""
    disputed = await played(database, said("a"), said("b"), Verdict.ONE)
    await played(database, said("a"), said("b"), Verdict.OTHER, number=1)
    for voter, wanted in (("user:ada", "a"), ("user:uma", "a"), ("user:otto", "b")):
        first = "b" if turned(disputed, voter) else "a"
        await database.write(
            vote, "local", disputed, voter, Choice.FIRST if first == wanted else Choice.SECOND
        )

    boards = {by: await read(database, leaderboard, "local", by=by) for by in ("all", "judge", "people")}

    counts = {
        by: {one.contestant: (one.wins, one.losses) for one in board.items} for by, board in boards.items()
    }
    assert counts["all"] == {"gpt": (0.75, 1.25), "claude": (1.25, 0.75)}
    assert counts["judge"] == {"gpt": (1, 1), "claude": (1, 1)}
    assert counts["people"] == {"gpt": (0.667, 0.333), "claude": (0.333, 0.667)}
    assert [boards[by].compared for by in ("all", "judge", "people")] == [5, 2, 3]


async def test_each_kind_of_task_has_its_own_ratings(database: Database):
    await played(database, said("a"), said("b"), Verdict.ONE, kind="maths")
    await played(database, said("a"), said("b"), Verdict.OTHER, kind="prose")

    leaders = {
        kind: (await read(database, leaderboard, "local", kind=kind)).items[0].contestant
        for kind in ("maths", "prose")
    }

    assert leaders == {"maths": "gpt", "prose": "claude"}
    assert (await read(database, leaderboard, "local")).kinds == ["maths", "prose"]


async def test_matches_come_page_by_page_and_are_their_owners(database: Database):
    for _ in range(5):
        await played(database, said("a"), said("b"))
    other = await played(database, said("a"), said("b"), owner="user:eve")

    seen, cursor = [], None
    while True:
        page = await read(database, list_matches, "local", "user:ada", limit=2, cursor=cursor)
        seen += [one.id for one in page.items]
        if (cursor := page.next_cursor) is None:
            break

    assert len(seen) == len(set(seen)) == 5
    assert other not in seen
    with pytest.raises(NotFound):
        await database.write(vote, "local", other, "user:ada", Choice.TIE)


async def test_the_match_with_the_fewest_votes_comes_next(database: Database):
    first, second = [await played(database, said("a"), said("b")) for _ in range(2)]
    await database.write(vote, "local", first, "user:uma", Choice.TIE)

    assert (await read(database, next_match, "local", "user:ada")).id == second


async def test_ratings_weigh_a_role_and_give_it_back_with_a_line_in_the_audit_log_each(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    for _ in range(2):
        await database.write(set_rated, "chat", {"gpt": 10, "claude": 3}, about="general", by=US)
    (holding,) = await read(database, list_overrides)
    assert (holding.source, holding.weights) == ("arena", {"gpt": 10, "claude": 3})

    assert [await database.write(end_rated, "chat", by=US, why="over") for _ in range(2)] == [True, False]

    lines = (await read(database, list_entries, target="role:chat")).items
    assert [line.action for line in lines] == ["routing.restored", "routing.overridden"]
    assert lines[0].detail == {"why": "over"}


async def test_ratings_never_touch_what_a_person_has_decided(database: Database):
    await database.write(register_models, [entry(), entry("claude")])
    await database.write(set_override, "chat", NewOverride(ask=["claude"]), by=Doer("user:ada", "local"))

    assert not await database.write(set_rated, "chat", {"gpt": 10, "claude": 3}, about=None, by=US)
    assert not await database.write(end_rated, "chat", by=US, why="over")

    (holding,) = await read(database, list_overrides)
    assert holding.ask == ["claude"]
