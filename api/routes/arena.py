"""The arena: matches to vote on without names, and the leaderboard. Tasks are runs of pipeline `arena`."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.caller import Caller, needs
from api.intervals import Line, as_page, as_svg, intervals_svg, page
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.routes.programs import SENT
from contracts.arena import BlindMatch, Leaderboard, Match, Revealed, Standing, TaskKind, Vote
from contracts.people import Scope, user_space
from database.learning import arena, votes

router = APIRouter(prefix="/arena", tags=["arena"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.ARENA_READ)]
Voter = Annotated[Caller, needs(Scope.ARENA_VOTE)]
Kind = Annotated[TaskKind | None, Query(description="Of tasks; all kinds, when it is not said.")]
By = Annotated[
    Literal["all", "judge", "people"],
    Query(description="Whose opinion counts: the judge's, people's, or all."),
]


class MatchPage(BaseModel):
    """Some matches."""

    items: list[Match]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("/matches/next", responses=errors("no_match_left", "invalid_parameters"))
async def next_match(caller: Voter, resources: ResourcesNow, kind: Kind = None) -> BlindMatch:
    """Give two answers to one task, without names, that you have not voted on."""
    async with resources.database.read() as session:
        return await votes.next_match(session, caller.owner, _person(caller), kind=kind)


@router.post("/matches/{match_id}/votes", responses=errors("match_not_found", "already_voted", *SENT))
async def vote_on_match(match_id: UUID, body: Vote, caller: Voter, resources: ResourcesNow) -> Revealed:
    """Say which answer is better, once; who gave them is told then."""
    return await resources.database.write(votes.vote, caller.owner, match_id, _person(caller), body.choice)


@router.get("/matches", responses=errors("bad_cursor", "invalid_parameters"))
async def list_matches(
    caller: Reader,
    resources: ResourcesNow,
    kind: Kind = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> MatchPage:
    """List matches, newest run first; names and verdicts only where they bias no vote of yours."""
    async with resources.database.read() as session:
        found = await votes.list_matches(
            session, caller.owner, _person(caller), kind=kind, limit=limit, cursor=cursor
        )
    return MatchPage(items=found.items, next_cursor=found.next_cursor)


@router.get("/leaderboard", responses=errors("invalid_parameters"))
async def get_leaderboard(
    caller: Reader, resources: ResourcesNow, kind: Kind = None, by: By = "all"
) -> Leaderboard:
    """Show who is how strong: Bradley-Terry ratings with 95 % intervals, costs and times."""
    return await _board(resources, caller, kind, by)


@router.get(
    "/leaderboard/plot",
    response_class=Response,
    responses={
        200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "A picture."},
        **errors("invalid_parameters"),
    },
)
async def plot_leaderboard(
    caller: Reader, resources: ResourcesNow, kind: Kind = None, by: By = "all"
) -> Response:
    """Draw the ratings with their intervals."""
    return as_svg(_picture(await _board(resources, caller, kind, by)))


@router.get(
    "/leaderboard/page",
    response_class=Response,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page."},
        **errors("invalid_parameters"),
    },
)
async def show_leaderboard(
    caller: Reader, resources: ResourcesNow, kind: Kind = None, by: By = "all"
) -> Response:
    """Show picture and numbers on a page that keeps itself up to date."""
    board = await _board(resources, caller, kind, by)
    columns = ("contestant", "points", "95 %", "won", "lost", "tied", "answers", "failed", "cost $", "ms")
    rows = [_row(one) for one in board.items]
    return as_page(page(_title(board), _picture(board), columns, rows, every_seconds=5))


async def _board(
    resources: Resources, caller: Caller, kind: str | None, by: Literal["all", "judge", "people"]
) -> Leaderboard:
    async with resources.database.read() as session:
        return await arena.leaderboard(session, caller.owner, kind=kind, by=by)


def _person(caller: Caller) -> str:
    """Return who votes: a person, whatever key is used."""
    return caller.actor if caller.user_id is None else user_space(caller.user_id)


def _picture(board: Leaderboard) -> str:
    lines = [
        Line(one.contestant, one.points, one.low, one.high, f"{one.wins:g} : {one.losses:g} ({one.ties:g})")
        for one in board.items
    ]
    return intervals_svg(_title(board), lines, unit="points")


def _title(board: Leaderboard) -> str:
    return f"Arena, {board.kind or 'all kinds of tasks'}: {board.matches} matches"


def _row(one: Standing) -> list[str]:
    return [
        *(one.contestant, f"{one.points:.0f}", f"{one.low:.0f} to {one.high:.0f}"),
        *(f"{each:g}" for each in (one.wins, one.losses, one.ties)),
        *(str(one.answers), str(one.failures)),
        "-" if one.cost_usd is None else f"{one.cost_usd:.6f}",
        "-" if one.latency_ms is None else f"{one.latency_ms:.0f}",
    ]
