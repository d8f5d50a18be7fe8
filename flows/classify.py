"""Classify: say what one support message is about."""

from contracts.classify import ClassifyParams, ClassifyResult, Label
from contracts.pipelines import CLASSIFY
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step
from flows.durable.thinking import thinking_with
from flows.policies import MODEL_CALL


@pipeline(CLASSIFY)
async def classify(params: ClassifyParams) -> ClassifyResult:
    """Sort the message and say by which version it was sorted."""
    label = await sort(params.message)
    run = current_run()
    return ClassifyResult(
        label=label, program_version=run.programs["support.sort"].version, models=sorted(run.deployments)
    )


@step(MODEL_CALL)
async def sort(message: str) -> Label:
    """Ask the program what the message is about."""
    with thinking_with("support.sort") as program:
        label: Label = (await program.acall(message=message)).label
    return label
