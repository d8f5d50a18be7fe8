"""The arena of an owner: tasks, answers and matches as a run writes them, and the ratings that follow."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from contracts.arena import ArenaTask, Leaderboard, Said, Standing, Verdict
from contracts.bradley_terry import Games, Strengths, averaged
from database.engine import ReadSession, WriteSession
from database.statements import AnyRow, changed_rows, insert_or_existing
from database.tables import ArenaAnswerRow, ArenaMatchRow, ArenaTaskRow, ArenaVoteRow, core
from runtime.clock import utcnow
from runtime.ids import derived_id

By = Literal["all", "judge", "people"]
MATCHES, ANSWERS = core(ArenaMatchRow), core(ArenaAnswerRow)
TASKS, VOTES = core(ArenaTaskRow), core(ArenaVoteRow)


async def keep_answers(
    session: WriteSession, owner: str, run_id: UUID, number: int, task: ArenaTask, answers: dict[str, Said]
) -> dict[str, UUID]:
    """Write a task of a run with what the contestants made of it; saying it twice is saying it once.

    Returns:
        The ids of the answers, by contestant.
    """
    at, task_id = utcnow(), derived_id(run_id, f"task {number}")
    shared = {"owner": owner, "run_id": run_id, "kind": task.kind, "created_at": at}
    told = {"input": task.input, "reference": task.reference, "meta": task.metadata}
    await insert_or_existing(session, TASKS, {"id": task_id, **shared, **told}, [TASKS.c.id])
    ids = {}
    for name, said in answers.items():
        ids[name] = derived_id(task_id, name)
        values = {"id": ids[name], **shared, "task_id": task_id, "contestant": name, **said.model_dump()}
        values["error"] = said.error.model_dump(mode="json") if said.error else None
        await insert_or_existing(session, ANSWERS, values, [ANSWERS.c.id])
    return ids


async def open_match(
    session: WriteSession,
    owner: str,
    run_id: UUID,
    task: ArenaTask,
    *,
    match_id: UUID,
    task_id: UUID,
    pair: tuple[tuple[str, UUID, Said], tuple[str, UUID, Said]],
) -> Verdict | None:
    """Write a match between two answers, and return its verdict where it needs no judge.

    Who did not answer loses against who did; equal answers are a tie. Where nobody answered there is nothing
    to compare, and no match is written.
    """
    (one, one_id, mine), (other, other_id, theirs) = pair
    verdict, why = _plain(mine, theirs)
    if mine.answer is None and theirs.answer is None:
        return Verdict.TIE
    values = {
        "id": match_id,
        "owner": owner,
        "run_id": run_id,
        "task_id": task_id,
        "kind": task.kind,
        "one_id": one_id,
        "other_id": other_id,
        "one": one,
        "other": other,
        "verdict": verdict,
        "why": why,
        "consistent": None,
        "open_to_people": verdict is None,
        "votes": 0,
        "created_at": utcnow(),
    }
    await insert_or_existing(session, MATCHES, values, [MATCHES.c.id])
    return verdict


async def judge_match(session: WriteSession, match_id: UUID, verdict: Verdict, *, consistent: bool) -> None:
    """Write what the judge said; its first word holds."""
    change = sa.update(MATCHES).where(MATCHES.c.id == match_id, MATCHES.c.verdict.is_(None))
    await changed_rows(session, change.values(verdict=verdict, why="judge", consistent=consistent))


async def games_of(
    session: ReadSession,
    owner: str,
    *,
    kind: str | None = None,
    by: By = "all",
    run_id: UUID | None = None,
) -> list[Games]:
    """Return who won how often against whom, by verdicts of the judge, by votes of people, or by both.

    A match is one game: what its judge and its voters say is averaged. Matches that one side did not answer
    count for both.
    """
    return [_games(row) for row in await _opinions(session, _mine(owner, kind, run_id), by)]


async def leaderboard(
    session: ReadSession,
    owner: str,
    *,
    kind: str | None = None,
    by: By = "all",
    run_id: UUID | None = None,
) -> Leaderboard:
    """Return the owner's contestants with their ratings, the strongest first; of one kind of tasks or all."""
    opinions = await _opinions(session, _mine(owner, kind, run_id), by)
    games = [_games(row) for row in opinions]
    took = {row.contestant: row for row in await _took(session, owner, kind, run_id)}
    matches = sa.select(sa.func.count()).where(*_mine(owner, kind, run_id))
    kinds = sa.select(TASKS.c.kind).where(TASKS.c.owner == owner).distinct().order_by(TASKS.c.kind)
    return Leaderboard(
        kind=kind,
        by=by,
        matches=(await session.execute(matches)).scalar_one(),
        compared=sum((row.wins + row.losses + row.ties) * row.matches for row in opinions),
        kinds=list((await session.execute(kinds)).scalars()),
        items=list(_standings(Strengths(games, took), took)),
    )


