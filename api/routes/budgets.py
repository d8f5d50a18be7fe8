"""How much may be spent on what: caps are set, read, raised and taken away here."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from contracts.budgets import Budget, BudgetPeriod, BudgetScope, CapUsd
from contracts.people import Scope
from database.engine import WriteSession
from database.people.audit import Doer, record
from database.queue import runs
from database.spending import budgets, caps
from database.talk import agents, chats
from database.talk.sharing import Reader as AgentReader

router = APIRouter(prefix="/budgets", tags=["budgets"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.BUDGETS_READ)]
Writer = Annotated[Caller, needs(Scope.BUDGETS_WRITE)]

EXAMPLES = {
    "owner": {"summary": "Five dollars a day for all", "value": {"period": "day", "cap_usd": "5.00"}},
    "run": {
        "summary": "Raise the cap of one run",
        "value": {"scope": "run", "subject": "0198c0de-7a11-7000-8000-000000000001", "cap_usd": "0.50"},
    },
}


class NewBudget(BaseModel):
    """A cap. Scope, subject and period name the budget: set again, they change its cap."""

    model_config = ConfigDict(extra="forbid")

    scope: BudgetScope = BudgetScope.OWNER
    subject: UUID | None = Field(
        None, description="Id of the run, chat, agent or project; none for the scope `owner`."
    )
    period: BudgetPeriod = BudgetPeriod.NONE
    cap_usd: CapUsd

    @model_validator(mode="after")
    def _subject_of_scope(self) -> Self:
        if (self.subject is None) != (self.scope is BudgetScope.OWNER):
            raise ValueError("give a subject for every scope but `owner`")
        return self


class BudgetPage(BaseModel):
    """Some of the caller's budgets."""

    items: list[Budget]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_budgets(
    caller: Reader, resources: ResourcesNow, cursor: Cursor = None, limit: Limit = 50
) -> BudgetPage:
    """List budgets with what is spent, reserved and left, newest first."""
    async with resources.database.read() as session:
        page = await budgets.list_budgets(session, caller.owner, limit=limit, cursor=cursor)
    return BudgetPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{budget_id}", responses=errors("budget_not_found", "invalid_parameters"))
async def get_budget(budget_id: UUID, caller: Reader, resources: ResourcesNow) -> Budget:
    """Show a budget."""
    async with resources.database.read() as session:
        return await budgets.get_budget(session, caller.owner, budget_id)


@router.put(
    "",
    responses={
        201: {"model": Budget, "description": "There was none; it begins with what the ledger holds."},
        **errors(
            "malformed_json",
            "run_not_found",
            "chat_not_found",
            "agent_not_found",
            "too_large",
            "unsupported_media_type",
            "invalid_parameters",
        ),
    },
)
async def set_budget(
    body: Annotated[NewBudget, Body(openapi_examples=EXAMPLES)],
    response: Response,
    caller: Writer,
    doer: DoerNow,
    resources: ResourcesNow,
) -> Budget:
    """Set a cap, or change it. Runs that wait for its money go on where they stood."""
    budget, created = await resources.database.write(_set, doer, caller.reader, body)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/api/v1/budgets/{budget.id}"
    return budget


@router.delete(
    "/{budget_id}",
    status_code=204,
    dependencies=[needs(Scope.BUDGETS_WRITE)],
    responses=errors("budget_not_found", "invalid_parameters"),
)
async def delete_budget(budget_id: UUID, doer: DoerNow, resources: ResourcesNow) -> None:
    """Take a cap away. Runs that wait for its money go on where they stood."""
    await resources.database.write(_lift, doer, budget_id)


async def _lift(session: WriteSession, by: Doer, budget_id: UUID) -> None:
    gone = await budgets.get_budget(session, by.owner, budget_id)
    await caps.lift_cap(session, by.owner, budget_id)
    await record(session, by, "budget.removed", f"budget:{budget_id}", **_told(gone))


def _told(budget: Budget) -> dict[str, str | None]:
    """Return what the audit log tells of a budget; money as text, because it is exact."""
    shown = budget.model_dump(mode="json", include={"scope", "subject", "period"})
    return {**shown, "cap_usd": f"{budget.cap_usd:f}"}


async def _set(session: WriteSession, by: Doer, reader: AgentReader, body: NewBudget) -> tuple[Budget, bool]:
    owner = by.owner
    if body.scope is BudgetScope.RUN and body.subject:
        await runs.get_run(session, owner, body.subject)
    if body.scope is BudgetScope.CHAT and body.subject:
        await chats.get_chat(session, owner, body.subject)
    if body.scope is BudgetScope.AGENT and body.subject:
        await agents.get_agent(session, reader, body.subject)
    budget, created = await caps.set_cap(
        session, owner, scope=body.scope, subject=body.subject, period=body.period, cap_usd=body.cap_usd
    )
    await record(session, by, "budget.set", f"budget:{budget.id}", **_told(budget))
    return budget, created
