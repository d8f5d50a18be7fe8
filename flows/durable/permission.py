"""Whether a call to the world may be made: decided from its effect and from who started the run.

What a model says or reads decides nothing here. A call that is not allowed by itself is put to a person, with
exactly these arguments; the answer counts for these alone.
"""

from collections.abc import Mapping
from typing import Any

from contracts.approvals import ApprovalStatus, Asking
from contracts.calls import TOOL_CALL, CallRequest
from contracts.people import LOCAL_SPACE, Scope
from contracts.tools import Effect
from flows.durable.approvals import answered, digest_of
from flows.durable.run import Run
from runtime.errors import MillraceError


def allowed(run: Run, effect: Effect) -> bool:
    """Return whether a run makes calls of this effect without asking."""
    if effect is Effect.WRITE:
        # Who has the machine may do all.
        return run.owner == LOCAL_SPACE or Scope.TOOLS_WRITE in run.grants
    return effect is Effect.READ


async def permitted(
    run: Run, request: CallRequest, name: str, arguments: Mapping[str, Any], effect: Effect
) -> None:
    """Return when a call may be made; until a person has said so, the run waits.

    Raises:
        MillraceError: `tool_call_refused`.
        Parked: let it pass.
    """
    if allowed(run, effect):
        return
    what = {
        "tool": name,
        "effect": effect,
        "arguments": dict(arguments),
        "arguments_digest": digest_of(dict(arguments)),
    }
    place = f"{request.step}/may/{name}[{request.fingerprint[:12]}.{request.n}]"
    title = f"May `{name}` be called with these arguments? It {_DOES[effect]}."
    answer = await answered(Asking.APPROVAL, place, title, what, needs_scope=Scope.TOOLS_WRITE)
    if answer.status is not ApprovalStatus.APPROVED:
        because = f": {answer.comment}" if answer.comment else ""
        raise MillraceError(
            f"the call of `{name}` was refused{because}",
            code="tool_call_refused",
            detail={"approval_id": str(answer.id), "kind": TOOL_CALL},
        )


_DOES = {Effect.WRITE: "changes something outside", Effect.DESTROY: "does what cannot be undone"}