async def _opinions(session: ReadSession, mine: list[sa.ColumnElement[bool]], by: By) -> Sequence[AnyRow]:
    """Return for each pair how many `matches` had so many opinions that it `wins`, `losses` and `ties`."""
    pair = (MATCHES.c.id, MATCHES.c.one, MATCHES.c.other)
    said = sa.select(*pair, MATCHES.c.verdict.label("said")).where(*mine, MATCHES.c.verdict.is_not(None))
    if by == "people":
        said = said.where(MATCHES.c.why != "judge")
    every: Any = said
    if by != "judge":
        voted = sa.select(*pair, VOTES.c.choice.label("said"))
        voted = voted.join_from(VOTES, MATCHES, MATCHES.c.id == VOTES.c.match_id).where(*mine)
        every = said.union_all(voted)
    opinion = every.subquery()
    which = (opinion.c.one, opinion.c.other)
    sums = {
        name: sa.cast(sa.func.sum(sa.case((opinion.c.said == verdict, 1), else_=0)), sa.Integer).label(name)
        for verdict, name in ((Verdict.ONE, "wins"), (Verdict.OTHER, "losses"), (Verdict.TIE, "ties"))
    }
    match = sa.select(*which, *sums.values()).group_by(opinion.c.id, *which).subquery()
    query = sa.select(*match.c, sa.func.count().label("matches")).group_by(*match.c)
    return (await session.execute(query)).all()


async def match_counts(session: ReadSession, owner: str, run_id: UUID) -> dict[str, int]:
    """Return how many matches of a run have a verdict, are ties, and are ties of a judge in two minds."""

    def counted(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    query = sa.select(
        counted(MATCHES.c.verdict.is_not(None)).label("judged"),
        counted(MATCHES.c.verdict == Verdict.TIE).label("ties"),
        counted(MATCHES.c.consistent.is_(False)).label("inconsistent"),
    ).where(*_mine(owner, None, run_id))
    row = (await session.execute(query)).one()
    return {name: int(each) for name, each in row._mapping.items()}  # noqa: SLF001  its public name


def _standings(strengths: Strengths, took: dict[str, AnyRow]) -> Iterable[Standing]:
    for one in strengths.ratings():
        row = took.get(one.player)
        yield Standing(
            contestant=one.player,
            points=round(one.points, 1),
            low=round(one.low, 1),
            high=round(one.high, 1),
            wins=round(one.wins, 3),
            losses=round(one.losses, 3),
            ties=round(one.ties, 3),
            answers=row.answers if row else 0,
            failures=int(row.failures or 0) if row else 0,
            cost_usd=row.cost / row.priced if row and row.priced else None,
            latency_ms=round(float(row.latency), 3) if row and row.latency is not None else None,
        )


async def _took(session: ReadSession, owner: str, kind: str | None, run_id: UUID | None) -> Sequence[AnyRow]:
    """Return what the answers of each contestant took; the exact mean of the money is left to the caller."""
    query = (
        sa.select(
            ANSWERS.c.contestant,
            sa.func.count().label("answers"),
            sa.func.sum(sa.case((ANSWERS.c.answer.is_(None), 1), else_=0)).label("failures"),
            sa.func.sum(ANSWERS.c.cost_usd, type_=ANSWERS.c.cost_usd.type).label("cost"),
            sa.func.count(ANSWERS.c.cost_usd).label("priced"),
            sa.func.avg(ANSWERS.c.latency_ms).label("latency"),
        )
        .where(*_of(ANSWERS, owner, kind, run_id))
        .group_by(ANSWERS.c.contestant)
    )
    return (await session.execute(query)).all()


def _mine(owner: str, kind: str | None, run_id: UUID | None) -> list[sa.ColumnElement[bool]]:
    return _of(MATCHES, owner, kind, run_id)


def _of(table: sa.Table, owner: str, kind: str | None, run_id: UUID | None) -> list[sa.ColumnElement[bool]]:
    found = [table.c.owner == owner]
    if kind is not None:
        found.append(table.c.kind == kind)
    if run_id is not None:
        found.append(table.c.run_id == run_id)
    return found


def _plain(mine: Said, theirs: Said) -> tuple[Verdict | None, str | None]:
    if (mine.answer is None) != (theirs.answer is None):
        return (Verdict.OTHER if mine.answer is None else Verdict.ONE), "failure"
    return (Verdict.TIE, "equal") if mine.answer == theirs.answer else (None, None)


def _games(row: Any) -> Games:
    counts = {name: getattr(row, name) for name in ("wins", "losses", "ties", "matches")}
    return averaged(row.one, row.other, **counts)
