"""Uses of kept answers for other questions: kept for the judge, and removed when they were wrong."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from contracts.cache import CacheCounts, KeptQuestion, Reuse
from contracts.examples import NewFeedback
from database.engine import Database
from database.gateway.cache import cache_statistics, clear_cache, find_answer, tell_cache, tidy_cache
from database.gateway.reuses import (
    Judged,
    list_reuses,
    newest_questions,
    owners_waiting,
    pending_reuses,
    questions_since,
    reviewed_today,
    settle_reuses,
    wrong_since,
)
from database.journal.calls import commit_call, reserve_call
from database.learning.feedback import give_run_feedback
from runtime.clock import utcnow
from runtime.personal import unmasked
from tests.database.test_cache import answer
from tests.fixtures.made_runs import ANSWER, CALL, claimed

KEY = "k1".ljust(64, "0")
VECTOR = bytes(range(16))


def question(key: str = KEY, owner: str = "ada", text: str = "What is ünïque? 🙂") -> KeptQuestion:
    return KeptQuestion(key, owner, "chat", "f" * 64, text, VECTOR)


def reuse(owner: str = "ada", fresh: str | None = "Lima!") -> Reuse:
    return Reuse(owner, "chat", KEY, "Lima?", "What is Lima?", "Lima.", fresh, 0.97)


async def kept(database: Database, owner: str = "ada", uses: int = 1) -> None:
    """Keep an answer with its question, and uses of it."""
    await database.write(
        tell_cache, [answer(owner=owner)], {}, {}, [question(owner=owner)], [reuse(owner)] * uses
    )


async def pending(database: Database, owner: str = "ada"):
    async with database.read() as session:
        return await pending_reuses(session, owner, "chat", 100)


async def role(database: Database, owner: str = "ada"):
    async with database.read() as session:
        return (await cache_statistics(session, owner)).roles[0]


async def test_a_question_comes_back_as_it_was_to_its_owner(database: Database):
    since = utcnow() - timedelta(seconds=5)
    await kept(database)

    async with database.read() as session:
        assert await newest_questions(session, "ada", "chat", 10) == [question()]
        assert await newest_questions(session, "uma", "chat", 10) == []
        assert await questions_since(session, since, ["ada"]) == [question()]
        assert await questions_since(session, since, ["uma"]) == []
        assert await questions_since(session, utcnow() + timedelta(seconds=5), ["ada"]) == []


async def test_an_answer_goes_with_its_question(database: Database):
    """For want of room, by age, and when its owner wants it."""
    for remove in ("room", "age", "owner"):
        await database.write(
            tell_cache, [answer(seconds=-1 if remove == "age" else 60)], {}, {}, [question()]
        )
        if remove == "owner":
            await database.write(clear_cache, "ada")
        else:
            await database.write(tidy_cache, 10 if remove == "room" else 10_000)
        async with database.read() as session:
            assert await newest_questions(session, "ada", "chat", 10) == [], remove


async def test_room_is_made_for_as_many_bytes_as_it_takes(database: Database):
    """Not five hundred a minute: a burst would grow for hours."""
    many = [replace(answer(), key=f"{number:064x}", size=10) for number in range(1200)]
    await database.write(tell_cache, many, {}, {})

    assert await database.write(tidy_cache, 1000) == 1100


async def test_what_the_judge_says_is_counted_once_and_wrong_answers_go(database: Database):
    await kept(database, uses=3)
    first, second, third = await pending(database)
    judged = [
        Judged(first.id, "same", Decimal("0.01")),
        Judged(second.id, "different", Decimal("0.02")),
        Judged(third.id, "different", Decimal("0.02")),
    ]

    assert await database.write(settle_reuses, "ada", "chat", judged) == 1
    assert await database.write(settle_reuses, "ada", "chat", judged) == 0

    told = await role(database)
    assert (told.reviewed, told.disagreed, told.wrong, told.review_usd) == (3, 2, 1, Decimal("0.05"))
    assert told.disagreement == 2 / 3
    assert told.pending == 0
    assert await pending(database) == []
    async with database.read() as session:
        assert await find_answer(session, KEY) is None
        assert await newest_questions(session, "ada", "chat", 10) == []
        assert await wrong_since(session, utcnow() - timedelta(seconds=5)) == [KEY]
        assert await reviewed_today(session, "ada", "chat") == Decimal("0.05")
        assert await reviewed_today(session, "uma", "chat") == 0


async def test_nobody_judges_anothers_answers(database: Database):
    await kept(database)
    (mine,) = await pending(database)

    assert await pending(database, "uma") == []
    await database.write(settle_reuses, "uma", "chat", [Judged(mine.id, "different", Decimal(0))])

    async with database.read() as session:
        assert await find_answer(session, KEY) is not None
        assert (await list_reuses(session, "uma")).items == []


async def test_uses_come_page_by_page_newest_first(database: Database):
    await kept(database, uses=2)
    await database.write(tell_cache, [], {}, {}, [], [reuse(fresh=None)])

    async with database.read() as session:
        page = await list_reuses(session, "ada", limit=2)
        rest = await list_reuses(session, "ada", limit=2, cursor=page.next_cursor)

    assert [one.shadow for one in (*page.items, *rest.items)] == [False, True, True]
    assert rest.next_cursor is None
    assert page.items[0].question == "Lima?"


async def test_a_review_is_due_when_there_is_enough_to_look_at_or_one_waits_for_long(database: Database):
    await kept(database, uses=3)
    await kept(database, owner="uma")

    async with database.read() as session:
        assert await owners_waiting(session, 3, utcnow() - timedelta(minutes=10)) == ["ada"]
        assert await owners_waiting(session, 30, utcnow() + timedelta(minutes=1)) == ["ada", "uma"]


async def test_a_persons_bad_word_removes_the_kept_answer_that_the_run_was_given(database: Database):
    run = await claimed(database)
    await kept(database, owner="local")
    hit = replace(ANSWER, cached=True, cache_hit="semantic", cache_key=KEY, saved_usd=Decimal("0.01"))
    await database.write(reserve_call, run.id, run.attempt, CALL)
    await database.write(commit_call, run.id, run.attempt, CALL, hit)

    await database.write(give_run_feedback, "local", run.id, NewFeedback(score=1), unmasked)
    async with database.read() as session:
        assert await find_answer(session, KEY) is not None
    for _ in range(2):
        await database.write(give_run_feedback, "local", run.id, NewFeedback(score=0), unmasked)

    async with database.read() as session:
        assert await find_answer(session, KEY) is None
    assert (await role(database, "local")).wrong == 1


async def test_statistics_tell_how_answers_were_found(database: Database):
    counts = CacheCounts(hits=5, semantic=2, shadow=3, guarded=4, misses=5, saved_usd=Decimal("0.5"))
    await database.write(tell_cache, [answer()], {}, {("ada", "chat"): counts}, [question()], [reuse()])

    async with database.read() as session:
        told = await cache_statistics(session, "ada")

    assert (told.entries, told.questions, told.bytes) == (1, 1, 100 + 16 + len(question().text.encode()))
    (chat,) = told.roles
    assert (chat.hits, chat.exact, chat.semantic, chat.shadow, chat.guarded) == (5, 3, 2, 3, 4)
    assert (chat.hit_rate, chat.pending, chat.disagreement) == (0.5, 1, None)
