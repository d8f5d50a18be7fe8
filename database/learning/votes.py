"""What people think of matches: shown without names, counted once each, revealed after."""

from uuid import UUID

import sqlalchemy as sa

from contracts.arena import BlindMatch, Choice, Match, Revealed, Side, Verdict, turned
from database.engine import ReadSession, WriteSession
from database.learning.arena import ANSWERS, MATCHES, TASKS, VOTES
from database.pages import MAX_PAGE, Page, bad_cursor, decode_cursor, encode_cursor
from database.statements import AnyRow, insert_or_existing
from runtime.clock import utcnow
from runtime.errors import Conflict, NotFound

_ONE, _OTHER = ANSWERS.alias("one_answer"), ANSWERS.alias("other_answer")
_SIDES = [
    *(_ONE.c.cost_usd.label("one_cost"), _ONE.c.latency_ms.label("one_ms")),
    *(_OTHER.c.cost_usd.label("other_cost"), _OTHER.c.latency_ms.label("other_ms")),
]


async def next_match(session: ReadSession, owner: str, voter: str, *, kind: str | None = None) -> BlindMatch:
    """Return a match of the owner that this person has not voted on, one with the fewest votes.

    Raises:
        NotFound: `no_match_left`.
    """
    voted = sa.select(VOTES.c.match_id).where(VOTES.c.owner == owner, VOTES.c.voter == voter)
    query = (
        sa.select(MATCHES.c.id, MATCHES.c.kind, TASKS.c.input, TASKS.c.reference)
        .add_columns(_ONE.c.answer.label("one_says"), _OTHER.c.answer.label("other_says"))
        .join_from(MATCHES, TASKS, TASKS.c.id == MATCHES.c.task_id)
        .join(_ONE, _ONE.c.id == MATCHES.c.one_id)
        .join(_OTHER, _OTHER.c.id == MATCHES.c.other_id)
        .where(MATCHES.c.owner == owner, MATCHES.c.open_to_people, MATCHES.c.id.not_in(voted))
        .order_by(MATCHES.c.votes, MATCHES.c.created_at, MATCHES.c.id)
        .limit(1)
    )
    if kind is not None:
        query = query.where(MATCHES.c.kind == kind)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no match that you have not voted on.", "no_match_left")
    says = (row.one_says, row.other_says)
    first, second = reversed(says) if turned(row.id, voter) else says
    return BlindMatch(
        id=row.id, kind=row.kind, input=row.input, reference=row.reference, first=first, second=second
    )


async def vote(session: WriteSession, owner: str, match_id: UUID, voter: str, choice: Choice) -> Revealed:
    """Count a person's vote, and return who was who.

    Raises:
        NotFound: `match_not_found`.
        Conflict: `already_voted`.
    """
    row = await _match(session, owner, match_id)
    back = turned(match_id, voter)
    values = {
        "match_id": match_id,
        "voter": voter,
        "owner": owner,
        "choice": _verdict(choice, back),
        "at": utcnow(),
    }
    kept = await insert_or_existing(session, VOTES, values, [VOTES.c.at])
    if kept.at != values["at"]:
        raise Conflict("You have voted on this match already.", "already_voted")
    count = sa.update(MATCHES).where(MATCHES.c.id == match_id)
    await session.execute(count.values(votes=MATCHES.c.votes + 1))
    sides = _sides(row)
    first, second = reversed(sides) if back else sides
    judge = None if row.verdict is None else _choice(Verdict(row.verdict), back)
    return Revealed(match_id=match_id, choice=choice, first=first, second=second, judge=judge)


async def list_matches(
    session: ReadSession,
    owner: str,
    voter: str,
    *,
    kind: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Match]:
    """Return the owner's matches, newest run first; names and verdict only where they bias no vote.

    Those are matches that this person has voted on, and those that nobody can vote on.

    Raises:
        BadInput: `bad_cursor`.
    """
    limit = min(limit, MAX_PAGE)
    query = _with_sides().add_columns(VOTES.c.choice).where(MATCHES.c.owner == owner)
    query = query.outerjoin(VOTES, (VOTES.c.match_id == MATCHES.c.id) & (VOTES.c.voter == voter))
    if kind is not None:
        query = query.where(MATCHES.c.kind == kind)
    # Ids of matches are derived and sort by nothing; those of runs sort by time.
    order = (MATCHES.c.run_id, MATCHES.c.id)
    if cursor is not None:
        query = query.where(sa.tuple_(*order) < sa.tuple_(*_place(cursor)))
    query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
    items = [_shown(row) for row in await session.execute(query)]
    if len(items) <= limit:
        return Page(items, None)
    last = items[limit - 1]
    return Page(items[:limit], encode_cursor(str(last.run_id), str(last.id)))


def _place(cursor: str) -> tuple[UUID, UUID]:
    run_id, match_id = decode_cursor(cursor, parts=2)
    try:
        return UUID(run_id), UUID(match_id)
    except ValueError:
        raise bad_cursor() from None


def _with_sides() -> sa.Select[*tuple[object, ...]]:
    return (
        sa.select(*MATCHES.c, *_SIDES)
        .join_from(MATCHES, _ONE, _ONE.c.id == MATCHES.c.one_id)
        .join(_OTHER, _OTHER.c.id == MATCHES.c.other_id)
    )


async def _match(session: ReadSession, owner: str, match_id: UUID) -> AnyRow:
    query = _with_sides().where(MATCHES.c.id == match_id, MATCHES.c.owner == owner, MATCHES.c.open_to_people)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no match {match_id} to vote on.", "match_not_found")
    return row


def _shown(row: AnyRow) -> Match:
    told = {name: getattr(row, name) for name in ("id", "run_id", "kind", "created_at", "votes")}
    voted = row.choice is not None
    if not voted and row.open_to_people:
        return Match(**told, voted=False)
    one, other = _sides(row)
    known = {name: getattr(row, name) for name in ("verdict", "why", "consistent")}
    return Match(**told, voted=voted, one=one, other=other, **known)


def _sides(row: AnyRow) -> tuple[Side, Side]:
    return (
        Side(contestant=row.one, cost_usd=row.one_cost, latency_ms=row.one_ms),
        Side(contestant=row.other, cost_usd=row.other_cost, latency_ms=row.other_ms),
    )


def _verdict(choice: Choice, back: bool) -> Verdict:
    if choice is Choice.TIE:
        return Verdict.TIE
    return Verdict.ONE if (choice is Choice.FIRST) != back else Verdict.OTHER


def _choice(verdict: Verdict, back: bool) -> Choice:
    if verdict is Verdict.TIE:
        return Choice.TIE
    return Choice.FIRST if (verdict is Verdict.ONE) != back else Choice.SECOND
