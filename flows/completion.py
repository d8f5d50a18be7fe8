"""Completion: one call to a role, with everything behind it that runs have."""

from contextlib import aclosing

from contracts.completion import CompletionParams, CompletionResult
from contracts.pipelines import COMPLETION
from contracts.runs import EventKind
from flows.durable.pipeline import pipeline
from flows.durable.run import current_run
from flows.durable.steps import step, step_calls
from flows.durable.thinking import wanted_of
from flows.policies import MODEL_CALL
from flows.screening import screened, screened_pieces
from modules.completion import Completed, stream_completion
from runtime.errors import MillraceError


@pipeline(COMPLETION)
async def completion(params: CompletionParams) -> CompletionResult:
    """Ask the role, and return its answer."""
    return await complete(params)


@step(MODEL_CALL)
async def complete(params: CompletionParams) -> CompletionResult:
    """Ask the role, and tell its words as they come."""
    run, named = current_run(), step_calls().step
    body = params.model_dump(exclude={"role"}, exclude_none=True, exclude_defaults=True)
    whole: Completed | None = None
    engine = run.door.engine(params.role, step_calls(), wanted_of(params.role))
    streamed = stream_completion(engine, body)
    async with aclosing(screened_pieces(streamed)) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                run.tell(EventKind.TOKEN, text=piece, step=named)
            else:
                whole = piece
    if whole is None:
        raise MillraceError("the model ended without an answer", code="no_answer", retryable=True)
    calls = [
        {**each, "function": {**each["function"], "arguments": await screened(each["function"]["arguments"])}}
        for each in whole.tool_calls
    ]
    return CompletionResult.model_validate(
        {
            "text": whole.text and await screened(whole.text),
            "tool_calls": calls,
            "finish_reason": whole.finish_reason,
            "models": sorted(run.deployments),
        }
    )
