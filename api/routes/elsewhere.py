"""Signing in elsewhere: at GitHub, and which accounts elsewhere a person signs in with."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from api.auth.beginnings import LASTS, Beginning
from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, StrangerNow, needs
from api.limits import Kind, network_of
from api.openapi import errors
from api.resources import Resources, ResourcesNow
from api.routes.sign_in import SignedIn, people_of, told
from contracts.people import Identity, Scope
from database.people import identities
from runtime.errors import NotAllowed, NotFound

if TYPE_CHECKING:
    from api.auth.github_sign_in import GitHubSignIn

router = APIRouter(prefix="/auth", tags=["people"], route_class=StrictRoute)

Myself = Annotated[Caller, needs(Scope.ACCOUNT)]
COOKIE = "millrace-sign-in"
NOT_HERE = ("no_people", "github_not_offered", "too_many_requests", "invalid_parameters")


class IdentityList(BaseModel):
    """Where else the caller may sign in."""

    items: list[Identity]
    next_cursor: None = Field(None, description="They come on one page.")


class GoThere(BaseModel):
    """Where the browser that asked goes now."""

    url: str = Field(examples=["https://github.com/login/oauth/authorize?client_id=…"])


@router.get(
    "/github",
    status_code=302,
    response_class=RedirectResponse,
    responses={302: {"description": "GitHub asks the person."}, **errors(*NOT_HERE)},
)
async def github_sign_in(request: Request, resources: ResourcesNow, by: StrangerNow) -> RedirectResponse:
    """Sign in at GitHub: go here with a browser. A cookie of ten minutes ties what follows to it."""
    github = _github(resources)
    await people_of(resources).limits.take(Kind.LOGIN_ADDRESS, network_of(by.address))
    begun, url = github.begin()
    answer = RedirectResponse(url, 302)
    _give(answer, request, begun)
    return answer


@router.get(
    "/github/callback",
    response_model=SignedIn,
    responses={
        204: {"description": "The account at GitHub was linked."},
        **errors(
            *("bad_state", "bad_sign_in_code", "sign_in_denied", "email_not_verified", "not_invited"),
            *("account_disabled", "link_needed", "identity_taken", "identity_unavailable", *NOT_HERE),
        ),
    },
)
async def github_callback(
    request: Request,
    resources: ResourcesNow,
    by: StrangerNow,
    state: Annotated[str, Query(max_length=256)],
    code: Annotated[str | None, Query(max_length=512)] = None,
    error: Annotated[str | None, Query(max_length=256)] = None,
) -> SignedIn | Response:
    """End what was begun: GitHub sends the browser here, or your page asks here with what it was sent."""
    github = _github(resources)
    # Whatever comes of it: what was begun is over.
    gone = Response()
    gone.delete_cookie(_cookie_name(request), secure=_secure(request), httponly=True, samesite="lax")
    request.state.headers = {"Set-Cookie": gone.headers["set-cookie"]}
    await people_of(resources).limits.take(Kind.LOGIN_ADDRESS, network_of(by.address))
    tokens = await github.end(request.cookies.get(_cookie_name(request)), state, code, error, by)
    return Response(status_code=204) if tokens is None else told(tokens)


@router.post(
    "/github/link",
    responses=errors("not_allowed", *NOT_HERE),
)
async def github_link(
    request: Request, response: Response, caller: Myself, resources: ResourcesNow
) -> GoThere:
    """Link one's account at GitHub, whatever its address: ask here, then send the same browser to `url`."""
    github, user_id = _github(resources), caller.person()
    if caller.session_id is None:
        raise NotAllowed("A key cannot link anybody; sign in.", "not_allowed")
    begun, url = github.begin(user_id, caller.session_id)
    _give(response, request, begun)
    return GoThere(url=url)


@router.get("/identities", responses=errors("no_people", "invalid_parameters"))
async def list_identities(caller: Myself, resources: ResourcesNow) -> IdentityList:
    """List where else one may sign in."""
    user_id = caller.person()
    async with resources.database.read() as session:
        return IdentityList(items=await identities.list_identities(session, user_id))


@router.delete(
    "/identities/{identity_id}",
    status_code=204,
    responses=errors("no_people", "identity_not_found", "last_way_in", "invalid_parameters"),
)
async def unlink_identity(identity_id: UUID, caller: Myself, resources: ResourcesNow, by: DoerNow) -> None:
    """Sign in there no more. All other sign-ins end, since they may have come from there."""
    user_id = caller.person()
    await resources.database.write(identities.unlink, by, user_id, identity_id, keep=caller.session_id)
    people_of(resources).guard.known.forget(user_id)


def _github(resources: Resources) -> "GitHubSignIn":
    if (github := people_of(resources).github) is None:
        raise NotFound("Nobody signs in at GitHub here (GITHUB_CLIENT_ID).", "github_not_offered")
    return github


def _give(response: Response, request: HTTPConnection, begun: Beginning) -> None:
    response.set_cookie(
        _cookie_name(request),
        begun.cookie,
        max_age=int(LASTS.total_seconds()),
        secure=_secure(request),
        httponly=True,
        # GitHub sends the browser back by a link: `strict` would keep the cookie at home.
        samesite="lax",
    )


def _cookie_name(request: HTTPConnection) -> str:
    # `__Host-`: no other host of our domain can set it. Browsers take it over TLS only.
    return f"__Host-{COOKIE}" if _secure(request) else COOKIE


def _secure(request: HTTPConnection) -> bool:
    return request.url.scheme == "https"
