"""Experiments: started, looked at as often as one likes, stopped, and their winner promoted."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.bodies import StrictRoute
from api.caller import Caller, DoerNow, needs, refuse_without
from api.intervals import Line, as_page, as_svg, intervals_svg, page
from api.openapi import errors
from api.paging import NEXT_CURSOR, Cursor, Limit
from api.resources import Resources, ResourcesNow
from api.routes.programs import SENT, Reason
from contracts.experiment_results import result_of
from contracts.experiments import (
    ArmResult,
    Experiment,
    ExperimentResult,
    ExperimentStatus,
    Kind,
    Measured,
    NewExperiment,
)
from contracts.people import Scope
from database.learning import experiments
from database.learning.arms import outcomes_of
from runtime.errors import Conflict

router = APIRouter(prefix="/experiments", tags=["experiments"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.EXPERIMENTS_READ)]
Writer = Annotated[Caller, needs(Scope.EXPERIMENTS_WRITE)]
NOT_FOUND = ("experiment_not_found", "invalid_parameters")


class ExperimentPage(BaseModel):
    """Some experiments."""

    items: list[Experiment]
    next_cursor: str | None = Field(description=NEXT_CURSOR)


class Promotion(Reason):
    """Which arm answers from now on."""

    model_config = ConfigDict(extra="forbid")

    arm: str | None = Field(
        None, min_length=1, max_length=64, description="None takes the one that is proven to be better."
    )


@router.post(
    "",
    status_code=201,
    responses=errors(
        *("unknown_program", "program_version_not_found", "signature_changed", "unknown_deployment"),
        *("canary_running", "experiment_running", *SENT),
    ),
)
async def start_experiment(
    body: NewExperiment, _caller: Writer, doer: DoerNow, resources: ResourcesNow
) -> Experiment:
    """Let versions of a program, or models for a role, answer your runs side by side.

    Workers notice within 2 seconds; runs that have begun stay as they are, and so does a run's arm.
    """
    return await resources.database.write(experiments.start_experiment, body, by=doer)


@router.get("", responses=errors("bad_cursor", "invalid_parameters"))
async def list_experiments(
    caller: Reader,
    resources: ResourcesNow,
    status: Annotated[ExperimentStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ExperimentPage:
    """List experiments, newest first."""
    async with resources.database.read() as session:
        found = await experiments.list_experiments(
            session, caller.owner, status=status, limit=limit, cursor=cursor
        )
    return ExperimentPage(items=found.items, next_cursor=found.next_cursor)


@router.get("/{experiment_id}", responses=errors(*NOT_FOUND))
async def get_experiment(experiment_id: UUID, caller: Reader, resources: ResourcesNow) -> ExperimentResult:
    """Show what was seen so far: each arm's numbers, and comparisons whose bounds hold at every look."""
    return await _result(resources, caller.owner, experiment_id)


@router.post("/{experiment_id}/stop", responses=errors("experiment_not_found", "experiment_ended", *SENT))
async def stop_experiment(
    experiment_id: UUID, body: Reason, _caller: Writer, doer: DoerNow, resources: ResourcesNow
) -> Experiment:
    """End an experiment: what begins from now on is answered as if it had never been."""
    return await resources.database.write(
        experiments.stop_experiment, experiment_id, by=doer, why=body.reason
    )


@router.post(
    "/{experiment_id}/promote",
    responses=errors(
        *("experiment_not_found", "no_winner", "unknown_arm", "program_version_not_found"),
        *("unknown_program", "signature_changed", "unknown_deployment", *SENT),
    ),
)
async def promote_arm(
    experiment_id: UUID, body: Promotion, caller: Writer, doer: DoerNow, resources: ResourcesNow
) -> Experiment:
    """Let the winner, or the arm that you name, answer everything from now on, and end the experiment.

    A version is promoted (scope `programs:promote`); a model overrides the role's routing (`models:write`),
    until `DELETE /routing/{role}`.
    """
    found = await _result(resources, caller.owner, experiment_id)
    refuse_without(caller, Scope.PROGRAMS_PROMOTE if found.kind is Kind.PROGRAM else Scope.MODELS_WRITE)
    arm = body.arm or found.winner or found.leader
    if arm is None:
        raise Conflict(
            "No arm is proven to be better yet: name the one that you want, as `arm`.", "no_winner"
        )
    return await resources.database.write(
        experiments.promote_arm, experiment_id, arm, by=doer, reason=body.reason
    )


@router.get(
    "/{experiment_id}/plot",
    response_class=Response,
    responses={
        200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "A picture."},
        **errors(*NOT_FOUND),
    },
)
async def plot_experiment(experiment_id: UUID, caller: Reader, resources: ResourcesNow) -> Response:
    """Draw the comparisons: how far each arm lies from the first one, with bounds that hold at every look."""
    return as_svg(_picture(await _result(resources, caller.owner, experiment_id)))


@router.get(
    "/{experiment_id}/page",
    response_class=Response,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page."},
        **errors(*NOT_FOUND),
    },
)
async def show_experiment(experiment_id: UUID, caller: Reader, resources: ResourcesNow) -> Response:
    """Show the picture and the numbers of each arm on a page that keeps itself up to date."""
    found = await _result(resources, caller.owner, experiment_id)
    columns = ("arm", "weight", "subjects", "runs", "feedback", "success", "cost $", "latency ms")
    running = found.status is ExperimentStatus.RUNNING
    rows = [_row(one) for one in found.results]
    return as_page(page(_title(found), _picture(found), columns, rows, every_seconds=10 if running else 0))


async def _result(resources: Resources, owner: str, experiment_id: UUID) -> ExperimentResult:
    async with resources.database.read() as session:
        found = await experiments.get_experiment(session, owner, experiment_id)
        outcomes, full = await outcomes_of(session, experiment_id)
    # A second of work for ten thousand runs: not on the loop.
    return await asyncio.to_thread(result_of, found, outcomes, full=full)


def _picture(found: ExperimentResult) -> str:
    lines = [
        Line(
            f"{one.arm} less {one.against}",
            one.difference.value if one.n and one.n_against else None,
            *(one.difference.low, one.difference.high),
            f"n = {one.n} and {one.n_against}",
        )
        for one in found.comparisons
    ]
    return intervals_svg(_title(found), lines, zero=0.0, unit=str(found.metric))


def _title(found: ExperimentResult) -> str:
    name = found.name or f"{found.kind} {found.target}"
    won = f", better: {found.winner or found.leader}" if found.winner or found.leader else ""
    return f"{name}: {found.status}{won}"


def _row(one: ArmResult) -> list[str]:
    numbers = (one.feedback, one.success, one.cost_usd, one.latency_ms)
    return [one.name, *(str(each) for each in (one.weight, one.subjects, one.runs)), *map(_told, numbers)]


def _told(one: Measured) -> str:
    if one.mean is None:
        return "-"
    if one.low is None or one.high is None:
        return f"{one.mean:.4g}"
    return f"{one.mean:.4g} ({one.low:.4g} to {one.high:.4g}), n = {one.n}"
