"""One answer of one contestant: a model that is asked as it is, or a program in one of its versions."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from contracts.arena import ArenaTask
from contracts.programs import Version
from flows.durable.run import current_run
from flows.durable.steps import step_calls
from flows.durable.thinking import thinking
from flows.learning.metrics import as_text
from llm.routing import Wanted
from modules.completion import Completed, stream_completion
from modules.programs import PROGRAMS, answered, call_inputs, with_state
from runtime.errors import BadInput, MillraceError


async def answer_to(
    asked: str | dict[str, Any], role: str, deployment: str | None, version: Version | None
) -> str:
    """Return what a contestant answers.

    Args:
        asked: a text, or inputs by their names.
        role: in whose name a deployment is asked that thinks with no program.
        deployment: it is asked alone; none asks the program's role as usual.
        version: of the program that thinks; none asks the model as it is.

    Raises:
        MillraceError: `no_answer`; and what the door raises.
    """
    if version is None:
        return await _completed(question_of(asked), role, deployment)
    kind = PROGRAMS[version.program]
    wanted = Wanted(deployment, alone=True) if deployment else None
    program = with_state(kind.build(), version.state)
    with thinking(kind.role, wanted):
        prediction = await program.acall(**call_inputs(kind, inputs_of(version.program, asked)))
    return as_text(answered(kind, prediction))


def refuse_unfit(program: str, tasks: Sequence[ArenaTask]) -> None:
    """Do nothing when a program takes the inputs of all tasks.

    Raises:
        BadInput: `task_does_not_fit`.
    """
    takes = PROGRAMS[program].inputs()
    needed = {name for name, needs in takes.items() if needs}
    for number, task in enumerate(tasks):
        given = set(inputs_of(program, task.input))
        if not needed <= given <= takes.keys():
            raise BadInput(
                f"Task {number} has the inputs {', '.join(sorted(given))}; {program} needs"
                f" {', '.join(sorted(needed))} and knows {', '.join(takes)}.",
                "task_does_not_fit",
            )


def question_of(asked: str | dict[str, Any]) -> str:
    """Return what is asked as a text."""
    return asked if isinstance(asked, str) else as_text(asked)


def inputs_of(program: str, asked: str | dict[str, Any]) -> dict[str, Any]:
    """Return what a program is given: a text as the first of what it needs."""
    if not isinstance(asked, str):
        return asked
    return {next(name for name, needed in PROGRAMS[program].inputs().items() if needed): asked}


async def _completed(text: str, role: str, deployment: str | None) -> str:
    wanted = Wanted(deployment, alone=True) if deployment else None
    engine = current_run().door.engine(role, step_calls(), wanted)
    whole: Completed | None = None
    async with aclosing(
        stream_completion(engine, {"messages": [{"role": "user", "content": text}]})
    ) as pieces:
        async for piece in pieces:
            if not isinstance(piece, str):
                whole = piece
    if whole is None or not whole.text:
        raise MillraceError("the model ended without an answer", code="no_answer", retryable=True)
    return whole.text
