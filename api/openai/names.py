"""Model names: which pipeline stands behind each, and how a request becomes its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from api.openai.shapes import ChatRequest, text_of
from contracts.chat import ChatMode
from contracts.completion import RoleName
from contracts.pipelines import ANALYSIS, CHAT_TURN, COMPLETION, PIPELINES, Pipeline
from runtime.errors import BadInput, NotFound

Answer = tuple[str | None, list[dict[str, Any]], str]
SPEAKERS = {"system": "Instructions", "developer": "Instructions", "assistant": "Assistant", "user": "User"}


@dataclass(frozen=True, slots=True)
class Name:
    """A model name: `params` makes a request the pipeline's, `answer` reads its result."""

    pipeline: Pipeline
    params: Callable[[ChatRequest], dict[str, Any]]
    answer: Callable[[dict[str, Any]], Answer]


def model_not_found() -> NotFound:
    """Return the error for a name that is no role, no pipeline and no agent that the caller may use."""
    known = ", ".join(NAMES)
    return NotFound(
        f"There is no model of that name here; there are {known} and your agents.", "model_not_found"
    )


def _completion(role: str) -> Name:
    def params(request: ChatRequest) -> dict[str, Any]:
        stop = [request.stop] if isinstance(request.stop, str) else request.stop
        told = {
            "role": role,
            "messages": request.messages,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_completion_tokens or request.max_tokens,
            "stop": stop,
            "seed": request.seed,
            "response_format": request.response_format,
            "tools": request.tools,
            "tool_choice": request.tool_choice,
        }
        return {name: value for name, value in told.items() if value is not None}

    return Name(
        COMPLETION, params, lambda found: (found["text"], found["tool_calls"], found["finish_reason"])
    )


def _chat_turn(mode: ChatMode | None) -> Name:
    def params(request: ChatRequest) -> dict[str, Any]:
        *before, last = request.messages
        chat_id = (request.metadata or {}).get("chat_id")
        context = "" if chat_id else "\n\n".join(_spoken(message) for message in before)
        how = {} if mode is None else {"mode": mode}
        return {"message": _said(last), "context": context, "chat_id": chat_id, **how}

    return Name(CHAT_TURN, params, lambda found: (found["answer"], [], "stop"))


def _analysis(request: ChatRequest) -> dict[str, Any]:
    *before, last = request.messages
    texts = [text for message in before if (text := text_of(message))]
    if not texts:
        raise BadInput(
            "`analysis` reads documents: send each as a message before the question.", "invalid_parameters"
        )
    sources = [
        {"kind": "text", "name": f"message-{number}", "text": text} for number, text in enumerate(texts, 1)
    ]
    return {"question": _said(last), "sources": sources}


def _said(message: dict[str, Any]) -> str:
    if message.get("role") != "user" or not (text := text_of(message)):
        raise BadInput("The last message must be the user's, with a text.", "invalid_parameters")
    return text


def _spoken(message: dict[str, Any]) -> str:
    return f"{SPEAKERS.get(str(message.get('role')), 'User')}: {text_of(message)}"


NAMES: dict[str, Name] = {
    **{role: _completion(role) for role in get_args(RoleName)},
    "chat_turn": _chat_turn(ChatMode.DIRECT),
    "chat_turn:careful": _chat_turn(ChatMode.CAREFUL),
    "analysis": Name(ANALYSIS, _analysis, lambda found: (found["report"]["answer"], [], "stop")),
}
# An agent answers as it is set: the request has no word for the mode.
AGENT = _chat_turn(None)
RESERVED = frozenset({*NAMES, *PIPELINES})
