"""Evaluations: what they would take, and what they found."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.bodies import StrictRoute
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import ResourcesNow
from api.routes.programs import SENT, Reader, Writer
from contracts.evaluation import Estimate, Evaluation, EvaluationParams, ExampleResult
from database.gateway.estimates import estimated
from database.learning import evaluations

router = APIRouter(prefix="/evaluations", tags=["evaluations"], route_class=StrictRoute)


class EvaluationPage(BaseModel):
    """Some evaluations."""

    items: list[Evaluation]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class ResultPage(BaseModel):
    """Some results of an evaluation."""

    items: list[ExampleResult]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


@router.post("/estimate", responses=errors("unknown_program", *SENT))
async def estimate_evaluation(body: EvaluationParams, caller: Writer, resources: ResourcesNow) -> Estimate:
    """Say what an evaluation would take. Start it with `POST /pipelines/evaluation/runs`."""
    async with resources.database.read() as session:
        return await estimated(session, caller.owner, body)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_evaluations(
    caller: Reader,
    resources: ResourcesNow,
    program: Annotated[str | None, Query(max_length=100)] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> EvaluationPage:
    """List evaluations, newest first."""
    async with resources.database.read() as session:
        page = await evaluations.list_evaluations(
            session, caller.owner, program=program, limit=limit, cursor=cursor
        )
    return EvaluationPage(items=page.items, next_cursor=page.next_cursor)


@router.get("/{evaluation_id}", responses=errors("evaluation_not_found", "invalid_parameters"))
async def get_evaluation(evaluation_id: UUID, caller: Reader, resources: ResourcesNow) -> Evaluation:
    """Show an evaluation: scores with confidence intervals, cost, time, and the comparison."""
    async with resources.database.read() as session:
        return await evaluations.get_evaluation(session, caller.owner, evaluation_id)


@router.get(
    "/{evaluation_id}/results", responses=errors("evaluation_not_found", "bad_cursor", "invalid_parameters")
)
async def list_results(
    evaluation_id: UUID,
    caller: Reader,
    resources: ResourcesNow,
    failed: Annotated[bool, Query(description="Only those without a score, with their reasons.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ResultPage:
    """List what each example came to, the worst first."""
    async with resources.database.read() as session:
        page = await evaluations.list_results(
            session, caller.owner, evaluation_id, failed=failed, limit=limit, cursor=cursor
        )
    return ResultPage(items=page.items, next_cursor=page.next_cursor)
