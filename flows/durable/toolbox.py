"""Tools that a model may ask for: it chooses among them and fills in what is its to fill in, and no more."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from contracts.tools import Effect
from flows.durable.tool_calls import tool_call
from modules.wording import ToolOutput, quoted
from runtime.errors import BadInput, NotFound


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may ask for.

    Args:
        name: for models, people and the ledger.
        arguments: what the model fills in; unknown fields are refused.
        call: makes it, with the model's arguments and `bound`; its result is JSON.
        effect: what it does outside.
        bound: arguments that the flow has decided (a folder, an account): the model cannot give them.
        idempotent: making it twice does no more than making it once.
    """

    name: str
    arguments: type[BaseModel]
    call: Callable[..., Awaitable[Any]]
    effect: Effect = Effect.WRITE
    bound: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False


async def asked_for(tools: Sequence[Tool], name: str, given: Mapping[str, Any]) -> ToolOutput:
    """Make the call that a model asks for, if it may be made, and return its result as data to read.

    Args:
        tools: those of this step, by the flow's code; nothing that a model reads adds one.
        name: the tool, as the model says it.
        given: the arguments, as the model says them.

    Raises:
        NotFound: `unknown_tool`.
        BadInput: `bad_tool_arguments`.
        MillraceError: `tool_call_refused`, or what the tool raised.
        Parked: let it pass.
    """
    tool = next((each for each in tools if each.name == name), None)
    if tool is None:
        raise NotFound("there is no tool of that name here", "unknown_tool")
    if taken := sorted(tool.bound.keys() & given.keys()):
        raise BadInput(f"{', '.join(taken)} of `{tool.name}` cannot be chosen", "bad_tool_arguments")
    try:
        filled = tool.arguments.model_validate(dict(given), extra="forbid").model_dump(mode="json")
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) or "arguments" for each in error.errors())
        raise BadInput(
            f"`{tool.name}` does not take these arguments: {fields}", "bad_tool_arguments"
        ) from None
    result = await tool_call(
        tool.name, {**filled, **tool.bound}, tool.call, effect=tool.effect, idempotent=tool.idempotent
    )
    return quoted(tool.name, result)
